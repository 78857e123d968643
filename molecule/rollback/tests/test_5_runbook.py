"""Each command of docs/runbook.md is run, as it stands there."""

from __future__ import annotations

import re

from brainer import answers, written
from controller import ROOT, kill_at, play, played
from sides import MIGRATION, SHORT, again, on_postgresql, on_sqlite
from testinfra.host import Host

TEXT = (ROOT / "docs" / "runbook.md").read_text(encoding="utf-8")
#: Every indented block, in order; the first one is the two names.
BLOCKS = re.findall(r"(?:^    .+\n)+", TEXT, re.MULTILINE)
NAMES = BLOCKS[0]


def block(word: str) -> str:
    """The block with this word; each has one that no other has."""
    (found,) = (text for text in BLOCKS[1:] if word in text)
    ran.add(found)
    return found


def run(host: Host, text: str) -> str:
    """A whole block by a person's shell, which stops at the first error."""
    return host.check_output("bash -euc %s 2>&1", NAMES + text)


ran: set[str] = set()


def test_look(host: Host) -> None:
    said = run(host, block("tail -n 20"))
    for word in ('"database":"postgresql"', "LIVE", "brainer-20", '"event"', "brainer-postgres"):
        assert word in said
    assert play("doctor.yml").changed == 0


def test_back_to_sqlite_by_hand(host: Host) -> None:
    told = written(host)
    said = run(host, block("migrate_db close --target"))
    assert '"database":"sqlite"' in said
    host.check_output("cp -p /root/faults/.env /opt/brainer/.env")  # but for DATABASE_URL
    host.check_output("/root/faults/up.sh")
    on_sqlite(host, told)


def test_from_there_a_migration_that_was_killed_half_way(host: Host) -> None:
    told = answers(host)
    kill_at("backend : Switch the database", "migrate.yml", *SHORT)
    assert host.file(f"{MIGRATION}/env.before").exists
    run(host, block("rm $M/env.before"))
    host.check_output("rm %s/lock.json", MIGRATION)
    host.check_output("/root/faults/up.sh")
    on_sqlite(host, told)
    again(host)


def test_a_server_that_was_stopped(host: Host) -> None:
    told = answers(host)
    host.check_output("docker stop brainer-postgres")
    run(host, block("docker start brainer-postgres"))
    host.check_output("/root/faults/up.sh")
    on_postgresql(host, told)


def test_a_throw_away_server_with_the_newest_backup(host: Host) -> None:
    told = written(host)
    host.check_output("db_backup backup --quiet")
    file = "/opt/brainer/data/brainer.db"
    kept = host.check_output(f"sha256sum <{file}")
    assert "reversed" in run(host, block("db_backup with latest")).lower()
    assert host.check_output(f"sha256sum <{file}") != kept
    on_postgresql(host, told)


def test_restore_by_hand(host: Host) -> None:
    told = answers(host)
    host.check_output("db_backup drill")  # or status has something to say against it
    run(host, block("db_backup restore --forget"))
    run(host, block("--as look"))
    host.check_output("docker exec brainer-postgres psql -U postgres -c 'DROP DATABASE look'")
    host.check_output("docker compose --project-directory /opt/brainer restart backend")
    host.check_output("/root/faults/up.sh")
    on_postgresql(host, told)


def test_nothing_in_it_was_left_out() -> None:
    left = [text for text in BLOCKS[1:] if text not in ran]
    assert left, "the playbooks"
    for line in "".join(left).splitlines():
        assert line.split()[0] == "ansible-playbook", f"nobody ran: {line}"
        # of an upgrade, scenario upgrade asks the same
        assert "upgrade.yml" in line or played(line), f"nobody ran: {line}"
