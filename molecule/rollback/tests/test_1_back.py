"""Converge has migrated. Then a day on PostgreSQL, the way back, and the way there once more."""

from __future__ import annotations

import json
import re
import time

import pytest
from brainer import answers, written
from controller import SCRATCH, held_at, play, slow
from sides import (
    BEFORE,
    FILE,
    LOSS,
    MIGRATION,
    TARGET,
    YES,
    again,
    migrated,
    on_postgresql,
    on_sqlite,
)
from testinfra.host import Host


@pytest.fixture(scope="module", autouse=True)
def remembered(host: Host) -> None:
    """What `again.sh` puts back."""
    host.check_output(f"cp -a /opt/brainer/.env {BEFORE}/env.postgres")
    host.check_output(f"printf %%s %s >{BEFORE}/target", TARGET)


def away(told: str) -> float:
    """Seconds that the app did not answer, as the playbook says."""
    (seconds,) = re.findall(r"the app was away for ([0-9.]+) s", told)
    return float(seconds)


def test_the_assessment_says_all_and_changes_nothing(host: Host) -> None:
    told = written(host)
    # a session tells the server what it wrote when it has been idle for ten seconds
    time.sleep(11)
    tree = f"find {MIGRATION} /opt/brainer -printf '%p %m %T@ %s\\n' | sort"
    before = host.check_output(tree)
    run = play("rollback.yml", "--tags", "assess")
    assert run.rc == 0 and run.changed == 0
    for word in (
        "on PostgreSQL, healthy",
        "the app lives there since",
        "8 rows added, 8 changed, 5 removed",
        "proved",
        "lossless OPEN",
        "backup OPEN",
        "frozen OPEN",
        "NOW: nothing need be done",
    ):
        assert word in run.told
    assert host.check_output(tree) == before
    on_postgresql(host, told)


def test_nobody_is_asked_so_nothing_happens(host: Host) -> None:
    told = answers(host)
    run = play("rollback.yml")
    assert run.rc == 2 and run.changed == 0
    for word in ("Not confirmed", "Nothing was changed", "rollback_confirm=true"):
        assert word in run.failure
    assert "courses: 1 rows added, 1 changed, 0 removed" in run.output, "it said what would be"
    on_postgresql(host, told)


def test_every_answer_is_what_it_was_on_postgresql(host: Host) -> None:
    told = answers(host)
    first = host.check_output(f"sha256sum <{MIGRATION}/kept/brainer.db")
    with held_at("rollback : Where things stand", "rollback.yml", *YES) as go_on:
        run = play("rollback.yml", *YES)
        assert run.rc == 0, run.failure
        # what it was shown is no longer so: it would write over the file that the app is on by now
        late = go_on()
        assert late.rc == 2 and late.changed == 0 and "Another operation ran" in late.failure
    on_sqlite(host, told)
    for word in (
        "ROLLED BACK (lossless)",
        "courses: 1 rows added, 1 changed, 0 removed",
        "exercises: 1 rows added, 1 changed, 1 removed",
        "carried back: 9 rows",
        "API before and after: equal",
        "it was backed up first",
    ):
        assert word in run.told
    # 10 s on a quiet machine; this one tests other things meanwhile
    assert 0 < away(run.told) < 60
    assert host.check_output(f"sha256sum <{MIGRATION}/kept/brainer.db") == first
    (report,) = (SCRATCH / "reports").glob("*/*/rollback.json")
    assert json.loads(report.read_text())["verdict"] == "reversed"
    journal = host.file(f"{MIGRATION}/journal.jsonl").content_string.splitlines()[-4:]
    assert [json.loads(line)["event"] for line in journal] == ["begin", "start", "end", "finish"]


def test_run_again_it_finds_the_app_there(host: Host) -> None:
    told = answers(host)
    run = play("rollback.yml", *YES)
    assert run.rc == 0 and run.changed == 0 and "ALREADY ON SQLITE" in run.output
    on_sqlite(host, told)


def test_the_app_writes_on_and_no_number_comes_twice(host: Host) -> None:
    before = {table: max(map(int, rows)) for table, rows in json.loads(answers(host)).items()}
    after = {table: max(map(int, rows)) for table, rows in json.loads(written(host)).items()}
    assert all(number > before[table] for table, number in after.items()), (before, after)


def test_migrated_again_it_ends_proved(host: Host) -> None:
    run = migrated(host)
    assert "MIGRATED" in run.output and "API before and after: equal" in run.output


class TestFrozen:
    """As it was at the cut-over: what is given up is said, accepted, and kept."""

    def test_it_is_refused_until_it_is_accepted(self, host: Host) -> None:
        told = written(host)
        run = play("rollback.yml", "-e", "rollback_data=frozen", *YES)
        assert run.rc == 2 and run.changed == 0
        assert "rollback_accept_loss=true" in run.failure
        assert "exercises: 1 rows added, 1 changed, 1 removed" in run.output
        assert "LOST" in run.output
        on_postgresql(host, told)

    def test_then_the_rows_are_kept_in_a_file(self, host: Host) -> None:
        run = play("rollback.yml", "-e", "rollback_data=frozen", *LOSS)
        assert run.rc == 0, run.failure
        (path,) = re.findall(r"given up: (\S+given-up\.jsonl)", run.told)
        rows = [json.loads(line) for line in host.file(path).content_string.splitlines()]
        kinds = [(row["table"], row["kind"]) for row in rows]
        assert sorted(kind for table, kind in kinds if table == "exercises") == [
            "different",
            "extra",
            "missing",
        ]
        assert len(rows) == 9
        assert host.run(f"cmp {FILE} {MIGRATION}/kept/brainer.db").rc == 0
        on_sqlite(host, answers(host))
        again(host)

    @slow
    def test_migrated_again_it_is_what_sqlite_has(self, host: Host) -> None:
        assert play("rollback.yml", "-e", "rollback_data=frozen", *LOSS).rc == 0
        migrated(host)
