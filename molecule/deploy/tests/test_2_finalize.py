"""The end of the transition: refused with all reasons, then done once; and every other playbook afterwards."""

from __future__ import annotations

import json
import re

import pytest
from controller import ROOT, held_at, kill_at, play, slow
from testinfra.host import Host

MIGRATION = "/opt/brainer-db/migration"
FILE = "/opt/brainer/data/brainer.db"
NOW = ("-e", "finalize_after_days=0")
YES = (*NOW, "-e", "finalize_confirm=true")
#: Converge has provisioned the server; to do it each time again would only take time.
SHORT = ("--skip-tags", "docker,postgres,toolkit,backup,tuning,monitoring")
TREE = f"find {MIGRATION} /opt/brainer -printf '%p %m %T@ %s\\n' | sort"


def answers(host: Host) -> str:
    return host.check_output("python3 /root/ask.py")


def write(host: Host, slug: str) -> None:
    """A course more, through the API."""
    body = json.dumps({"slug": slug, "title": slug})
    host.check_output(
        "curl -sS --fail -H 'Content-Type: application/json' -d %s http://127.0.0.1:8000/api/courses",
        body,
    )


def trouble(host: Host) -> None:
    """The server is down when a sample is taken, and up again."""
    host.check_output("docker stop brainer-postgres")
    host.run("systemctl start brainer-monitoring.service")
    host.check_output("docker start brainer-postgres")
    host.check_output(
        "curl -sS --fail --retry 60 --retry-all-errors --retry-delay 1 -o /dev/null http://127.0.0.1:8000/api/courses"
    )


@pytest.fixture(scope="module", autouse=True)
def project(host: Host) -> None:
    """Images are made in the project's directory."""
    host.check_output("touch /opt/brainer/Dockerfile.backend")
    host.check_output("printf '*\\n!api' >/opt/brainer/.dockerignore")


def test_all_that_speaks_against_it_at_once(host: Host) -> None:
    write(host, "before")
    trouble(host)
    before = host.check_output(TREE)
    run = play("finalize.yml", "-e", "finalize_confirm=true")
    assert run.rc == 2 and run.changed == 0
    for word in (
        "2 reasons speak",
        "7 days without a trouble are wanted",
        "no backup was restored and compared lately",
        "Next: sudo db_backup drill",
    ):
        assert word in run.failure
    assert "1 rows added, 0 changed, 0 removed" in run.told
    assert host.check_output(TREE) == before
    host.check_output("db_backup drill --quiet")


@slow
def test_a_file_that_somebody_wrote_to_is_not_put_away(host: Host) -> None:
    host.check_output(f"cp -a {FILE} /root/file && chmod u+w {FILE}")
    host.check_output(
        "python3 -c %s",
        f"import sqlite3; c = sqlite3.connect({FILE!r}); c.execute('PRAGMA user_version = 9'); c.commit()",
    )
    run = play("finalize.yml", *YES)
    assert run.rc == 2 and run.changed == 0 and "somebody wrote to" in run.failure
    host.check_output(f"cp -a /root/file {FILE}")


@slow
def test_nobody_is_asked_so_nothing_happens(host: Host) -> None:
    before = host.check_output(TREE)
    run = play("finalize.yml", *NOW)
    assert run.rc == 2 and run.changed == 0 and "Not confirmed" in run.failure
    for word in ("no longer possible afterwards", "rollback_data=backup", "to undo it"):
        assert word in run.told
    assert host.check_output(TREE) == before


def test_killed_in_the_middle_it_is_finished_by_the_next_run(host: Host) -> None:
    told = answers(host)
    kept = host.check_output(f"sha256sum <{FILE}")
    with held_at("finalize : Was it begun before", "finalize.yml", *YES) as go_on:
        kill_at("finalize : Note it", "finalize.yml", *YES)
        late = go_on()
        assert late.rc == 2 and late.changed == 0 and "Another operation ran" in late.failure
    host.check_output(f"echo x >{FILE}-wal")
    refused = play("finalize.yml")
    assert refused.rc == 2 and "wal is not empty" in refused.failure and host.file(FILE).exists
    host.check_output(f"rm {FILE}-wal")
    # the gates are not asked again: the backup may be too old by now
    run = play("finalize.yml", "-e", "finalize_backup_hours=0")
    assert run.rc == 0, run.failure
    assert "FINALISED: the app lives on PostgreSQL alone" in run.told
    assert not host.file(FILE).exists and answers(host) == told
    archive = f"{MIGRATION}/kept/archive"
    assert host.check_output(f"gunzip --to-stdout {archive}/*.gz | sha256sum") == kept
    names = host.check_output(f"ls {archive}").split()
    assert [name.rpartition(".")[2] for name in names] == ["gz", "sha256"]
    lines = host.file("/opt/brainer/.dockerignore").content_string.splitlines()
    assert lines == ["*", "!api", "*.db"]
    assert host.check_output(f"find {MIGRATION}/runs -name 'api-*.json'") == ""
    assert host.check_output(f"find {MIGRATION}/runs -name report.json") != ""
    assert not host.file(f"{MIGRATION}/lock.json").exists


def test_run_again_it_is_already_so(host: Host) -> None:
    run = play("finalize.yml", *YES)
    assert run.rc == 0 and run.changed == 0 and "ALREADY FINALISED" in run.told


def test_the_other_playbooks_know_it(host: Host) -> None:
    told = answers(host)
    looked = play("rollback.yml", "--tags", "assess")
    assert looked.rc == 0 and looked.changed == 0
    for word in ("lossless closed finalised at", "frozen closed finalised", "backup OPEN"):
        assert word in looked.told
    for words in ((), ("-e", "rollback_side=sqlite")):
        refused = play("rollback.yml", "-e", "rollback_confirm=true", *words)
        assert refused.rc == 2 and refused.changed == 0
        assert "rollback_data=backup" in refused.failure
    migrated = play("migrate.yml", *SHORT)
    assert migrated.rc == 0 and migrated.changed == 0 and "ALREADY MIGRATED" in migrated.told
    verified = play("verify.yml", "-e", "verify_copies=false")
    assert verified.rc == 0 and "since then 1 added" in verified.told
    assert play("status.yml", "--tags", "check").rc == 0
    assert not host.file(FILE).exists and answers(host) == told


@slow
def test_undone_as_the_readme_says_and_ended_again(host: Host) -> None:
    readme = (ROOT / "roles/finalize/README.md").read_text(encoding="utf-8")
    (undo,) = re.findall(r"^    cd .+\n(?:    .+\n)+", readme, re.MULTILINE)
    host.check_output("bash -euc %s", undo)
    sha256 = host.check_output(f"sha256sum <{FILE}").split()[0]
    assert sha256 == json.loads(host.file(f"{MIGRATION}/kept/record.json").content_string)["sha256"]
    looked = play("rollback.yml", "--tags", "assess")
    assert looked.rc == 0 and "lossless OPEN" in looked.told and "frozen OPEN" in looked.told
    run = play("finalize.yml", *YES)
    assert run.rc == 0, run.failure
    assert not host.file(FILE).exists


def test_back_to_sqlite_through_a_backup(host: Host) -> None:
    write(host, "after")
    told = answers(host)
    assert play("backup.yml").rc == 0
    run = play(
        "rollback.yml", "-e", "rollback_data=backup", "-e", "rollback_accept_loss=true", "-e", "rollback_confirm=true",
    )  # fmt: skip
    assert run.rc == 0, run.failure
    assert answers(host) == told
    health = json.loads(host.check_output("curl -sS http://127.0.0.1:8000/health"))
    assert health["database"] == "sqlite"
    assert host.file(FILE).user == host.file("/opt/brainer/data").user
    assert not host.file(f"{MIGRATION}/finalized.json").exists
    refused = play("finalize.yml", *YES)
    assert refused.rc == 2 and refused.changed == 0
    assert "does not live on PostgreSQL" in refused.failure and "migrate.yml" in refused.failure
