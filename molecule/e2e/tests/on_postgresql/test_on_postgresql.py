"""The app was moved while it was in use. Nothing may be lost, and nothing else may have changed."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from controller import ROOT, SCRATCH, Run, play
from testinfra.host import Host

Rows = dict[str, dict[str, Any]]
SECRETS = "/opt/brainer-db/postgres/secrets"
MIGRATION = "/opt/brainer-db/migration"


def ask(host: Host, verb: str, path: str, body: object = None) -> tuple[int, Any]:
    answer = host.check_output(
        "curl -sS -X %s -H 'Content-Type: application/json' -d %s -w '\\n%%{http_code}' %s",
        verb, json.dumps(body), f"http://127.0.0.1:8000{path}",
    )  # fmt: skip
    text, _, status = answer.rpartition("\n")
    return int(status), json.loads(text) if text else None


@pytest.fixture(scope="module")
def written(host: Host) -> list[dict[str, Any]]:
    """What a user did until the API first refused."""
    return [
        json.loads(line)
        for line in host.file("/root/e2e/written.jsonl").content_string.splitlines()
    ]


@pytest.fixture(scope="module")
def run_directory() -> Path:
    """Reports of the migration: the run that has both, unlike a rehearsal."""
    (report,) = (SCRATCH / "reports").glob("*/*/cut_over.json")
    return report.parent


def report(directory: Path, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((directory / f"{name}.json").read_text())
    return found


class TestData:
    def test_the_app_answers_from_postgresql(self, host: Host) -> None:
        assert ask(host, "GET", "/health") == (200, {"status": "ok", "database": "postgresql"})

    def test_the_user_was_refused_once_and_had_done_much(
        self, written: list[dict[str, Any]]
    ) -> None:
        verbs = [done["verb"] for done in written]
        assert verbs.count("refused") == 1 and verbs[-1] == "refused"
        assert min(verbs.count(verb) for verb in ("POST", "PATCH", "DELETE")) > 3

    def test_every_answer_is_as_before_and_no_acknowledged_write_is_lost(
        self, host: Host, written: list[dict[str, Any]]
    ) -> None:
        expected: dict[str, Rows] = json.loads(host.file("/root/e2e/answers.before").content_string)
        assert sum(len(rows) for rows in expected.values()) > 2000
        for done in written[:-1]:
            if done["verb"] == "DELETE":
                del expected["courses"][str(done["row"]["id"])]
            else:
                expected["courses"][str(done["row"]["id"])] = done["row"]
        now: dict[str, Rows] = json.loads(host.check_output("python3 /root/e2e/ask.py"))
        assert now.keys() == expected.keys()
        for table, rows in expected.items():
            assert now[table].keys() == rows.keys(), table
            for key, row in rows.items():
                # as text: to Python 1, 1.0 and True are equal
                assert json.dumps(now[table][key], sort_keys=True) == json.dumps(
                    row, sort_keys=True
                )

    def test_what_was_written_after_the_snapshot_was_taken_along(self, run_directory: Path) -> None:
        told = report(run_directory, "cut_over")
        (courses,) = (done for done in told["caught_up"] if done["table"] == "courses")
        assert courses["added"] > 0 and courses["changed"] > 0 and courses["removed"] > 0

    def test_new_rows_get_new_numbers(self, host: Host, written: list[dict[str, Any]]) -> None:
        used = max(done["row"]["id"] for done in written if done["verb"] == "POST")
        status, course = ask(host, "POST", "/api/courses", {"slug": "after", "title": "After"})
        assert status == 201 and course["id"] > used
        parts: Rows = json.loads(host.check_output("python3 /root/e2e/ask.py"))["parts"]
        status, part = ask(
            host, "POST", "/api/parts", {"course_id": course["id"], "position": 1, "title": "After"}
        )
        assert status == 201 and part["id"] > max(map(int, parts))


class TestSource:
    def test_nobody_can_write_to_it(self, host: Host) -> None:
        assert host.file("/opt/brainer/data/brainer.db").mode & 0o222 == 0

    def test_nothing_is_left_beside_it(self, host: Host) -> None:
        assert host.check_output("ls -A /opt/brainer/data") == "brainer.db"

    def test_the_kept_copy_is_what_was_proved(self, host: Host, run_directory: Path) -> None:
        kept = host.file(f"{MIGRATION}/kept/brainer.db")
        assert kept.mode == 0o400 and kept.user == "root"
        assert (
            hashlib.sha256(kept.content).hexdigest()
            == report(run_directory, "cut_over")["source"]["sha256"]
        )

    def test_it_is_as_the_app_left_it(self, host: Host) -> None:
        # byte for byte but for the header's counters, which a backup sets anew
        compare = "cmp -l /opt/brainer/data/brainer.db %s/kept/brainer.db | awk '$1 > 100' | wc -l"
        assert host.check_output(compare % MIGRATION) == "0"


class TestEnvFile:
    def test_two_values_changed_and_every_other_byte_did_not(self, host: Host) -> None:
        before = host.file("/root/e2e/env.before").content
        after = host.file("/opt/brainer/.env").content
        added = b"\nDATABASE_URL="
        head, _, url = after.rpartition(added)
        assert head == before.replace(b"DB_TYPE=sqlite", b"DB_TYPE=postgres", 1)
        password = host.file(f"{SECRETS}/password").content_string.strip()
        assert (
            unquote(url.decode().strip())
            == f"postgresql://brainer:{password}@postgres:5432/brainer"
        )

    def test_owner_and_mode_are_the_operators(self, host: Host) -> None:
        form = "stat --format '%%U:%%G %%a' %s"
        before = host.check_output(form, "/root/e2e/env.before")
        assert host.check_output(form, "/opt/brainer/.env") == before

    def test_nothing_is_left_beside_it(self, host: Host) -> None:
        assert host.check_output("ls -A /opt/brainer").split() == [
            ".env",
            "backups",
            "data",
            "docker-compose.yml",
        ]
        assert not host.file(f"{MIGRATION}/env.before").exists


class _Page(HTMLParser):
    """Elements that are open, and the text."""

    EMPTY = ("meta", "br", "link", "hr", "img", "col", "html")  # or may be left open

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag not in self.EMPTY:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


class TestReports:
    @pytest.mark.parametrize(("name", "verdict"), [("load", "migrated"), ("cut_over", "caught up")])
    def test_json(self, run_directory: Path, name: str, verdict: str) -> None:
        told = report(run_directory, name)
        assert told["verdict"] == verdict and told["exit_code"] == 0 and told["changed"]
        proofs = {proof["table"]: proof for proof in told["proof"]["tables"]}
        assert list(proofs) == ["courses", "parts", "chapters", "exercises"]
        for proof in proofs.values():
            assert proof["equal"] > 0
            assert proof["missing"] == proof["extra"] == proof["different"] == 0
        assert len(told["proof"]["sequences"]) == 4

    @pytest.mark.parametrize("name", ["load", "cut_over"])
    def test_html(self, run_directory: Path, name: str) -> None:
        page = _Page()
        page.feed((run_directory / f"{name}.html").read_text(encoding="utf-8"))
        assert page.open == [], "every element is closed"
        for table in report(run_directory, name)["tables"]:
            assert table["name"] in page.text
            assert re.search(rf"{table['rows']:,}|{table['rows']}", page.text)


class TestSecrets:
    """Both passwords: looked for by file, since a command line with one in it would be a find."""

    @pytest.fixture(scope="class", params=["password", "superuser_password"])
    def file(self, request: pytest.FixtureRequest) -> str:
        return f"{SECRETS}/{request.param}"

    @pytest.fixture(scope="class")
    def secret(self, host: Host, file: str) -> str:
        value = host.file(file).content_string.strip()
        assert len(value) > 15
        return value

    def test_not_in_the_output(self, secret: str) -> None:
        said = (SCRATCH / "ansible.log").read_text()
        assert "MIGRATED" in said and secret not in said

    def test_not_in_the_reports(self, secret: str) -> None:
        files = [path for path in (SCRATCH / "reports").rglob("*") if path.is_file()]
        assert len(files) >= 6
        assert not [path for path in files if secret in path.read_text(encoding="utf-8")]

    def test_not_in_journals_logs_and_what_is_left(self, host: Host, file: str) -> None:
        assert host.file(f"{MIGRATION}/journal.jsonl").size > 0
        places = (
            f"{MIGRATION} /var/log /home /root /tmp /var/tmp /usr/local /opt/brainer-db/toolkit"
            " /opt/brainer-db/backup /opt/brainer/backups /etc/cron.d"
        )
        assert (
            host.run(
                f"grep --recursive --files-with-matches --text --fixed-strings --file={file} {places}"
            ).stdout
            == ""
        )
        assert (
            host.run(f"journalctl --no-pager --quiet | grep --fixed-strings --file={file}").stdout
            == ""
        )

    def test_not_in_any_process(self, host: Host, file: str) -> None:
        seen = "/root/e2e/processes"
        assert "migrate_db run" in host.check_output(f"grep --text 'migrate_db run' {seen}"), (
            "somebody watched"
        )
        assert host.run(f"grep --text --fixed-strings --file={file} {seen}").stdout == ""


@pytest.fixture(scope="module")
def verified() -> Run:
    return play("verify.yml", inside=True)


class TestVerify:
    def test_it_is_green_and_changes_nothing(self, verified: Run) -> None:
        assert verified.rc == 0 and verified.changed == 0

    def test_it_knows_that_the_app_writes_on(self, verified: Run) -> None:
        # the two rows of TestData
        assert re.search(
            r"courses: \d+ rows equal, since then 1 added, 0 changed, 0 removed", verified.output
        )
        assert re.search(
            r"parts: \d+ rows equal, since then 1 added, 0 changed, 0 removed", verified.output
        )

    def test_the_app_was_read_and_written_to_on_copies_of_both(self, verified: Run) -> None:
        told = verified.told
        assert re.search(r"read: equal\W+api/courses\S+ (\d+) of \1 listed equal", told)
        assert "14 of 14 requests answered alike" in told and "read again: equal" in told

    def test_nothing_is_left_of_them(self, host: Host, verified: Run) -> None:
        assert_no_copies(host)


def assert_no_copies(host: Host) -> None:
    names = host.check_output("docker ps --all --format '{{ .Names }}'").split()
    assert sorted(names) == ["brainer-backend-1", "brainer-postgres"]
    listed = host.check_output("docker exec brainer-postgres psql -U postgres -Atc '\\l'")
    assert "sides" not in listed
    for path in ("/opt/brainer-db/sides", "/opt/brainer-db/benchmark", f"{MIGRATION}/lock.json"):
        assert not host.file(path).exists


class TestCollection:
    """Built from this directory, installed elsewhere, and called by its name from there."""

    @pytest.fixture(scope="class")
    def installed(self, tmp_path_factory: pytest.TempPathFactory) -> Path:
        built, directory = tmp_path_factory.mktemp("built"), tmp_path_factory.mktemp("installed")
        galaxy = ["ansible-galaxy", "collection"]
        subprocess.run([*galaxy, "build", "--output-path", built], cwd=ROOT, check=True)
        (archive,) = built.iterdir()
        subprocess.run([*galaxy, "install", archive, "--no-deps", "-p", directory], check=True)
        return directory

    def test_its_status_sees_what_is_there(self, installed: Path) -> None:
        run = play("brainer_db.postgres.status", installed=installed)
        assert run.rc == 0 and run.changed == 0
        (page,) = installed.glob("reports/*/status.html")
        assert str(page) in run.output

    def test_its_migration_knows_the_app(self, installed: Path) -> None:
        run = play("brainer_db.postgres.migrate", "--tags", "preflight", installed=installed)
        assert run.rc == 0 and run.changed == 0, run.failure


class TestBackup:
    """The app has lived on PostgreSQL for seconds only, and there is a proved backup already."""

    def test_the_first_one_is_there(self, host: Host) -> None:
        (name,) = host.check_output("ls /opt/brainer/backups").split()
        told = json.loads(host.file(f"/opt/brainer/backups/{name}/manifest.json").content_string)
        rows = {table["name"]: table["rows"] for table in told["contents"]["tables"]}
        assert rows["exercises"] > 1000 and {"courses", "parts", "chapters"} <= rows.keys()
        assert f"BACKED UP: /opt/brainer/backups/{name}" in (SCRATCH / "ansible.log").read_text()

    def test_it_can_be_restored(self, host: Host) -> None:
        said = json.loads(host.check_output("db_backup drill --json --quiet"))
        assert said["verdict"] == "drilled" and said["rows"] > 2000
        assert host.run("db_backup status").rc == 0

    def test_the_next_one_is_scheduled(self, host: Host) -> None:
        assert "0 2 * * * root " in host.file("/etc/cron.d/brainer-backup").content_string


@pytest.fixture(scope="module")
def benchmark() -> Run:
    small = {"rounds": 1, "requests": 200, "seconds": 3, "concurrency": 4}
    words = [f"--extra-vars=benchmark_{name}={value}" for name, value in small.items()]
    return play("benchmark.yml", "-e", "benchmark_confirm=true", *words)


class TestBenchmark:
    """The same load on copies of both sides; the app is not asked."""

    def test_it_is_refused_unless_it_is_wanted(self) -> None:
        refused = play("benchmark.yml")
        assert refused.rc == 2 and refused.changed == 0
        assert "benchmark_confirm=true" in refused.failure

    def test_both_sides_answered_both_loads(self, benchmark: Run) -> None:
        assert benchmark.rc == 0, benchmark.failure
        assert "requests of SQLite: GET /api/courses, 4 at a time" in benchmark.told
        assert "requests of SQLite: 80 % reads, 20 % writes" in benchmark.told
        (page,) = re.findall(r"page: (\S+benchmark)\.html", benchmark.told)
        loads = json.loads(Path(f"{page}.json").read_text())["loads"]
        for load, least in zip(loads, (200, 20), strict=True):
            assert [side["name"] for side in load] == ["SQLite", "PostgreSQL"]
            assert all(side["requests"] >= least and side["per_second"] > 0 for side in load)
            assert load[1]["failed"] == 0, "PostgreSQL has more than one writer"

    def test_the_app_and_its_data_are_as_before(self, host: Host, benchmark: Run) -> None:
        status, rows = ask(host, "GET", "/api/exercises?skip=0&limit=100")
        assert status == 200 and not any(row["question"] == "under load" for row in rows)
        assert_no_copies(host)


def test_the_app_waits_out_a_restart_of_the_server(host: Host) -> None:
    """A setting that needs one: the app's container stays, and it answers with all it had."""
    began = "docker inspect --format '{{ .State.StartedAt }}' brainer-backend-1 brainer-postgres"
    app, server = host.check_output(began).split()
    status, courses = ask(host, "GET", "/api/courses?skip=0&limit=500")
    assert status == 200
    setting = '{"postgres_settings": {"wal_buffers": "4MB"}}'
    run = play("site.yml", "--tags", "tuning", "-e", setting)
    assert run.rc == 0, run.failure
    show = "docker exec brainer-postgres psql -U postgres -Atc 'SHOW wal_buffers'"
    assert host.check_output(show) == "4MB"
    assert ask(host, "GET", "/api/courses?skip=0&limit=500") == (200, courses)
    assert host.check_output(began).split()[0] == app
    assert host.check_output(began).split()[1] != server, "it was restarted"


def test_nothing_of_the_migration_runs_on(host: Host) -> None:
    names = host.check_output("docker ps --all --format '{{ .Names }}'").split()
    assert sorted(names) == ["brainer-backend-1", "brainer-postgres"]
    assert not host.file(f"{MIGRATION}/lock.json").exists
    assert host.file(f"{MIGRATION}/work").listdir() == []
