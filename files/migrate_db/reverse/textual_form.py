"""How a column writes a value: what the app itself would have written into its SQLite file.

PostgreSQL keeps a moment, SQLite a text (or a number) that the app chose. So a look at the
last values of the column tells the form: ``T`` or a blank, how many digits of a second, ``Z``
or an offset, seconds or milliseconds. A column without values gets what SQLAlchemy writes.
"""

from __future__ import annotations

import re
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal

from migrate_db import sql
from migrate_db.codecs import numbers, texts, times
from migrate_db.codecs.codec import Cell, Codec
from migrate_db.planning import choice, inspection
from migrate_db.planning.plan import ColumnPlan, TablePlan
from migrate_db.sqlite import functions, zones
from migrate_db.sqlite.schema import Column
from migrate_db.visible import decoded

#: From canonical text to the cell; None for what can't be written.
Form = Callable[[str], Cell]
#: Values of a column that are looked at, the last ones.
_SAMPLE = 1000
_MOMENT = re.compile(
    r"(\d{4}-\d\d-\d\d)(?:([ T])(\d\d:\d\d)(:\d\d)?(?:\.(\d+))?"
    rf"(Z| ?[+-]\d\d(?::?\d\d)?|( [+-]\d{{4}}{functions.NAMED_ZONE}))?)?"
)
#: As Go writes any moment; which other name a zone has then nobody here knows.
_NAMED_UTC = " +0000 UTC"
_CLOCK = re.compile(r"(\d\d:\d\d)(:\d\d)?(?:\.(\d+))?")
_EPOCHS = ("timestamp", "timestamptz", "date")


def settled(connection: sqlite3.Connection, plan: TablePlan) -> TablePlan:
    """The plan with codecs that also fit what the column's affinity makes of new values."""
    columns = tuple(
        replace(column, codec=_wide(connection, plan, column, declared))
        if (declared := plan.table.column(column.source)) is not None
        else column
        for column in plan.columns
    )
    return replace(plan, columns=columns)


def _wide(
    connection: sqlite3.Connection, plan: TablePlan, column: ColumnPlan, declared: Column
) -> Codec:
    chosen, affinity = column.codec, declared.affinity
    if affinity in ("INTEGER", "NUMERIC"):  # such a column makes 20 of 20.0
        chosen = {
            numbers.DOUBLE: numbers.DOUBLE_OR_INTEGER,
            numbers.REAL4: numbers.REAL4_OR_INTEGER,
        }.get(chosen, chosen)
    if affinity in ("INTEGER", "NUMERIC", "REAL") and chosen.stored == "quote({c})":
        plain = choice.family(chosen.type) == "text" and not chosen.type.startswith("char")
        if plain:  # … and 17 of '17'
            wide = texts.TEXT_OR_NUMBER
            return replace(chosen, misfit=wide.misfit, encode=wide.encode, stored=wide.stored)
    if chosen.type == "uuid" and not _has_values(connection, plan, column):
        if affinity == "BLOB" and declared.declared:
            return texts.UUID_BLOB
        # as SQLAlchemy declares and writes it
        return texts.UUID_PLAIN if "32" in declared.declared else texts.UUID
    return chosen


def _has_values(connection: sqlite3.Connection, plan: TablePlan, column: ColumnPlan) -> bool:
    cell = sql.name(column.source)
    query = f"SELECT 1 FROM {plan.relation} WHERE {cell} IS NOT NULL LIMIT 1"
    return connection.execute(query).fetchone() is not None


def form_of(connection: sqlite3.Connection, plan: TablePlan, column: ColumnPlan) -> Form:
    """How this column writes a value that it did not have.

    Args:
        connection: the kept file.
    """
    declared = plan.table.column(column.source)
    plain = _form(connection, plan, column, declared)
    wish = plan.wish.column(column.source)
    if wish.empty and declared is not None and declared.not_null:
        return lambda text: "" if text == "NULL" else plain(text)
    return lambda text: None if text == "NULL" else plain(text)


def _form(
    connection: sqlite3.Connection, plan: TablePlan, column: ColumnPlan, declared: Column | None
) -> Form:
    chosen, wish = column.codec, plan.wish.column(column.source)
    typeless = declared is not None and declared.affinity == "BLOB"
    if chosen.type in _EPOCHS or chosen.type == "time":
        sample = Sample.of(connection, plan, column)
        if wish.epoch and chosen.type in _EPOCHS and sample.kind not in ("text", ""):
            return Count(wish.epoch, sample.kind == "real").write
        if chosen.type == "time" and chosen.stored != times.TIME_OF_2000.stored:
            return Clock(tuple(_clocks(sample))).write
        if chosen.type != "date" or chosen is times.DATE_AT_MIDNIGHT:
            zoned = chosen.type == "timestamptz" and not wish.zone
            moment = Moment.like(sample, "+00:00" if zoned else "")
            return replace(moment, zone=wish.zone, says_zone=chosen.type == "timestamptz").write
        return chosen.decode
    if wish.zone and chosen.type == "time with time zone":
        clock = Clock(tuple(_clocks(Sample.of(connection, plan, column))))
        return lambda text: clock.of_utc(str(chosen.decode(text)))
    if chosen is numbers.BOOLEAN_ANY:
        return _words_of(Sample.of(connection, plan, column))
    if wish.mixed == "bytes" and Sample.of(connection, plan, column).kind == "text":
        return lambda text: functions.m_of_blob(_bytes(chosen.decode(text)))
    if wish.mixed == "text" and Sample.of(connection, plan, column).kind == "blob":
        return lambda text: _blob(chosen.decode(text))
    if wish.round and chosen.type == "real":
        return lambda text: _shortest(chosen.decode(text))
    if typeless and choice.family(chosen.type) in ("number", "text"):
        kind = Sample.of(connection, plan, column).kind
        if kind in ("integer", "real"):
            return lambda text: _number(chosen.decode(text), kind)
    return chosen.decode


def _words_of(sample: Sample) -> Form:
    """Truth in the words that the column uses most, or as a number where it uses none."""
    said = Counter(sample.texts)
    true = next((word for word, _ in said.most_common() if word.lower() in numbers.TRUE), None)
    false = next((word for word, _ in said.most_common() if word.lower() in numbers.FALSE), None)
    if sample.kind != "text":
        true = false = None
    return lambda text: (
        (1 if true is None else true) if text == "1" else 0 if false is None else false
    )


def _bytes(value: Cell) -> bytes | None:
    return value if isinstance(value, bytes) else None


def _blob(value: Cell) -> Cell:
    return value.encode() if isinstance(value, str) else value


def _shortest(value: Cell) -> Cell:
    """The number with the fewest digits that is rounded to this one: 1.1, where 1.100000023841858 is kept."""
    if not isinstance(value, float):
        return value
    short = (float(f"{value:.{digits}g}") for digits in range(1, 9))
    return next((number for number in short if functions.m_round(number, "real") == value), value)


def _number(value: Cell, kind: str) -> Cell:
    """A number as most of the column's are stored, if it is the same number then."""
    if isinstance(value, str):
        number = re.fullmatch(r"-?(0|[1-9]\d{0,17})", value)
        return int(value) if number and kind == "integer" else value
    if kind == "integer" and isinstance(value, float) and value.is_integer():
        return int(value) if abs(value) <= 2**53 else value
    if kind == "real" and isinstance(value, int) and abs(value) <= 2**53:
        return float(value)
    return value


@dataclass(frozen=True)
class Sample:
    """The last values of a column that are carried."""

    kind: str  #: the storage class of most; empty if there are none
    texts: tuple[str, ...]

    @classmethod
    def of(cls, connection: sqlite3.Connection, plan: TablePlan, column: ColumnPlan) -> Sample:
        """Look at the column, once."""
        cell = sql.name(column.source)
        row = None if plan.table.without_rowid else inspection.rowid(plan.table)
        last = f"ORDER BY {row} DESC" if row else ""
        rows = connection.execute(
            f"SELECT typeof({cell}), {cell} FROM {plan.relation}"
            f" WHERE {column.cell} IS NOT NULL {last} LIMIT {_SAMPLE}"
        ).fetchall()
        kinds = Counter(decoded(kind) for kind, _ in rows)
        written = tuple(decoded(value) for kind, value in rows if decoded(kind) == "text")
        return cls(kinds.most_common(1)[0][0] if kinds else "", written)


@dataclass(frozen=True)
class Shape:
    """One way to write a moment."""

    between: str  #: day and time; empty: the day alone
    seconds: bool
    digits: int  #: of a second's fraction
    suffix: str

    def write(self, day: str, clock: str, micros: int) -> str | None:
        """The moment in this shape; None if something of it would be lost."""
        if not self.between:
            return day if clock == "00:00:00" and not micros else None
        fraction = f"{micros:06d}".ljust(self.digits, "0")
        if fraction[self.digits :].strip("0") or (not self.seconds and clock[6:] != "00"):
            return None
        text = day + self.between + (clock if self.seconds else clock[:5])
        return text + (f".{fraction[: self.digits]}" if self.digits else "") + self.suffix


@dataclass(frozen=True)
class Moment:
    """The shapes of a column's moments, the most usual one first."""

    whole: tuple[Shape, ...]  #: of full seconds
    broken: tuple[Shape, ...]
    zone: str = ""  #: whose clocks show what says no zone
    says_zone: bool = True  #: whether what is to be written is UTC, and not what these clocks show

    @classmethod
    def like(cls, sample: Sample, suffix: str) -> Moment:
        """As the sample writes them.

        Args:
            suffix: of a column without values.
        """
        seen: tuple[Counter[Shape], Counter[Shape]] = (Counter(), Counter())
        for text in sample.texts:
            match = _MOMENT.fullmatch(text)
            if match is None:
                continue
            _, between, _, seconds, fraction, offset, named = match.groups()
            zone = _NAMED_UTC if named else offset or ""
            shape = Shape(between or "", bool(seconds), len(fraction or ""), zone)
            seen[bool((fraction or "").strip("0"))][shape] += 1
        whole, broken = ([shape for shape, _ in counter.most_common()] for counter in seen)
        usual = Shape(" ", True, 6, suffix)
        best = next((s for s in (*broken, *whole) if s.between), usual)
        exact = replace(best, seconds=True, digits=6)
        return cls((*whole, *broken, exact), (*broken, *whole, exact))

    def write(self, canonical: str) -> Cell:
        """A moment in the first shape that loses nothing."""
        match = re.fullmatch(r"(\d{4}-\d\d-\d\d)(?: (\d\d:\d\d:\d\d)(?:\.(\d+))?)?.*", canonical)
        if match is None:
            return None
        day, clock, micros = match[1], match[2] or "00:00:00", int((match[3] or "").ljust(6, "0"))
        for shape in self.broken if micros else self.whole:
            at = self._in_zone(day, clock, shape.suffix)
            text = shape.write(*at, micros) if at else None
            if text is not None:
                return text
        return None

    def _in_zone(self, day: str, clock: str, suffix: str) -> tuple[str, str] | None:
        """What is to be written, as it is shown where this suffix is said."""
        if self.zone in ("", zones.UTC):
            return _away(day, clock, suffix)
        text: str | None = f"{day} {clock}"
        if self.says_zone and not suffix.strip():
            text = zones.shown(f"{day} {clock}", self.zone)
        elif suffix.strip() and not self.says_zone:
            text = zones.in_utc(f"{day} {clock}", self.zone)
        return _away(text[:10], text[11:19], suffix) if text else None


def _away(day: str, clock: str, suffix: str) -> tuple[str, str] | None:
    """A moment in UTC as the clocks of another offset show it."""
    suffix = suffix.strip().partition(" ")[0]
    if suffix[:1] not in ("+", "-") or not suffix.strip("+-0:"):
        return day, clock
    digits = suffix[1:].replace(":", "").ljust(4, "0")
    offset = timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
    try:
        moment = datetime.fromisoformat(f"{day} {clock}")
        moment = moment + offset if suffix[0] == "+" else moment - offset
    except (OverflowError, ValueError):
        return None
    return str(moment.date()), str(moment.time())


def _clocks(sample: Sample) -> Iterator[Shape]:
    """The shapes of times of day, the most usual one first."""
    seen: Counter[Shape] = Counter()
    for text in sample.texts:
        match = _CLOCK.fullmatch(text)
        if match is not None:
            seen[Shape("T", bool(match[2]), len(match[3] or ""), "")] += 1
    yield from (shape for shape, _ in seen.most_common())
    yield Shape("T", True, 6, "")


@dataclass(frozen=True)
class Clock:
    """The shapes of a column's times of day."""

    shapes: tuple[Shape, ...]

    def write(self, canonical: str) -> Cell:
        """A time in the first shape that loses nothing."""
        match = re.fullmatch(r"(\d\d:\d\d:\d\d)\.(\d{6})", canonical)
        if match is None:
            return None
        spellings = (shape.write("", match[1], int(match[2])) for shape in self.shapes)
        return next((text[1:] for text in spellings if text is not None), None)

    def of_utc(self, text: str) -> Cell:
        """The same of a time as PostgreSQL writes it; one in another zone as it is."""
        canonical = functions.m_time(text.removesuffix("+00").encode())
        return self.write(canonical) if canonical else text


@dataclass(frozen=True)
class Count:
    """Moments as numbers."""

    unit: str  #: see ``mapping.COLUMN_KEYS``
    real: bool  #: whether most of them have a fraction, or could have one

    def write(self, canonical: str) -> Cell:
        """The number of a moment; a fraction only where it is needed or usual."""
        plain, _, fraction = canonical.removesuffix("+00:00").partition(".")
        try:
            moment = datetime.fromisoformat(plain)
            moment = moment.replace(microsecond=int(fraction.ljust(6, "0")))
        except ValueError:  # infinity, or BC
            return None
        count = functions.count_since(moment, self.unit)
        if not self.real and count == count.to_integral_value():
            return int(count)
        return float(count)


def unfit(chosen: Codec, canonical: str, declared: str) -> str:
    """Why SQLite can't hold a value, in a few words."""
    number = choice.family(chosen.type) == "number"
    if number and (canonical == "NaN" or (len(canonical) == 16 and _is_nan(canonical))):
        return "SQLite has no NaN; it would become NULL"
    if chosen.type in _EPOCHS and re.match(r"\d{5,}-|.* BC", canonical):
        return "Python's times end with the year 9999, and begin with the year 1"
    if chosen.type in (*_EPOCHS, "time") and not re.match(r"\d{4}-|[01]\d:|2[0-3]:", canonical):
        return "SQLite's and Python's times have no such moment"
    if chosen.type.startswith("numeric"):
        try:
            whole = Decimal(canonical) == int(Decimal(canonical))
        except ArithmeticError:
            whole = False
        if whole:
            return "a whole number beyond 64 bits; SQLite would round it"
        return "more digits than SQLite's numbers keep; it would round it"
    return f"a column declared {declared or 'without a type'} would store it as another value"


def _is_nan(canonical: str) -> bool:
    value = numbers.DOUBLE.decode(canonical)
    return value != value
