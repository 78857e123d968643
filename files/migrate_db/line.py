"""A row as one line of text, in the SQL of either database.

Canonical lines are what is compared: SQLite writes them from what it stores, PostgreSQL from what
it holds (see ``codec``). Framed lines say the same at less cost, for whole blocks: a JSON array of
numbers and short words, among them the size of each text, then the texts as they are.
CSV lines are what ``COPY`` reads.
"""

from __future__ import annotations

from migrate_db import bulky, sql
from migrate_db.plan import ColumnPlan, TablePlan

#: Neither database takes more than 100 arguments, and SQLite's printf() needs one for the format.
_ARGUMENTS = 90


def stored(plan: TablePlan) -> str:
    """The canonical line in SQLite; one printf() writes it in half the time of many ``||``."""
    forms = [_form(plan, column) for column in plan.columns]
    parts = []
    for start in range(0, len(forms), _ARGUMENTS):
        part = forms[start : start + _ARGUMENTS]
        words = ",".join(word for word, _ in part)
        parts.append(f"printf('{words}', {', '.join(value for _, value in part)})")
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
        ("", f"coalesce({bulky.digest(plan.table, c.bulky)}, {c.codec.stored_of(c.cell)})")
        if c.bulky
        else c.codec.framed_stored_of(c.cell, utf8)
        for c in plan.columns
    ]
    fields = [field for field, _ in framed if field]
    arrays = [
        f"json_array({', '.join(fields[at : at + _ARGUMENTS])})"
        for at in range(0, len(fields), _ARGUMENTS)
    ]
    return sql.joined([*arrays, *(text for _, text in framed if text)])


def framed_held(plan: TablePlan) -> str:
    """The framed line in PostgreSQL, whose concat() is faster than its JSON, and than format()."""
    framed = [
        ((), bulky.held(column.codec, name)) if column.bulky else column.codec.framed_held_of(name)
        for column in plan.columns
        for name in [sql.name(column.target)]
    ]
    fields = [field for field, _ in framed if field]
    words: list[str] = []
    for number, field in enumerate(fields):
        words += ["','" if number % _ARGUMENTS else "'['", *field]
        if number % _ARGUMENTS == _ARGUMENTS - 1 or number == len(fields) - 1:
            words.append("']'")
    words += [text for _, text in framed if text]
    return " || ".join(
        f"concat({', '.join(words[at : at + _ARGUMENTS])})"
        for at in range(0, len(words), _ARGUMENTS)
    )


def order(plan: TablePlan) -> list[ColumnPlan]:
    """The columns as they are sent: what is short comes first."""
    sent = [column for column in plan.columns if not column.computed]
    return sorted(sent, key=lambda column: column.codec.carries_text)


def csv(plan: TablePlan) -> str:
    """The line that ``COPY … FROM`` reads, with the columns in ``order``.

    One printf() writes it in half the time of many ``||``. It ends a text at a NUL, the quote
    after it is lost, and so is the line's end: PostgreSQL gets fewer rows, which is noticed, or
    refuses them.
    """
    columns = order(plan)
    parts = []
    for start in range(0, len(columns), _ARGUMENTS):
        part = columns[start : start + _ARGUMENTS]
        # a number that is none becomes one, which the proof finds; the scan has found it already
        words = ["%d" if plan.assumed and c.not_null and c.codec.is_whole else "%s" for c in part]
        values = [c.codec.encode_of(c.cell, plan.assumed) for c in part]
        parts.append(f"printf('{','.join(words)}', {', '.join(values)})")
    return " || ',' || ".join(parts or ["''"]) + " || char(10)"


def _form(plan: TablePlan, column: ColumnPlan) -> tuple[str, str]:
    """A format of printf() and its argument."""
    codec, cell = column.codec, column.cell
    if column.bulky:
        digest = bulky.digest(plan.table, column.bulky)
        return "%s", f"coalesce({digest}, {codec.stored_of(cell)})"
    if not codec.carries_text or not codec.stored.startswith("quote("):
        return "%s", codec.stored_of(cell)
    if codec.stored == "quote({c})":
        # a blob must not look like the text with the same bytes
        return "%Q", f"iif(typeof({cell}) = 'blob', quote({cell}), {cell})"
    return "%Q", codec.stored.removeprefix("quote").replace("{c}", cell)
