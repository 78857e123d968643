"""What was wrong lately, as the samples tell it."""

from __future__ import annotations

from typing import Any

import pytest
from db_status.history import History

from .program import Program, Result

BEGAN = 1_700_000_000  # 2023-11-14T22:13:20Z
UP: dict[str, Any] = {
    "state": "running",
    "health": "",
    "started": "a",
    "restarts": 0,
    "oom_kills": 0,
}


@pytest.fixture
def program(tmp_path: Any) -> Program:
    """Asks nobody: the samples are enough."""
    return Program("", "db", tmp_path)


def told(program: Program, *bodies: dict[str, Any], words: tuple[str, ...] = ()) -> Result:
    """A sample each five minutes; both containers run unless something else is said."""
    history = History(program.history, 100)
    for number, body in enumerate(bodies):
        both = {"db": {**UP, **body.get("db", {})}, "app": {**UP, **body.get("app", {})}}
        there = {name: row for name, row in both.items() if name not in body.get("gone", ())}
        said = {"down": body["down"]} if "down" in body else {}
        history.add({"containers": there, **said}, BEGAN + number * 300)
    result = program("history", "--also", "app", *words)
    assert result.code == 0, result.error
    return result


def whats(result: Result) -> list[str]:
    return [one["what"] for one in result.report["incidents"]]


def test_nothing_was_sampled(program: Program) -> None:
    result = program("history")
    assert (
        result.code == 0 and result.report["samples"] == 0 and "nothing was sampled" in result.text
    )


def test_nothing_was_wrong(program: Program) -> None:
    result = told(program, {}, {}, {"app": {"health": "starting"}}, {"gone": ("db", "app")})
    assert whats(result) == [] and "4 samples from 2023-11-14T22:13:20Z" in result.text


def test_one_trouble_from_its_first_sample_to_its_last(program: Program) -> None:
    down = {"down": "connection refused"}
    result = told(program, {}, down, {"down": "starting up"}, {}, down)
    first, second = result.report["incidents"]
    assert (first["begun"], first["ended"]) == ("2023-11-14T22:18:20Z", "2023-11-14T22:23:20Z")
    assert first["evidence"] == "connection refused" and second["begun"] == second["ended"]
    assert "the server did not answer: connection refused" in result.text


@pytest.mark.parametrize(
    ("body", "what"),
    [
        ({"app": {"state": "exited", "health": "healthy"}}, "container app did not serve"),
        ({"app": {"health": "unhealthy"}}, "container app did not serve"),
        ({"db": {"state": "restarting"}}, "container db did not serve"),
        ({"gone": ("app",)}, "container app was not there"),
        ({"app": {"restarts": 1, "started": "b"}}, "container app was restarted by the engine"),
        ({"db": {"oom_kills": 2}}, "the kernel killed a process in db"),
    ],
)
def test_each_trouble_is_found_and_ends(program: Program, body: dict[str, Any], what: str) -> None:
    after = {
        name: {**row, "state": "running", "health": ""}
        for name, row in body.items()
        if name != "gone"
    }
    result = told(program, {}, body, after, {"app": {"started": "made anew"}})
    assert whats(result) == [what]
    assert result.report["incidents"][0]["ended"] == "2023-11-14T22:18:20Z"


def test_containers_that_nobody_named_may_end(program: Program) -> None:
    told(program, {}, {"app": {"state": "exited"}})
    result = program("history")
    assert whats(result) == []


def test_since(program: Program) -> None:
    result = told(
        program, {"down": "x"}, {}, {"down": "y"}, words=("--since", "2023-11-14T22:20:00Z")
    )
    assert [one["evidence"] for one in result.report["incidents"]] == ["y"]


def test_a_time_that_is_none(program: Program, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        program("history", "--since", "yesterday")
    assert ended.value.code == 2 and "yesterday is no time" in capsys.readouterr().err
