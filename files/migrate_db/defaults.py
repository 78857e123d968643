"""What a column's DEFAULT becomes.

A constant is worked out by SQLite itself, in a column declared the same way, and
goes through the column's own codec: so a default is what a stored row would be.
"""

from __future__ import annotations

import re
import sqlite3

from migrate_db import declaration, functions, sql, to_char
from migrate_db.codec import DOUBLE, DOUBLE_OR_INTEGER
from migrate_db.errors import Untranslated
from migrate_db.parsing import NOT_UTF8
from migrate_db.plan import ColumnPlan
from migrate_db.schema import Column
from migrate_db.typed import kind_of

#: Words that a constant may have; anything else could be different each time.
_CONSTANT = {"TRUE", "FALSE", "NULL"}
_UTC = "timezone('utc', now())"
_PRESENT = {
    "current_timestamp": to_char.MOMENT, "datetime('now')": to_char.MOMENT, "datetime()": to_char.MOMENT,
    "current_date": to_char.DAY, "date('now')": to_char.DAY, "date()": to_char.DAY,
    "current_time": to_char.CLOCK, "time('now')": to_char.CLOCK, "time()": to_char.CLOCK,
}  # fmt: skip
_RANDOM = "substr(sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())), 1, {n})"
_HEX_OF_RANDOM = re.compile(r"(?:('[^']*')\|\|)?(lower\()?hex\(randomblob\((\d+)\)\)(\))?")
#: The fourth version of a UUID, as everybody makes one in SQLite.
_UUID4 = re.compile(
    r"lower\(hex\(randomblob\(4\)\)\)\|\|'-'\|\|lower\(hex\(randomblob\(2\)\)\)\|\|'-4'\|\|"
    r"substr\(lower\(hex\(randomblob\(2\)\)\),2\)\|\|'-'\|\|"
    r"substr\('(?:89ab|ab89)',(?:abs\(random\(\)\)%4\+1|1\+\(?abs\(random\(\)\)%4\)?),1\)\|\|"
    r"substr\(lower\(hex\(randomblob\(2\)\)\),2\)\|\|'-'\|\|lower\(hex\(randomblob\(6\)\)\)"
)
_SECONDS = {"unixepoch()", "unixepoch('now')"}
#: Milliseconds since 1970: Drizzle's, Better Auth's. Days have a fraction of one, nearly always.
_MILLISECONDS = re.compile(
    r"unixepoch\((?:'now',)?'subsec(?:ond)?'\)\*1000(?:\.0)?"
    r"|\(julianday\('now'\)-2440587\.5\)\*86400000(?:\.0)?"
)
_SECONDS_AS_TEXT = {"strftime('%s','now')", "strftime('%s')"}


def default(planned: ColumnPlan, column: Column) -> str:
    """A column's DEFAULT in PostgreSQL's words.

    Raises:
        Untranslated: it is neither a constant nor the present time.
    """
    text = (column.default or "").strip()
    if "\ufffd" in text:
        raise Untranslated(NOT_UTF8)
    present = _present(planned, column, text)
    if present is not None:
        return present
    words = [token for token in declaration.tokens(text) if token.kind == "word"]
    alone = len(declaration.tokens(text)) == 1  # DEFAULT word is a string for SQLite
    if not alone and any(word.word not in _CONSTANT for word in words):
        raise Untranslated("it is not a constant")
    return _constant(planned, column, text if alone else f"({text})")  # as the catalogue forgets


def _constant(planned: ColumnPlan, column: Column, text: str) -> str:
    # the wishes of a mapping are about what an app will write, too; but no row points anywhere here
    name = sql.name(column.name)
    cell = name if " IN (SELECT " in planned.cell else planned.cell
    # a column of floats makes one of an integer
    codec = DOUBLE_OR_INTEGER if planned.codec is DOUBLE else planned.codec
    declared = "" if column.strict and column.affinity == "BLOB" else column.declared
    scratch = sqlite3.connect(":memory:")
    scratch.text_factory = bytes
    try:
        functions.register(scratch)
        scratch.execute(f"CREATE TABLE t (m_other, {name} {declared} DEFAULT {text})")
        scratch.execute("INSERT INTO t (m_other) VALUES (1)")
        field = codec.stored_of(cell) if codec.carries_text else codec.encode_of(cell)
        misfit, empty, field = scratch.execute(
            f"SELECT {codec.misfit_of(cell)}, {cell} IS NULL, {field} FROM t"
        ).fetchone()
    except sqlite3.Error:
        raise Untranslated("it is not a constant") from None
    finally:
        scratch.close()
    if empty:
        return "NULL"
    if misfit and codec.type == "timestamptz":
        raise Untranslated("it says no time zone, as the rows do")
    if misfit:
        raise Untranslated(f"{codec.type} can't hold it")
    shown = (field if isinstance(field, bytes) else str(field).encode()).decode("utf-8")
    if codec.carries_text:
        shown = str(codec.cell(shown))
    if codec.type == "boolean":
        return "true" if shown == "1" else "false"
    number = kind_of(codec) in ("int", "real", "mixed")
    return shown if number and re.fullmatch(r"-?\d+(\.\d+)?", shown) else sql.string(shown)


def _present(planned: ColumnPlan, column: Column, text: str) -> str | None:
    plain = "".join(token.text for token in declaration.tokens(text))
    while plain.startswith("(") and plain.endswith(")"):
        plain = plain[1:-1]
    kind, codec_type = kind_of(planned.codec), planned.codec.type
    cast = re.fullmatch(r"(?i)cast\((.*)as(?:integer|int|bigint)\)", plain)
    lowered = re.sub("(?i)'now'", "'now'", _outside_strings(cast.group(1) if cast else plain))
    seconds, _, factor = lowered.partition("*")
    if seconds in _SECONDS or seconds in _SECONDS_AS_TEXT:
        computed = seconds in _SECONDS or cast or factor
        if kind == "int" and (computed or column.affinity in ("INTEGER", "NUMERIC")):
            text = "floor(extract(epoch FROM now()))::bigint"
            if not factor or factor == "1000":
                return f"({text} * 1000)" if factor else text
        raise Untranslated(f"seconds since 1970 where {codec_type} is held")
    whole = lowered.startswith("unixepoch") and column.affinity in ("INTEGER", "NUMERIC")
    if (cast or whole) and _MILLISECONDS.fullmatch(lowered):
        if kind == "int":
            return "floor(extract(epoch FROM now()) * 1000)::bigint"
        raise Untranslated(f"milliseconds since 1970 where {codec_type} is held")
    # other affinities make a number of some of these texts
    if not cast and (codec_type == "uuid" or column.affinity in ("TEXT", "BLOB")):
        random = _random(lowered, codec_type)
        if random is not None:
            return random
    form = _PRESENT.get(lowered)
    if form is None:
        match = re.fullmatch(r"strftime\('([^']*)'(?:,'now'|,current_timestamp)?\)", lowered)
        if match is None:
            return None
        form = to_char.form(match.group(1))
    if codec_type == "timestamptz":
        return "now()" if "DD" in form and "HH24" in form else None
    if codec_type == "timestamp" and "DD" in form and "HH24" in form:
        return _UTC
    if codec_type == "date" and form == to_char.DAY:
        return f"({_UTC})::date"
    if codec_type == "time" and form == to_char.CLOCK:
        return f"date_trunc('second', {_UTC})::time"
    if codec_type == "text" or codec_type.startswith("varchar"):
        size = codec_type.partition("(")[2].strip(")")
        printed = len(form.replace("HH24", "HH").replace('"', ""))
        if size and printed > int(size):
            raise Untranslated(f"{codec_type} can't hold it")
        return f"to_char({_UTC}, {sql.string(form)})"
    raise Untranslated(f"the present time where {codec_type} is held")


def _random(plain: str, codec_type: str) -> str | None:
    """The same number of random bytes, in the same letters."""
    size = codec_type.removeprefix("varchar(").rstrip(")")
    room = int(size) if size.isdecimal() else 0 if codec_type in ("text", "varchar") else -1
    if _UUID4.fullmatch(plain):
        if codec_type == "uuid":
            return "gen_random_uuid()"
        return "gen_random_uuid()::text" if room == 0 or room >= 36 else None
    blob = re.fullmatch(r"randomblob\((\d+)\)", plain)
    if blob and codec_type == "bytea" and 1 <= int(blob[1]) <= 32:
        return _RANDOM.format(n=blob[1])
    match = _HEX_OF_RANDOM.fullmatch(plain)
    if match is None or bool(match[2]) != bool(match[4]) or not 1 <= int(match[3]) <= 32:
        return None
    if room < 0 or (room and room < len(match[1] or "''") - 2 + 2 * int(match[3])):
        return None
    shown = f"encode({_RANDOM.format(n=match[3])}, 'hex')"
    shown = shown if match[2] else f"upper({shown})"
    return f"{sql.string(match[1][1:-1])} || {shown}" if match[1] else shown


def _outside_strings(text: str) -> str:
    """Keywords in lower case; what is between quotes stays."""
    parts = text.split("'")
    return "'".join(part.lower() if i % 2 == 0 else part for i, part in enumerate(parts))
