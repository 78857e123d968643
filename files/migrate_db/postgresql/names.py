"""Names in the target: the same as in the source wherever that is possible.

PostgreSQL keeps 63 bytes, has one space of names for tables, indexes, sequences
and views of a schema, and another one for the constraints of each table. A name
that is taken there gets a stable other one, which the notes tell.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field

#: PostgreSQL cuts longer names without a word (NAMEDATALEN - 1).
BYTES = 63
#: Columns that every table has already.
SYSTEM_COLUMNS = {"tableoid", "xmin", "cmin", "xmax", "cmax", "ctid"}


def fitting(wanted: str) -> str:
    """The same name, or a stable short form of an overlong one; PostgreSQL has no empty ones."""
    wanted = wanted or "unnamed"
    return wanted if len(wanted.encode("utf-8")) <= BYTES else _marked(wanted, wanted)


def _marked(wanted: str, seed: str) -> str:
    digest = hashlib.sha256(seed.encode("utf-8")).hexdigest()[:8]
    return wanted.encode("utf-8")[: BYTES - 9].decode("utf-8", "ignore") + "_" + digest


def columns(wanted: Iterable[str]) -> list[str]:
    """Names for the columns of a query: the same where possible, no two alike."""
    space = Names()
    return [space.free(name, "column") for name in wanted]


@dataclass
class Names:
    """One space of names, and who has which."""

    taken: set[str] = field(default_factory=set)
    notes: list[str] = field(default_factory=list)

    @staticmethod
    def of(names: Iterable[str]) -> Names:
        """A space where these names are taken already."""
        return Names(set(names))

    def free(self, wanted: str, kind: str, owner: str = "") -> str:
        """Take a name: the wanted one, or one that stands for it and is the same each time.

        Args:
            kind: what gets the name, for the notes.
            owner: the table it belongs to; two of the same name get different ones.
        """
        given, why = fitting(wanted), "too long" if wanted else "empty"
        for attempt in range(1000):
            if given not in self.taken:
                break
            given, why = _marked(wanted, f"{owner}.{wanted}.{attempt}"), "taken"
        self.taken.add(given)
        if given != wanted:
            place = f" of {owner}" if owner else ""
            self.notes.append(f"{kind} {wanted}{place}: the name is {why}, it becomes {given}")
        return given
