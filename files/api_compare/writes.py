"""Make the same requests of an API on each side, writing ones among them, and tell the answers apart."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from urllib.parse import quote

from api_compare.client import Client
from api_compare.compare import Difference
from api_compare.errors import BadInput, Failed
from api_compare.given import read_list
from api_compare.values import field_differences

EXAMPLE = (
    '[{"method": "POST", "path": "/api/courses", "body": {"title": "x"}, "status": 201, "as": "course"},'
    ' {"method": "DELETE", "path": "/api/courses/{course}", "status": 204}]'
)
_KEYS = {"method", "path", "body", "status", "as"}
#: The two sides are asked one after the other, and their clock may be one of a container.
_SLACK = timedelta(seconds=5)
_NOW = "(a moment of this run)"


@dataclass(frozen=True)
class Step:
    """One request. ``{NAME}`` in the path or as a value of the body is the id that the step ``as`` NAME was given."""

    method: str
    path: str
    status: int
    body: Any = None
    name: str = ""


@dataclass
class Answer:
    """What came, with the moments of the run itself made alike."""

    request: str
    expected: int
    status: int
    body: Any


@dataclass
class Told:
    """How many requests were answered alike, and which were not."""

    requests: int = 0
    equal: int = 0
    differences: list[Difference] = field(default_factory=list)


def read_steps(path: Path) -> list[Step]:
    """Read the file.

    Raises:
        BadInput: it is not a list of steps.
    """
    return [_step(path, entry) for entry in read_list(path, EXAMPLE)]


def _step(path: Path, entry: object) -> Step:
    if not isinstance(entry, dict) or not {"method", "path", "status"} <= set(entry) <= _KEYS:
        raise BadInput(f"{path}: {entry!r} must have method, path and status, as in {EXAMPLE}")
    if not str(entry["path"]).startswith("/"):
        raise BadInput(f"{path}: path {entry['path']!r} must start with /")
    return Step(
        method=str(entry["method"]),
        path=str(entry["path"]),
        status=int(entry["status"]),
        body=entry.get("body"),
        name=str(entry.get("as", "")),
    )


def perform(base: str, steps: list[Step], timeout: float) -> list[Answer]:
    """Make the requests, in their order.

    Raises:
        Failed: the API does not answer, or a step that others need was given no id.
    """
    begun = datetime.now(timezone.utc) - _SLACK
    given: dict[str, Any] = {}
    answers: list[Answer] = []
    with Client(base, timeout) as client:
        for step in steps:
            path = step.path
            for name, value in given.items():
                path = path.replace(f"{{{name}}}", quote(str(value), safe=""))
            status, body = client.send(step.method, path, _filled(step.body, given))
            if step.name and isinstance(body, dict) and "id" in body:
                given[step.name] = body["id"]
            elif step.name:
                raise Failed(
                    f"{step.method} {base}{path}: status {status}, and no id in the answer, which later steps need:"
                    f" {json.dumps(body)[:300]}"
                )
            answers.append(Answer(f"{step.method} {path}", step.status, status, body))
    until = datetime.now(timezone.utc) + _SLACK
    for answer in answers:
        answer.body = _alike(answer.body, begun, until)
    return answers


def _filled(body: Any, given: dict[str, Any]) -> Any:
    if isinstance(body, dict):
        return {key: _filled(value, given) for key, value in body.items()}
    if isinstance(body, list):
        return [_filled(value, given) for value in body]
    if isinstance(body, str) and body[:1] == "{" and body[1:-1] in given:
        return given[body[1:-1]]
    return body


def _alike(value: Any, begun: datetime, until: datetime) -> Any:
    if isinstance(value, dict):
        return {key: _alike(item, begun, until) for key, item in value.items()}
    if isinstance(value, list):
        return [_alike(item, begun, until) for item in value]
    if isinstance(value, str) and len(value) > len("2026-11-23") and value[:2] == "20":
        try:
            moment = datetime.fromisoformat(value.replace("Z", "+00:00"))
        except ValueError:
            return value
        if begun <= (moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)) <= until:
            return _NOW
    return value


def write_answers(answers: list[Answer], path: Path) -> None:
    """For ``compare``."""
    try:
        path.write_text(json.dumps([asdict(answer) for answer in answers]), encoding="utf-8")
    except OSError as error:
        raise Failed(f"{path}: {error.strerror}") from error


def read_answers(path: Path) -> list[Answer]:
    """What ``write_answers`` wrote."""
    try:
        return [Answer(**answer) for answer in json.loads(path.read_text(encoding="utf-8"))]
    except OSError as error:
        raise BadInput(f"{path}: {error.strerror}") from error
    except (ValueError, TypeError) as error:
        raise BadInput(f"{path}: not the answers that `api_compare write` wrote") from error


def compare_answers(before: list[Answer], after: list[Answer]) -> Told:
    """Tell the answers of both sides apart, request by request.

    Raises:
        Failed: they are of different steps.
    """
    if not before or len(before) != len(after):
        raise Failed("the two files are of different requests: make both with one --steps file")
    told = Told(len(before))
    for one, other in zip(before, after, strict=True):
        differences = list(_differences(one, other))
        told.equal += not differences
        told.differences += differences
    return told


def _differences(before: Answer, after: Answer) -> Iterator[Difference]:
    name = before.request
    if before.request != after.request:
        yield Difference(name, "request", before.request, after.request)
    if not before.status == after.status == before.expected:
        yield Difference(name, f"status, not {before.expected}", before.status, after.status)
    for found in field_differences(before.body, after.body):
        yield Difference(name, found.field, found.before, found.after)
