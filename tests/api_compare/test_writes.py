"""The requests that verify.yml makes of copies, against the real app on both databases."""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from subprocess import CompletedProcess

import httpx
import pytest
import yaml

from ..brainer.server import running_brainer
from .test_api_compare import run

ROOT = Path(__file__).parents[2]
STEPS = yaml.safe_load((ROOT / "roles" / "sides" / "defaults" / "main.yml").read_text())[
    "sides_writes"
]


class Sides:
    """The app, empty, on each database, and the answers of each in a file."""

    def __init__(self, directory: Path, apps: dict[str, httpx.Client]) -> None:
        self.directory, self.apps = directory, apps

    def write(self, steps: object) -> None:
        for side in self.apps:
            assert self.write_on(side, steps).returncode == 0

    def write_on(self, side: str, steps: object) -> CompletedProcess[str]:
        file = self.directory / "steps.json"
        file.write_text(json.dumps(steps))
        return run(
            "write", "--base", str(self.apps[side].base_url), "--steps", file, "--out", self.directory / f"{side}.json"
        )  # fmt: skip

    def compare(self, *more: str) -> CompletedProcess[str]:
        files = [self.directory / f"{side}.json" for side in self.apps]
        return run("compare-writes", *files, *more)


@pytest.fixture
def sides(tmp_path: Path, database_url: str) -> Iterator[Sides]:
    settings = {"sqlite": {}, "postgres": {"DATABASE_URL": database_url}}
    with ExitStack() as stack:
        apps = {}
        for side, more in settings.items():
            (tmp_path / side / "data").mkdir(parents=True)
            apps[side] = stack.enter_context(running_brainer(tmp_path / side, DB_TYPE=side, **more))
        yield Sides(tmp_path, apps)


def test_the_app_answers_alike_on_both_and_nothing_stays(sides: Sides) -> None:
    sides.write(STEPS)
    told = sides.compare()
    assert told.returncode == 0, told.stdout
    assert f"{len(STEPS)} of {len(STEPS)} requests answered alike" in told.stdout
    for app in sides.apps.values():
        for table in ("courses", "parts", "chapters", "exercises"):
            assert app.get(f"/api/{table}").json() == []


def test_each_verb_is_used_on_purpose() -> None:
    assert {step["method"] for step in STEPS} == {"POST", "PUT", "PATCH", "DELETE", "GET"}
    written = {step["path"].split("/")[2] for step in STEPS if step["method"] == "POST"}
    assert written == {"courses", "parts", "chapters", "exercises"}


def test_what_differs_is_told(sides: Sides) -> None:
    """A row of one side only: its id, and a slug that is taken there."""
    course = {"slug": "sides-b", "title": "only here"}
    sides.apps["postgres"].post("/api/courses", json=course).raise_for_status()
    sides.write(STEPS)
    told = sides.compare("--json")
    assert told.returncode == 3
    found = {(item["path"], item["field"]) for item in json.loads(told.stdout)["differences"]}
    assert ("POST /api/courses", "id") in found
    assert any(field == "status, not 200" for _, field in found)


def test_alike_is_not_enough_when_the_status_is_another(sides: Sides) -> None:
    sides.write([{"method": "DELETE", "path": "/api/courses/7", "status": 204}])
    told = sides.compare()
    assert told.returncode == 3 and "status, not 204" in told.stdout and "404" in told.stdout


def test_moments_of_the_run_count_as_equal_and_no_others(sides: Sides) -> None:
    step = {"method": "POST", "path": "/api/exercises", "status": 201}
    chain = STEPS[:1] + STEPS[2:3] + STEPS[4:5]
    for side, day in (("sqlite", 1), ("postgres", 2)):
        body = {"chapter_id": "{chapter}", "question": "?", "due_at": f"2026-01-0{day}T00:00:00"}
        assert sides.write_on(side, [*chain, step | {"body": body}]).returncode == 0
    told = sides.compare()
    assert told.returncode == 3 and told.stdout.count("before") == 1
    assert "due_at" in told.stdout and "created_at" not in told.stdout


def test_steps_that_would_show_nothing(sides: Sides) -> None:
    for steps, code, why in (
        ([], 2, "must be a list like"),
        ([{"method": "GET", "path": "/health"}], 2, "status"),
        ([{"method": "GET", "path": "health", "status": 200}], 2, "start with /"),
        (
            [{"method": "GET", "path": "/health", "status": 200, "as": "x"}],
            1,
            "no id in the answer",
        ),
    ):
        refused = sides.write_on("sqlite", steps)
        assert refused.returncode == code and why in refused.stderr
