"""What a set says about itself."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from typing import Any

from db_backup import digest, server
from db_backup.digest import Contents
from db_backup.server import Database, Image

FORMAT = 2
#: BEFORE is of what was about to be replaced or given up: a set to go back to, and never what ``latest`` means.
REGULAR, BEFORE = "regular", "before"
DUMP, GLOBALS, MANIFEST, SUMS = "database.dump", "globals.sql", "manifest.json", "SHA256SUMS"

_RESTORE = (
    "This set is whole if `sha256sum --check SHA256SUMS` says so, run in its directory.",
    "With our program, on a server with PostgreSQL of the same major or newer:",
    "  db_backup restore {name}",
    "It makes the roles that are missing, restores beside the live database, compares every table"
    " with this file, and only then puts it in the place of the live one, which it keeps.",
    "Without it: make the roles with the CREATE ROLE and ALTER ROLE lines of globals.sql that you"
    " miss, make an empty database (owner {owner}, encoding {encoding}), then",
    "  pg_restore --exit-on-error --dbname={database} database.dump",
)


@dataclass(frozen=True)
class File:
    """A file of the set."""

    bytes: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """One backup: when, of what, and what is in it."""

    name: str
    taken_at: str  #: the moment that the dump shows, UTC
    database: Database
    contents: Contents
    server_version: str
    server_major: int
    image: Image
    files: dict[str, File]
    program: str
    host: str
    kind: str = REGULAR
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def at(self) -> datetime:
        """The moment that the dump shows."""
        return parse(self.taken_at)

    @property
    def bytes(self) -> int:
        """Size of the set."""
        return sum(file.bytes for file in self.files.values())

    def text(self) -> str:
        """The file."""
        restore = [
            line.format(
                name=self.name, owner=self.database.owner, encoding=self.database.encoding,
                database=self.database.name,
            )
            for line in _RESTORE
        ]  # fmt: skip
        found = {"format": FORMAT, "restore": restore, **asdict(self)}
        return json.dumps(found, indent=1, ensure_ascii=False) + "\n"


def read(text: str) -> Manifest:
    """A manifest from its file.

    Raises:
        ValueError: it is none, or one of a newer program.
    """
    try:
        found: dict[str, Any] = json.loads(text)
        if found["format"] != FORMAT:
            raise ValueError(f"format {found['format']}, this program reads {FORMAT}")
        return Manifest(
            name=str(found["name"]),
            taken_at=str(found["taken_at"]),
            database=server.from_dict(found["database"]),
            contents=digest.from_dict(found["contents"]),
            server_version=str(found["server_version"]),
            server_major=int(found["server_major"]),
            image=Image(**found["image"]),
            files={name: File(**file) for name, file in found["files"].items()},
            program=str(found["program"]),
            host=str(found["host"]),
            kind=str(found["kind"]),
            seconds=dict(found["seconds"]),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"it is no manifest ({error})") from None


def now() -> datetime:
    """This second."""
    return datetime.now(timezone.utc).replace(microsecond=0)


def stamp(moment: datetime) -> str:
    """For names: UTC, and sorted by name is sorted by time."""
    return moment.strftime("%Y%m%dT%H%M%SZ")


def iso(moment: datetime) -> str:
    """For people and machines."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def parse(text: str) -> datetime:
    """A moment in either form."""
    form = "%Y-%m-%dT%H:%M:%SZ" if "-" in text else "%Y%m%dT%H%M%SZ"
    return datetime.strptime(text, form).replace(tzinfo=timezone.utc)
