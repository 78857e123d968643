"""The app is on SQLite and in use. `migrate.yml --check` ran just before; what follows only looks, too."""

import json

import pytest
from controller import SCRATCH, play
from testinfra.host import Host

TABLES = ("courses", "parts", "chapters", "exercises")


def unchanged(host: Host) -> None:
    """The app never noticed anything."""
    identity = "docker inspect --format '{{ .Id }} {{ .State.StartedAt }}' brainer-backend-1"
    assert (
        host.check_output(identity)
        == host.file("/root/e2e/container.before").content_string.strip()
    )
    assert host.run("cmp /opt/brainer/.env /root/e2e/env.before").rc == 0
    assert host.check_output("ls -A /opt/brainer").split() == [".env", "data", "docker-compose.yml"]
    # the writer's own journal comes and goes with each of its writes
    beside = set(host.check_output("ls -A /opt/brainer/data").split()) - {"brainer.db-journal"}
    assert beside == {"brainer.db"}
    assert host.check_output("systemctl is-active writer") == "active", "the API refused something"


class TestDryRun:
    """Molecule's own step `check` was `migrate.yml --check`."""

    def test_it_shows_the_plan(self) -> None:
        said = (SCRATCH / "ansible.log").read_text()
        assert "would be loaded in this order" in said
        places = [said.index(f"  {table}: ") for table in TABLES]
        assert places == sorted(places), "parents first"

    def test_it_made_nothing(self, host: Host) -> None:
        unchanged(host)
        assert not host.file("/opt/brainer-db").exists
        assert not host.file("/usr/local/bin/migrate_db").exists
        assert host.check_output("docker ps --all --format '{{ .Names }}'") == "brainer-backend-1"
        assert host.check_output("docker volume ls --quiet --filter name=brainer-postgres") == ""
        assert host.check_output("find /tmp /var/tmp -name 'toolkit*' -o -name 'migrate*'") == ""


def test_preflight_alone_makes_nothing_either(host: Host) -> None:
    run = play("migrate.yml", "--tags", "preflight", inside=True)
    assert run.rc == 0 and run.changed == 0
    assert "would be loaded in this order" in run.output
    assert not host.file("/opt/brainer-db").exists
    unchanged(host)


def test_there_is_nothing_to_compare_with_yet(host: Host) -> None:
    run = play("verify.yml")
    assert run.rc == 2 and run.changed == 0
    assert "There is no PostgreSQL" in run.failure and "site.yml" in run.failure


@pytest.fixture(scope="module")
def said() -> str:
    # -vvv: a secret must not be seen there either
    run = play("migrate.yml", "-vvv", "-e", "migration_rehearse=true", inside=True)
    assert run.rc == 0
    return run.output


class TestRehearsal:
    def test_it_proves(self, said: str) -> None:
        assert "REHEARSED" in said
        assert all(f"  {table}: " in said for table in TABLES)

    def test_the_app_noticed_nothing(self, said: str, host: Host) -> None:
        unchanged(host)

    def test_nothing_is_left_in_postgresql(self, said: str, host: Host) -> None:
        query = (
            "SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace"
            " WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'"
        )
        psql = "docker exec brainer-postgres psql -U postgres -d brainer -Atc"
        assert host.check_output(f"{psql} %s", query) == "0"
        assert (
            host.check_output(f"{psql} %s", "SELECT to_regnamespace('migrate_db') IS NULL") == "t"
        )
        held = "SELECT count(*) FROM pg_db_role_setting WHERE setrole = 'brainer'::regrole"
        assert host.check_output(f"{psql} %s", held) == "0"

    def test_its_report_says_that_it_was_one(self, said: str) -> None:
        (report,) = (SCRATCH / "reports").glob("*/*/load.json")
        told = json.loads(report.read_text())
        assert told["verdict"] == "rehearsed" and not told["changed"]
        assert report.with_suffix(".html").exists()

    def test_no_password_was_shown(self, said: str, host: Host) -> None:
        for secret in ("password", "superuser_password"):
            value = host.file(f"/opt/brainer-db/postgres/secrets/{secret}").content_string.strip()
            assert len(value) > 15 and value not in said


class TestCopies:
    """Before the migration, verify.yml tries the app on copies."""

    def test_an_app_that_answers_otherwise_is_told(self, host: Host) -> None:
        """On SQLite, a course may get the number of one that was deleted; on PostgreSQL never."""
        course = {"method": "POST", "path": "/api/courses", "status": 201, "as": "c"}
        steps = [
            course | {"body": {"slug": "sides-x", "title": "x"}},
            {"method": "DELETE", "path": "/api/courses/{c}", "status": 204},
            course | {"body": {"slug": "sides-y", "title": "y"}},
        ]
        run = play("verify.yml", "-e", json.dumps({"sides_writes": steps}))
        assert run.rc == 2 and run.changed == 0
        assert "2 of 3 requests answered alike" in run.told and "were not touched" in run.failure

    def test_nothing_is_left_of_them(self, host: Host) -> None:
        unchanged(host)
        names = host.check_output("docker ps --all --format '{{ .Names }}'").split()
        assert sorted(names) == ["brainer-backend-1", "brainer-postgres"]
        listed = host.check_output("docker exec brainer-postgres psql -U postgres -Atc '\\l'")
        assert "brainer__" not in listed and not host.file("/opt/brainer-db/sides").exists
