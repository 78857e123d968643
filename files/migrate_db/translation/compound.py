"""UNION and the like: what a column of two SELECTs is."""

from __future__ import annotations

from dataclasses import replace

from migrate_db import sql
from migrate_db.codecs import texts
from migrate_db.postgresql.names import columns as names_of_columns
from migrate_db.translation.relations import Output
from migrate_db.translation.typed import Typed


def alike(
    one: Typed, other: Typed, left_casts: dict[int, str], right_casts: dict[int, str], at: int
) -> Typed | None:
    """What a column of two SELECTs is; None if it can't be told."""
    if "other" in (one.kind, other.kind):
        return None
    if "null" in (one.kind, other.kind):
        return replace(other if one.kind == "null" else one, constant=None)
    for part, casts in ((one, left_casts), (other, right_casts)):
        if part.kind == "bool" and one.kind != other.kind:
            casts[at] = "integer"
        elif part.kind == "int" and "loose" in (one.kind, other.kind):
            casts[at] = "text"
    kinds = {"int" if part.kind == "bool" and one.kind != other.kind else part.kind
             for part in (one, other)}  # fmt: skip
    if kinds <= {"int", "loose", "text"} and "loose" in kinds:
        return Typed(one.sql, "loose", codec=texts.TEXT_OR_NUMBER)
    if len(kinds) != 1:
        return None
    (kind,) = kinds
    same = one.codec if one.codec == other.codec else texts.text() if kind == "text" else None
    if same is None and kind not in ("int", "text", "real", "mixed", "null"):
        return None
    collations = {part.collation or "BINARY" for part in (one, other)}
    if kind == "text" and len(collations) > 1:
        kind = "other"  # what a comparison makes of it depends on which of them SQLite takes
    affinity = one.affinity if one.affinity == other.affinity else ""
    return Typed(one.sql, kind, affinity, one.collation, codec=same)


def cast(text: str, outputs: list[Output], casts: dict[int, str]) -> str:
    """A SELECT with some of its columns in another type.

    Args:
        casts: the type by the place of the column, from 0.
    """
    if not casts:
        return text
    names = [f"c{at}" for at in range(len(outputs))]
    given = names_of_columns(output.name for output in outputs)
    cells = ", ".join(
        f"{sql.name(name)}{'::' + casts[at] if at in casts else ''} AS {sql.name(shown)}"
        for at, (name, shown) in enumerate(zip(names, given, strict=True))
    )
    return f"SELECT {cells} FROM ({text}) AS rows ({sql.names(names)})"
