"""Which answers are compared."""

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from api_compare.errors import BadInput
from api_compare.given import read_list

EXAMPLE = '[{"list": "/api/courses?skip={skip}&limit={limit}", "item": "/api/courses/{id}"}]'


@dataclass(frozen=True)
class Endpoint:
    list_path: str
    item_path: str

    def page(self, skip: int, limit: int) -> str:
        return self.list_path.replace("{skip}", str(skip)).replace("{limit}", str(limit))

    def path_of(self, key: int | str) -> str:
        return self.item_path.replace("{id}", quote(str(key), safe=""))


def read_endpoints(path: Path) -> list[Endpoint]:
    return [_endpoint(path, entry) for entry in read_list(path, EXAMPLE)]


def _endpoint(path: Path, entry: object) -> Endpoint:
    if not isinstance(entry, dict) or set(entry) != {"list", "item"}:
        raise BadInput(f"{path}: {entry!r} must have a list and an item, as in {EXAMPLE}")
    needed = {"list": ("{skip}", "{limit}"), "item": ("{id}",)}
    for name, marks in needed.items():
        template = entry[name]
        if not isinstance(template, str) or not template.startswith("/"):
            raise BadInput(f"{path}: {name} {template!r} must be a path that starts with /")
        for mark in marks:
            if mark not in template:
                # without them only the first page, or one and the same item, would be compared
                raise BadInput(f"{path}: {name} {template!r} has no {mark}")
    return Endpoint(entry["list"], entry["item"])
