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
#: Of these, SQLite sends digits; a text among them would be told by its quotes.
_DIGITS = ("smallint", "integer", "bigint", "boolean", "double precision", "real")


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
    return " || ".join([*arrays, *(text for _, text in framed if text)])


def framed_held(plan: TablePlan) -> str:
    """The framed line in PostgreSQL, whose format() is faster than its JSON."""
    framed = [
        ("", "", bulky.held(column.codec, name))
        if column.bulky
        else column.codec.framed_held_of(name)
        for column in plan.columns
        for name in [sql.name(column.target)]
    ]
    fields = [(form, field) for form, field, _ in framed if form]
    texts = [("%s", text) for _, _, text in framed if text]
    return " || ".join(
        [
            f"format('{left}{separator.join(forms)}{right}', {', '.join(values)})"
            for parts, left, separator, right in ((fields, "[", ",", "]"), (texts, "", "", ""))
            for at in range(0, len(parts), _ARGUMENTS)
            for forms, values in [zip(*parts[at : at + _ARGUMENTS], strict=True)]
        ]
    )


def order(plan: TablePlan) -> list[ColumnPlan]:
    """The columns as they are sent: what is short comes first, so that little is copied twice."""
    sent = [column for column in plan.columns if not column.computed]
    return sorted(sent, key=lambda column: (not _digits(column), column.codec.carries_text))


def csv(plan: TablePlan) -> str:
    """The line that ``COPY`` reads, with the columns in ``order``.

    printf() ends a text at a NUL, which would arrive as a shorter text; so everything that may
    be a text is joined with ``||``, and PostgreSQL refuses the NUL.
    """
    columns = order(plan)
    fields = [(column, column.codec.encode_of(column.cell, plan.assumed)) for column in columns]
    digits = [field for column, field in fields if _digits(column)]
    others = [field for column, field in fields if not _digits(column)]
    parts = [
        f"printf('{','.join(['%s'] * len(part))}', {', '.join(part)})"
        for start in range(0, len(digits), _ARGUMENTS)
        if (part := digits[start : start + _ARGUMENTS])
    ]
    return " || ',' || ".join([*parts, *others]) + " || char(10)"


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


def _digits(column: ColumnPlan) -> bool:
    return column.codec.type in _DIGITS or column.codec.type.startswith("numeric")
