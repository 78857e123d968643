"""Something fails while the app is down: it runs on SQLite again, by itself, with all it had."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

import pytest
from brainer import psql
from controller import Run, finish, play, slow, start
from sides import (
    MIGRATION,
    OVERRIDE,
    SHORTER,
    broken_on_postgresql,
    on_postgresql,
    on_sqlite,
    reset,
)
from testinfra.host import Host


@pytest.fixture
def app_on_sqlite(host: Host) -> None:
    reset(host)


def turned_back(run: Run, *words: str) -> None:
    assert run.rc == 2
    for word in (*words, "runs on SQLite again", "Next:"):
        assert word in run.failure
    assert len(run.failure) < 4000, "one screen"


@pytest.mark.usefixtures("app_on_sqlite")
def test_an_app_that_does_not_become_healthy(host: Host) -> None:
    broken_on_postgresql(host)
    run = play("migrate.yml", "-e", "backend_health_timeout=12", *SHORTER)
    turned_back(run, "not healthy")
    on_sqlite(host)
    assert psql(host, "SELECT held FROM migrate_db.state") == "t", "nobody may write there"

    host.check_output(f"rm {OVERRIDE}")
    # the proved copy is there: both sides can be compared, with the API on each
    compared = play("verify.yml", "-e", "verify_copies=false")
    assert compared.rc == 0 and compared.changed == 0
    assert "EQUAL" in compared.output and "API on both" in compared.output
    psql(host, "DELETE FROM exercises WHERE id = (SELECT max(id) FROM exercises)")
    different = play("verify.yml", "-e", "verify_copies=false")
    assert different.rc == 2 and "1 only on SQLite" in different.output
    assert "playbooks/migrate.yml brings all of it up" in different.failure
    on_sqlite(host)


@pytest.mark.usefixtures("app_on_sqlite")
def test_an_api_that_answers_differently(host: Host) -> None:
    # Every value is right and proved, and yet the app would show 0.333333 for 1/3.
    psql(host, "ALTER DATABASE brainer SET extra_float_digits = -9")
    run = play("migrate.yml", *SHORTER)
    turned_back(run, "does not answer on PostgreSQL as it did on SQLite", "/api/")
    on_sqlite(host)


@slow
@pytest.mark.usefixtures("app_on_sqlite")
def test_a_program_that_is_killed_while_the_app_is_down(host: Host) -> None:
    with ThreadPoolExecutor() as pool, start("migrate.yml", *SHORTER) as process:
        killed = pool.submit(host.check_output, "python3 /root/faults/catch.py KILL cut_over")
        run = finish(process)
        assert killed.result().isdigit()
    turned_back(run)
    on_sqlite(host)
    journal = [
        json.loads(line)
        for line in host.file(f"{MIGRATION}/journal.jsonl").content_string.splitlines()
    ]
    assert ("failed", "cut over") in [(entry["event"], entry["name"]) for entry in journal]
    assert not host.file(f"{MIGRATION}/lock.json").exists


class TestTargetOfSomebodyElse:
    @pytest.fixture(scope="class", autouse=True)
    def foreign(self, host: Host) -> None:
        """Tables and rows that no migration knows of; the test before left them."""
        reset(host, "foreign")
        psql(host, "UPDATE courses SET title = 'precious' WHERE id = (SELECT min(id) FROM courses)")

    def test_it_is_refused_with_its_counts_and_the_option(self, host: Host) -> None:
        run = play("migrate.yml", *SHORTER)
        assert run.rc == 2
        rows = psql(host, "SELECT count(*) FROM exercises")
        for word in (
            "not empty",
            f"exercises: {rows} rows",
            "migration_replace=true",
            "not touched",
        ):
            assert word in run.failure
        on_sqlite(host, untouched=True)
        assert psql(host, "SELECT count(*) FROM courses WHERE title = 'precious'") == "1"

    def test_with_the_option_a_dump_is_kept_first(self, host: Host) -> None:
        assert play("migrate.yml", "-e", "migration_replace=true", *SHORTER).rc == 0
        on_postgresql(host)
        (dump,) = host.check_output(f"find {MIGRATION}/kept -name '*.dump'").splitlines()
        restored = f"docker exec -i brainer-postgres pg_restore --data-only -t courses -f - <{dump}"
        assert "precious" in host.check_output(restored)
