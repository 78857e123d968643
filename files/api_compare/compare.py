"""Tell two captures apart."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from api_compare.capture import Answers, Capture
from api_compare.errors import Failed
from api_compare.values import ABSENT, field_differences


class Difference(NamedTuple):
    path: str
    field: str
    before: Any
    after: Any


@dataclass
class Compared:
    """The verdict on one endpoint: how much of it was looked at, and what differs."""

    list_path: str
    elements: int = 0
    elements_equal: int = 0
    items: int = 0
    items_equal: int = 0
    items_not_compared: int = 0  # elements whose item neither sample holds, or just one of them
    differences: list[Difference] = field(default_factory=list)


def compare(before: Capture, after: Capture) -> list[Compared]:
    ours = {(answers.list_path, answers.item_path): answers for answers in before.endpoints}
    theirs = {(answers.list_path, answers.item_path): answers for answers in after.endpoints}
    if ours.keys() != theirs.keys():
        raise Failed(
            "the two captures are of different endpoints: take both with one --endpoints file"
        )
    compared = [_endpoint(ours[key], theirs[key]) for key in ours]
    if not any(verdict.elements for verdict in compared):
        raise Failed("nothing was compared: every list is empty, before and after")
    return compared


def _endpoint(before: Answers, after: Answers) -> Compared:
    verdict = Compared(before.list_path)
    for key in before.elements | after.elements:
        old, new = before.elements.get(key), after.elements.get(key)
        verdict.elements += 1
        if old == new:
            verdict.elements_equal += 1
        else:
            verdict.differences.append(
                Difference(before.list_path, f"element {key}", _seen(old), _seen(new))
            )
    for path, body in before.items.items():
        if path not in after.items:
            # gone from the list as well (said above), or in just one of two samples
            continue
        found = list(_fields(path, body, after.items[path]))
        verdict.items += 1
        verdict.items_equal += not found
        verdict.differences += found
    verdict.items_not_compared = verdict.elements - verdict.items
    return verdict


def _seen(digest: str | None) -> Any:
    return ABSENT if digest is None else f"digest {digest}"


def _fields(path: str, before: Any, after: Any) -> Iterator[Difference]:
    for name, old, new in field_differences(before, after):
        yield Difference(path, name, old, new)
