"""rollback.yml is killed, and run again: nothing is lost or there twice, and never can both sides be written to."""

from __future__ import annotations

import pytest
from brainer import written
from controller import kill_at, play, slow
from sides import YES, again, held, on_sqlite
from testinfra.host import Host

#: In the order of the run; the first of each name.
POINTS = [
    ("migration : Is another operation", slow),
    ("rollback : What was written to PostgreSQL since", slow),
    ("rollback : One operation at a time", slow),
    ("rollback : Name this run", slow),
    ("backend : Measure how long", slow),
    ("backup : Back up and prove", slow),
    ("backend : Start a second container", slow),
    ("rollback : Keep what somebody changed", slow),
    ("rollback : Note that a rollback is under way", slow),
    ("backend : Stop the app", slow),
    ("rollback : Write down the answers", slow),
    ("rollback : Close it", slow),
    ("rollback : Carry back", slow),
    ("rollback : Give it the owner", slow),
    ("backend : The two values", ()),
    ("backend : Start the app", slow),
    ("backend : Wait until the app answers", slow),
    ("rollback : Write down the answers on SQLite|rollback : Compare them", slow),
    ("backend : Remove the second container", slow),
    ("rollback : No rollback is under way", slow),
]


@pytest.mark.parametrize("task", [pytest.param(task, marks=marks) for task, marks in POINTS])
def test_killed_and_run_again(host: Host, task: str) -> None:
    told = written(host)
    kill_at(task, "rollback.yml", *YES)
    if "DB_TYPE=sqlite" in host.file("/opt/brainer/.env").content_string:
        held(host)
    if task.startswith(("rollback : Note that", "rollback : C")):
        refused = play("migrate.yml")
        assert refused.rc == 2 and refused.changed == 0
        assert "rollback was begun" in refused.failure + refused.output
    assert play("rollback.yml", *YES).rc == 0
    on_sqlite(host, told)
    again(host)
