"""A type that holds what another one doesn't, and everything that the other one holds."""

from __future__ import annotations

import re

from migrate_db.codecs.numbers import WHOLE

#: Each holds what those before it hold.
_RISING = (*WHOLE, "numeric")


def wider(type_name: str, storage: str) -> str:
    """The type that would hold a value too; empty if none does that the column can become as it is.

    Args:
        type_name: of the column, as codecs write it.
        storage: SQLite's storage class of the value.
    """
    if storage == "text":
        return "varchar" if type_name.startswith("varchar(") else ""
    if storage not in ("integer", "real"):
        return ""
    if type_name in ("smallint", "integer") and storage == "integer":
        return "bigint"
    if type_name in WHOLE or type_name.startswith("numeric("):
        return "numeric"
    return "double precision" if type_name == "real" else ""


def holds(now: str, before: str) -> bool:
    """Whether a type holds every value of the one that a column had before; both as codecs write them."""
    if now in _RISING and before in _RISING:
        return _RISING.index(now) >= _RISING.index(before)
    bare, size = _parts(now)
    former, least = _parts(before)
    if (bare, former) == ("double precision", "real"):
        return True
    if bare != former or bare not in ("varchar", "numeric"):
        return now == before
    if not size or not least:
        return not size
    places, former_places = (size[1:] or [0])[0], (least[1:] or [0])[0]
    return size[0] - places >= least[0] - former_places and places >= former_places


def _parts(type_name: str) -> tuple[str, list[int]]:
    bare, _, rest = type_name.partition("(")
    return bare, [int(number) for number in re.findall(r"\d+", rest)]
