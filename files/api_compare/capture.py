"""Ask an API for everything it lists, and write down the answers."""

import json
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from api_compare.client import Client
from api_compare.endpoints import Endpoint
from api_compare.errors import BadInput, Failed
from api_compare.values import digest

PAGE = 500


@dataclass
class Answers:
    """What one endpoint answered.

    Of a listed element only the digest is kept, so that a million of them fit in memory; of an item
    the whole body, so that a difference can be shown field by field.
    """

    list_path: str
    item_path: str
    elements: dict[str, str]  # id, as JSON, to digest
    items: dict[str, Any]  # path to body

    @property
    def sampled(self) -> bool:
        return len(self.items) < len(self.elements)


@dataclass
class Capture:
    base: str
    taken_at: str
    endpoints: list[Answers]


def capture(
    base: str,
    endpoints: list[Endpoint],
    max_items: int,
    timeout: float,
    report: Callable[[Answers], None],
) -> Capture:
    taken_at = datetime.now(timezone.utc).isoformat(timespec="seconds")
    taken = Capture(base, taken_at, [])
    with Client(base, timeout) as client:
        for endpoint in endpoints:
            elements = _list(client, endpoint)
            keys = evenly_spread(sorted(elements, key=_by_type_and_value), max_items)
            answers = Answers(
                endpoint.list_path,
                endpoint.item_path,
                {json.dumps(key): value for key, value in elements.items()},
                {path: client.get(path) for path in map(endpoint.path_of, keys)},
            )
            taken.endpoints.append(answers)
            report(answers)
    return taken


def _list(client: Client, endpoint: Endpoint) -> dict[int | str, str]:
    """Page on until a page brings nothing new.

    Not until a short one: an API that caps `limit` below ours has only short pages, and one that
    ignores `skip` never ends.
    """
    elements: dict[int | str, str] = {}
    seen = 0
    while True:
        path = endpoint.page(seen, PAGE)
        page = client.get(path)
        if not isinstance(page, list):
            raise Failed(f"GET {path}: a {type(page).__name__}, not a list")
        before = len(elements)
        for element in page:
            key = element.get("id") if isinstance(element, dict) else None
            if isinstance(key, bool) or not isinstance(key, (int, str)):
                raise Failed(f"GET {path}: an element has no id: {json.dumps(element)[:200]}")
            elements[key] = digest(element)
        seen += len(page)
        if len(elements) == before:
            return elements


def _by_type_and_value(key: int | str) -> tuple[str, int | str]:
    return type(key).__name__, key


def evenly_spread(keys: list[int | str], at_most: int) -> list[int | str]:
    """All, or so many with even gaps, the first and the last among them."""
    if len(keys) <= at_most:
        return keys
    if at_most == 1:
        return keys[:1]
    return [keys[i * (len(keys) - 1) // (at_most - 1)] for i in range(at_most)]


def write_capture(taken: Capture, path: Path) -> None:
    """Aside, then renamed: a capture that can be read is complete. 0600: it holds users' data."""
    aside = path.with_name(f"{path.name}.{os.getpid()}.unfinished")
    try:
        with open(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            json.dump(asdict(taken), file)
        os.replace(aside, path)
    finally:
        aside.unlink(missing_ok=True)


def read_capture(path: Path) -> Capture:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        endpoints = [Answers(**answers) for answers in document.pop("endpoints")]
        return Capture(**document, endpoints=endpoints)
    except OSError as error:
        raise BadInput(f"{path}: {error.strerror}") from error
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise BadInput(f"{path}: not a capture made by `api_compare capture`") from error
