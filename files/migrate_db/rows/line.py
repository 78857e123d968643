"""A row as one line of text, in the SQL of either database.

Canonical lines are what is compared: SQLite writes them from what it stores, PostgreSQL from what
it holds (see ``codec``). Framed lines say the same at less cost, for whole blocks: a JSON array of
numbers and short words, among them the size of each text, then the texts as they are.
Sent lines are what ``COPY`` reads, once they are finished (see ``copy_text``).
"""

from __future__ import annotations

from migrate_db import sql
from migrate_db.codecs import copy_text
from migrate_db.planning import bulky
from migrate_db.planning.plan import ColumnPlan, TablePlan

#: Neither database takes more than 100 arguments, and SQLite's printf() needs one for the format.
_ARGUMENTS = 90


def stored(plan: TablePlan) -> str:
    """The canonical line in SQLite; one printf() writes it in half the time of many ``||``."""
    forms = [_form(plan, column) for column in plan.columns]
    parts = []
    for start in range(0, len(forms), _ARGUMENTS):
        part = forms[start : start + _ARGUMENTS]
        parts.append(f"printf('{','.join(['%s'] * len(part))}', {', '.join(part)})")
    return " || ',' || ".join(parts)


def held(plan: TablePlan) -> str:
    """The canonical line in PostgreSQL."""
    fields = [
        bulky.held(column.codec, sql.name(column.target))
        if column.bulky
        else column.codec.held_of(sql.name(column.target))
        for column in plan.columns
    ]
    parts = [
        f"concat_ws(',', {', '.join(fields[start : start + _ARGUMENTS])})"
        for start in range(0, len(fields), _ARGUMENTS)
    ]
    return " || ',' || ".join(parts)


def framed_stored(plan: TablePlan, utf8: bool) -> str:
    """The framed line in SQLite, whose json_array() takes half the time of its printf().

    Args:
        utf8: whether the file's texts are.
    """
    framed = [
        ("", f"',' || coalesce({bulky.digest(plan.table, c.bulky)}, {c.codec.stored_of(c.cell)})")
        if c.bulky
        else c.codec.framed_stored_of(c.cell, utf8, plan.assumed)
        for c in plan.columns
    ]
    fields = [field for field, _ in framed if field]
    arrays = [
        f"json_array({', '.join(fields[at : at + _ARGUMENTS])})"
        for at in range(0, len(fields), _ARGUMENTS)
    ]
    return sql.joined([*arrays, *(text for _, text in framed if text)])


def framed_held(plan: TablePlan) -> str:
    """The framed line in PostgreSQL, whose ``||`` is faster than concat(), its JSON and format()."""
    framed = [
        ("", False, f"',' || {bulky.held(column.codec, name)}")
        if column.bulky
        else column.codec.framed_held_of(name, _never_null(plan, column))
        for column in plan.columns
        for name in [sql.name(column.target)]
    ]
    fields = [(field, quoted) for field, quoted, _ in framed if field]
    words: list[str] = []
    between = "["
    for number, (field, quoted) in enumerate(fields):
        if number:
            between += "," if number % _ARGUMENTS else "]["
        quote = '"' if quoted else ""
        words += [sql.string(between + quote), field]
        between = quote
    if fields:
        words.append(sql.string(between + "]"))
    return _halved([*words, *(text for _, _, text in framed if text)])


def _halved(words: list[str]) -> str:
    """All of them after each other, so that none is copied more than a few times."""
    if len(words) < 2:
        return words[0] if words else "''"
    middle = (len(words) + 1) // 2
    return f"({_halved(words[:middle])} || {_halved(words[middle:])})"


def order(plan: TablePlan) -> list[ColumnPlan]:
    """The columns as they are sent: what is short comes first."""
    sent = [column for column in plan.columns if not column.computed]
    return sorted(sent, key=lambda column: column.codec.carries_text)


def sent(plan: TablePlan) -> str:
    """The line that ``copy_text`` finishes, with the columns in ``order``.

    One printf() writes it in half the time of many ``||``. It ends a text at a NUL, which the scan
    finds, or else the proof.
    """
    columns = order(plan)
    parts = []
    for start in range(0, len(columns), _ARGUMENTS):
        part = columns[start : start + _ARGUMENTS]
        # a number that is none becomes one, which the proof finds; the scan has found it already
        words = [
            "%d" if plan.assumed and _never_null(plan, c) and c.codec.is_whole else "%s"
            for c in part
        ]
        values = [c.codec.encode_of(c.cell, plan.assumed) for c in part]
        after = copy_text.END if part[-1] is columns[-1] else copy_text.DELIMITER
        parts.append(f"printf('{copy_text.DELIMITER.join(words)}{after}', {', '.join(values)})")
    return " || ".join(parts or [sql.string(copy_text.END)])


def _never_null(plan: TablePlan, column: ColumnPlan) -> bool:
    given = column.cell == sql.name(column.source)
    return given and (column.not_null or column.source == plan.table.rowid_alias)


def _form(plan: TablePlan, column: ColumnPlan) -> str:
    """One field of the canonical line.

    quote() ends a text at a NUL, as printf() does: what is behind it must not be forgotten, or a text that the load
    cut there would be equal.
    """
    codec, cell = column.codec, column.cell
    form = codec.stored_of(cell)
    if codec.carries_text and codec.stored.startswith("quote("):
        text = codec.stored.removeprefix("quote(")[:-1].replace("{c}", cell)
        form = f"iif(instr({text}, char(0)), quote(CAST({text} AS BLOB)), {form})"
    if column.bulky:
        return f"coalesce({bulky.digest(plan.table, column.bulky)}, {form})"
    return form
