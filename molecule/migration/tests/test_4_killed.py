"""migrate.yml is killed, and run again: it must end in the state that it would have ended in."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

import pytest
from controller import kill, kill_at, play, slow, start
from sides import MIGRATION, SHORT, broken_on_postgresql, container, on_postgresql, on_sqlite, reset
from testinfra.host import Host


@pytest.fixture(autouse=True)
def app_on_sqlite(host: Host) -> None:
    reset(host)


@pytest.mark.parametrize(
    ("task", "words"),
    [
        pytest.param("migration : Scan every value", SHORT, id="in the preflight", marks=slow),
        pytest.param("postgres : ", (), id="in site.yml", marks=slow),
        pytest.param("migration : Load and prove", SHORT, id="after the load", marks=slow),
        pytest.param("migration : What to ask", SHORT, id="after the stop", marks=slow),
        pytest.param("migration : Catch up and prove", SHORT, id="after the catch-up", marks=slow),
        pytest.param("backend : Switch the database", SHORT, id="after the switch"),
        pytest.param("backend : Start the app", SHORT, id="after the start", marks=slow),
        pytest.param("migration : From here on", SHORT, id="before the opening", marks=slow),
        pytest.param("migration : Let the app write", SHORT, id="after the opening", marks=slow),
        pytest.param("migration : Nobody writes", SHORT, id="while watching", marks=slow),
    ],
)
def test_killed_and_run_again(host: Host, task: str, words: tuple[str, ...]) -> None:
    kill_at(task, "migrate.yml", *words)
    assert play("migrate.yml", *words).rc == 0
    on_postgresql(host)


@slow
def test_killed_after_the_switch_and_the_app_does_not_work_there(host: Host) -> None:
    broken_on_postgresql(host)
    kill_at("backend : Switch the database", "migrate.yml", *SHORT)
    # site.yml included: it must not try to bring up what can't come up
    run = play("migrate.yml", "-e", "backend_health_timeout=12")
    assert run.rc == 2 and "runs on SQLite again" in run.failure
    on_sqlite(host)


def test_two_at_once_then_killed_while_loading(host: Host) -> None:
    before = container(host)
    with ThreadPoolExecutor() as pool, start("migrate.yml", *SHORT) as first:
        # the program stands still in its load, so that nothing here is a matter of luck
        frozen = pool.submit(host.check_output, "python3 /root/faults/catch.py STOP load")
        program = frozen.result()
        lock = host.file(f"{MIGRATION}/lock.json").content_string

        second = play("migrate.yml")
        assert second.rc == 2 and second.changed == 0
        for word in (
            "Another operation is at work",
            str(first.pid),
            "Nothing was changed",
            "Next:",
        ):
            assert word in second.failure
        assert "PLAY [Provision]" not in second.output, "it leaves at once"
        assert host.file(f"{MIGRATION}/lock.json").content_string == lock
        kill(first)
    on_sqlite(host, untouched=True)
    assert container(host) == before

    # the killed run's program still holds the database's lock
    assert host.file(f"/proc/{program}").exists
    assert play("migrate.yml", *SHORT).rc == 0
    assert not host.file(f"/proc/{program}").exists
    on_postgresql(host)


class TestLockOfAnotherController:
    @pytest.fixture(autouse=True)
    def held(self, host: Host, app_on_sqlite: None) -> None:
        lock = {
            "id": "20260101T000000Z",
            "operation": "migrate",
            "controller": "elsewhere",
            "process": 1,
        }
        host.check_output(f"mkdir -m 700 {MIGRATION}")
        host.check_output(f"printf %%s %s >{MIGRATION}/lock.json", json.dumps(lock))

    def test_it_is_respected(self, host: Host) -> None:
        run = play("migrate.yml", *SHORT)
        assert run.rc == 2
        for word in ("Another operation", "elsewhere", "migration_break_lock=true"):
            assert word in run.failure
        on_sqlite(host, untouched=True)

    @slow
    def test_until_told_otherwise(self, host: Host) -> None:
        assert play("migrate.yml", "-e", "migration_break_lock=true", *SHORT).rc == 0
        on_postgresql(host)
