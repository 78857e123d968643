"""A plain ``.sql`` file, as ``pg_dump DATABASE > file.sql`` writes it: is it whole, and what must come of it?

Such a file has no checksum. What it has is a last line, which a dump that was cut off lacks, and its rows, which can be
counted before they are loaded.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from db_backup.errors import BackupError

_BEGIN = b"-- PostgreSQL database dump"
_END = b"-- PostgreSQL database dump complete"
_CLUSTER = b"-- PostgreSQL database cluster dump"
_COPY = re.compile(rb"COPY (?P<table>.+?) (?:\(.*\) )?FROM stdin;\s*")
#: What would leave the database that it is loaded into.
_LEAVES = re.compile(rb"\\(c|connect)\b|CREATE DATABASE\b|DROP DATABASE\b|ALTER DATABASE\b")
#: What a psql of its own version adds and takes off again; anything else could run a command.
_META = re.compile(rb"\\(un)?restrict [A-Za-z0-9]+\s*")


@dataclass(frozen=True)
class Plain:
    """A dump that is whole."""

    path: Path
    rows: dict[str, int]  #: of each table, by its name as the file writes it; only of COPY


def read(path: Path) -> Plain:
    """Read a file to its end, in constant memory.

    Raises:
        BackupError: it is no plain dump of one database, or not all of one.
    """
    begun = ended = False
    rows: dict[str, int] = {}
    table = ""
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if table:
                    if line.rstrip(b"\r\n") == b"\\.":
                        table = ""
                    else:
                        rows[table] += 1
                    continue
                begun = begun or line.startswith(_BEGIN)
                # nothing but an empty comment, or what psql adds, may follow it
                rest = not line.strip(b"- \r\n") or _META.fullmatch(line) is not None
                ended = line.startswith(_END) or (ended and rest)
                copy = _COPY.fullmatch(line)
                if copy:
                    table = copy["table"].decode("utf-8", "replace")
                    rows[table] = rows.get(table, 0)
                elif line.startswith(_CLUSTER):
                    raise _refused(path, "it is a dump of a whole cluster (pg_dumpall)")
                elif _LEAVES.match(line) or (line.startswith(b"\\") and not _META.fullmatch(line)):
                    words = line[:60].decode("utf-8", "replace").strip()
                    raise _refused(path, f"line {number} would leave the database: {words}")
    except OSError as error:
        raise _refused(path, error.strerror or str(error)) from None
    if not begun:
        raise _refused(path, "it is not a plain dump of pg_dump")
    if not ended:
        raise _refused(path, "it was cut off: its last line, 'database dump complete', is missing")
    return Plain(path, rows)


def _refused(path: Path, why: str) -> BackupError:
    return BackupError(
        f"the file can't be restored: {why}",
        where=str(path),
        next="take another file, or a set: db_backup list. The live database was not touched",
    )
