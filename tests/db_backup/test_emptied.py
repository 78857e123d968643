"""The data is lost, an empty server is backed up: it is told, and what there is of the data stays within reach."""

import json
import shutil
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from db_backup import manifest
from psycopg.conninfo import conninfo_to_dict

from .program import Program, Result, ask
from .test_offsite import elsewhere  # noqa: F401 - a fixture
from .test_retention import at

_EMPTY = "DROP SCHEMA public CASCADE; CREATE SCHEMA public; CREATE TABLE course (id int)"


def broken(program: Program, **changed: str) -> dict[str, str]:
    """Limits that are broken, with what is said of each."""
    told = program("status", max_drill_age_days="0", **changed)
    return {one["name"]: one["text"] for one in told.report["limits"] if not one["ok"]}


def later(monkeypatch: pytest.MonkeyPatch, program: Program, days: int, **changed: str) -> Result:
    """A night so many days after the newest set."""
    last: datetime = manifest.parse(program.sets[-1].rpartition("-")[2])
    with at(monkeypatch, last + timedelta(days=days)):
        return program("nightly", **changed)


@pytest.mark.parametrize("command", ["nightly", "backup"])
def test_it_is_told_until_there_are_rows_again(program: Program, command: str) -> None:
    good = program.backup()
    ask(program.url, _EMPTY)
    told = program(command)
    assert told.code == 5 and "not a single row" in told.error, told.error
    assert f"db_backup restore {good} --replace" in told.error and "1,005 rows" in told.error
    empty = program.sets[-1]
    assert told.report["set"] == empty != good, "it is kept"
    assert program("verify", "all").code == 0
    bad = broken(program)
    assert set(bad) == {"rows", "failed since"}
    assert f"db_backup restore {good} --replace" in bad["rows"]
    assert program(command).code == 5, "not only the first night"
    if command == "nightly":
        assert program("backup", "--before").code == 0, "nobody means that one by latest"
    assert program("restore", good, "--replace").code == 0
    assert program(command).code == 0 and broken(program) == {}
    assert program("restore", "--forget").code == 0


def test_the_newest_is_not_taken_by_itself(program: Program, admin_url: str) -> None:
    good = program.backup()
    ask(program.url, _EMPTY)
    assert program("backup").code == 5
    empty = program.sets[-1]
    look = f"{conninfo_to_dict(program.url)['dbname']}__look"
    for words, again in (
        (["restore", "latest", "--replace"], f"db_backup restore {good} --replace"),
        (["restore", "--as", look], f"db_backup restore --as {look} {good}"),
        (["restore", f"{manifest.now():%Y-%m-%d}"], f"db_backup restore {good}"),
        (["drill"], f"db_backup drill {good}"),
        (["with"], f"db_backup with {good} -- COMMAND"),
    ):
        refused = program(*words)
        assert refused.code == 1 and again in refused.error, refused.error
    assert ask(program.url, "SELECT count(*) FROM course") == [(0,)]
    assert program("compare").code == 0, "a question is answered"
    done = program("restore", empty, "--as", look)
    assert done.code == 0 and done.report["rows"] == 0, "by its name it is"
    ask(admin_url, f"DROP DATABASE {look}")


def test_an_app_that_is_empty_from_the_start_is_nothing_to_say(program: Program) -> None:
    ask(program.url, _EMPTY)
    assert [program("nightly").code, program("nightly").code] == [0, 0]
    assert broken(program) == {}
    assert program("restore", "latest", "--replace").code == 0
    assert program("restore", "--forget").code == 0
    ask(program.url, "INSERT INTO course VALUES (1)")
    assert program("nightly").code == 0


def test_what_has_rows_outlives_any_number_that_have_none(
    program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    program.backup()
    words = {"keep_days": "1", "keep_weeks": "0", "keep_months": "0", "keep_least": "1"}
    assert later(monkeypatch, program, 2, **words).code == 0
    (good,) = program.sets
    ask(program.url, _EMPTY)
    for _ in range(3):
        assert later(monkeypatch, program, 2, **words).code == 5
        assert program.sets[0] == good and len(program.sets) == 2
    ask(program.url, "INSERT INTO course VALUES (1)")
    assert later(monkeypatch, program, 2, **words).code == 0
    assert len(program.sets) == 1 and good not in program.sets


def test_elsewhere_too(
    program: Program,
    elsewhere: dict[str, str],  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config = tmp_path / "config.json"
    few = {"offsite_keep_days": 1, "offsite_keep_weeks": 0, "offsite_keep_months": 0}
    config.write_text(json.dumps(few))
    words = {"config": str(config), "keep_least": "1", **elsewhere}
    good = program("nightly", **words).report["set"]
    ask(program.url, _EMPTY)
    told = later(monkeypatch, program, 3, **words)
    assert told.code == 5 and "not a single row" in told.error, told.error
    there = program("list", "--offsite", **words).report["sets"]
    assert there == [good, told.report["set"]], "sent, and nothing gone because of it"
    shutil.rmtree(program.directory)
    with at(monkeypatch, manifest.now() + timedelta(days=4)):
        refused = program("restore", "latest", "--offsite", "--replace", **words)
    assert refused.code == 1 and f"restore --offsite {good} --replace" in refused.error
    assert program.sets == []
    done = program("restore", good, "--offsite", "--replace", **words)
    assert done.code == 0 and done.report["rows"] == 1005, done.error
    assert program("restore", "--forget").code == 0
