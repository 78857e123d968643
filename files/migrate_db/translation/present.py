"""The present time as a column's DEFAULT: as apps write it in SQLite, in PostgreSQL's words."""

from __future__ import annotations

import re

from migrate_db.codecs.codec import Codec
from migrate_db.errors import Untranslated
from migrate_db.sql import string
from migrate_db.sqlite.schema import Column
from migrate_db.translation import to_char
from migrate_db.translation.typed import kind_of

_UTC = "timezone('utc', now())"
_SECONDS = "extract(epoch FROM now())"
_PRINTED = {
    "current_timestamp": to_char.MOMENT,
    "current_date": to_char.DAY,
    "current_time": to_char.CLOCK,
}
_CALLED = {"datetime": to_char.MOMENT, "date": to_char.DAY, "time": to_char.CLOCK}
_CALL = re.compile(r"(datetime|date|time)\((?:(?:'now'|current_timestamp)((?:,'[^']*')*))?\)")
#: Months and years are left out: of a day that doesn't exist, SQLite makes another one than PostgreSQL.
_LATER = re.compile(r"'[+-]?\d+ (?:day|hour|minute|second)s?'")
_STRFTIME = re.compile(r"strftime\('([^']*)'(?:,'now'|,current_timestamp)?\)")
#: What counts from 1970, or in days: SQL of PostgreSQL's, whether it is always a whole number, and the unit of a
#: mapping's `epoch`.
_COUNTS = tuple(
    (re.compile(pattern), count, whole, unit)
    for pattern, count, whole, unit in (
        (r"unixepoch\((?:'now')?\)", f"floor({_SECONDS})", True, "s"),
        (r"unixepoch\((?:'now')?\)\*1000(?:\.0)?", f"floor({_SECONDS}) * 1000", True, "ms"),
        (r"unixepoch\((?:'now',)?'subsec(?:ond)?'\)\*1000(?:\.0)?", f"floor({_SECONDS} * 1000)", True, "ms"),
        (r"unixepoch\((?:'now',)?'subsec(?:ond)?'\)", f"floor({_SECONDS} * 1000) / 1000", False, "s"),
        (r"\(julianday\((?:'now')?\)-2440587\.5\)\*86400000(?:\.0)?", f"{_SECONDS} * 1000", False, "ms"),
        (r"\(julianday\((?:'now')?\)-2440587\.5\)\*86400(?:\.0)?", _SECONDS, False, "s"),
        (r"julianday\((?:'now')?\)", f"{_SECONDS} / 86400 + 2440587.5", False, "julian"),
    )
)  # fmt: skip
#: The same seconds, but as a text; a number again once SQLite calculates with it.
_SECONDS_AS_TEXT = r"strftime\('%s'(?:,'now'|,current_timestamp)?\)"
_AS_NUMBER = re.compile(
    rf"cast\({_SECONDS_AS_TEXT}as(?:integer|int|bigint)\)|{_SECONDS_AS_TEXT}(?=\*)"
)
_CAST = re.compile(r"cast\((.*)as(?:integer|int|bigint)\)")


def default(plain: str, codec: Codec, column: Column, epoch: str = "") -> str | None:
    """The present time in the form that the column holds; None if it is something else.

    Args:
        plain: the DEFAULT without spaces and outer parentheses, keywords in lower case.
        epoch: what the column's numbers count, which become moments; empty: they stay numbers.

    Raises:
        Untranslated: the column can't hold it, or only another form of it.
    """
    counted = _AS_NUMBER.sub("unixepoch()", plain)
    as_text = re.fullmatch(_SECONDS_AS_TEXT, counted) is not None
    cast = _CAST.fullmatch(counted)
    counted = "unixepoch()" if as_text else cast[1] if cast else counted
    for pattern, count, whole, unit in _COUNTS:
        if pattern.fullmatch(counted):
            if epoch == unit and codec.type in ("timestamp", "timestamptz"):
                return "now()" if codec.type == "timestamptz" else _UTC
            if cast and not whole:
                count, whole = f"floor({count})", True
            return _count(count, whole, as_text, codec, column)
    return _printed(plain, codec, column)


def _count(count: str, whole: bool, as_text: bool, codec: Codec, column: Column) -> str:
    kind, numeric = kind_of(codec), column.affinity in ("INTEGER", "NUMERIC")
    if kind == "int" and whole and (numeric or not as_text):
        return f"({count})::bigint"
    if kind == "mixed" and whole and numeric:
        return f"({count})::{codec.type}"
    if codec.type == "double precision" and column.affinity == "REAL":
        return f"({count})::double precision"
    if codec.type == "text" and whole and (as_text or column.affinity == "TEXT"):
        return f"({count})::bigint::text"
    raise Untranslated(f"a count of the present time where {codec.type} is held")


def _printed(plain: str, codec: Codec, column: Column) -> str | None:
    form, now = _PRINTED.get(plain), _UTC
    call, other = _CALL.fullmatch(plain), _STRFTIME.fullmatch(plain)
    if call:
        form = _CALLED[call[1]]
        for later in re.findall("'[^']*'", call[2] or ""):
            if not _LATER.fullmatch(later):
                why = (
                    "nobody knows which zone is local"
                    if later == "'localtime'"
                    else "it is not a constant"
                )
                raise Untranslated(f"{later}: {why}")
            now = f"({now} + interval {later})"
    elif other:
        form = to_char.form(other[1])
    if form is None:
        return None
    held = codec.type
    if held == "timestamptz":
        at = "now()" if now == _UTC else f"timezone('utc', {now})"
        return at if "DD" in form and "HH24" in form else None
    if held == "timestamp" and "DD" in form and "HH24" in form:
        return now
    if held == "date" and form == to_char.DAY:
        return f"({now})::date"
    if held == "time" and form == to_char.CLOCK:
        return f"date_trunc('second', {now})::time"
    if held == "text" or held.startswith("varchar"):
        size = held.partition("(")[2].strip(")")
        printed = len(form.replace("HH24", "HH").replace('"', ""))
        if size and printed > int(size):
            raise Untranslated(f"{held} can't hold it")
        return f"to_char({now}, {string(form)})"
    digits = re.fullmatch(r'(?:[A-Z]+|HH24|"")+', form)
    if kind_of(codec) == "int" and digits and column.affinity in ("INTEGER", "NUMERIC"):
        return f"to_char({now}, {string(form)})::bigint"
    raise Untranslated(f"the present time where {held} is held")
