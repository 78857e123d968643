"""Every codec is a pair of inverse functions, and its misfits really are what it can't carry."""

import json
import sqlite3
import struct
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from migrate_db.codecs import codec, copy_text, intervals, numbers, spelled, texts, times
from migrate_db.codecs.codec import Cell, Codec
from migrate_db.sqlite import functions

AWKWARD = (
    "", " ", "a ", "it's", '"', "\\", "\\N", "\\.", "a\n\\.\nb", "\r", "\r\n", "\t", ",", "\x01",
    "\x01\x01", "\x02", "\x02N", "\x03", "a\x03\x02", "\x02002", "\\\x02\x01\n",
    "\x7f", "NULL", "'NULL'", "é", "e\u0301", "🧠", "\ufeff", "\u2028", "\uffff",
    "a\x00b", "\x00", "1", "1.0", "1e5", "-0", "inf", "true", "false", "True", "t", "yes",
    "{}", '{"a": 1, "a": 2}', '{"b":1,"a":[1.50,1e400,-0.0]}', "[1", "{}\x00", "nul", "null",
    '"\\u0000"', '"\\ud800"', '"\\ud83e\\udde0"', '"a\tb"', "[1,]", "01", "1.", ".5", "+1", "NaN",
    '"\\x"', " 1 ", "\x0b1", "'a'", "{a:1}", "[1e5]", "[1E400]",
    "2024-02-29", "2023-02-29", "2024-13-01", "0000-01-01", "0001-01-01", "9999-12-31",
    "2024-02-29 23:59:59", "2024-02-29 23:59:59.999999", "2024-02-29 24:00:00",
    "2024-02-29T10:00:00", "2024-02-29 10:00", "2024-02-29 10:00:00.5", "2024-02-29 10:00:00.1234567",
    "2024-02-29 10:00:00Z", "2024-02-29 10:00:00+00:00", "2024-02-29 10:00:00+02:00",
    "2024-02-29 10:00:00.000000+00", "2024-02-29 10:00:00\x00x", "2000-01-01 12:34:56", "2000-01-01 12:34:56\x00x",
    "2024-02-29\x00", "10:00", "24:00",
    "10:00:00.25", "23:59:60", "12:60", "infinity", "now", "2024-02-29 BC",
    "00112233445566778899aabbccddeeff", "00112233-4455-6677-8899-aabbccddeeff",
    "00112233-4455-6677-8899-AABBCCDDEEFF", "00112233445566778899aabbccddeeff\x00",
)  # fmt: skip
NUMBERS = (
    0.0, -0.0, 0.1, 0.5, 1.5, 20.0, 1e15, 2.0**53, 2.0**53 + 2, 1e18, 9.3e18, 1e20, 1e22, 1e300,
    -1e-300, 5e-324, 1.7976931348623157e308, float("inf"), float("-inf"), 3.4028234663852886e38,
    1.401298464324817e-45, 0.10000000149011612, 123456.78, 99.999, 12.30,
)  # fmt: skip
INTEGERS = (
    0, 1, 2, -1, 32767, 32768, -32768, -32769, 2**31 - 1, 2**31, -(2**31), -(2**31) - 1,
    20240229, 20230229, 9999999, 99991231, 106751992, 2**53, 2**53 + 1, 2**63 - 1, -(2**63), 12345, 100000000,
)  # fmt: skip
BLOBS = (b"", b"\x00", b"\xff\xfe", bytes(16), bytes(range(16)), b"abc", b"'", b"\x01")

documents = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=6,
)
NEARLY_A_MOMENT = r"[0-2][0-9]{3}-[01][0-9]-[0-3][0-9]( [0-2][0-9]:[0-6][0-9]:[0-6][0-9])?"
any_text = st.one_of(
    st.sampled_from(AWKWARD),
    st.text(st.characters(codec="utf-8"), max_size=12),
    st.text("\x01\x02'\\\n\r,.NE0\x00 ", max_size=8),
    st.datetimes().map(lambda t: t.isoformat(" ", "microseconds")),
    st.datetimes().map(lambda t: t.isoformat(" ", "seconds")),
    st.datetimes().map(lambda t: t.isoformat("T") + "Z"),
    st.builds(
        "{} {}{}".format,
        st.datetimes(),
        st.sampled_from(["+0000 UTC", "+0200 CEST", "+0530 +0530", "-0300 -03", "+0000 Note"]),
        st.sampled_from(["", " m=+0.000000001", " m=-12.5"]),
    ),
    st.times().map(lambda t: f"2000-01-01 {t}"),
    st.dates().map(lambda d: f"{d} 00:00:00"),
    st.uuids().map(lambda u: str(u).upper()),
    st.from_regex(NEARLY_A_MOMENT, fullmatch=True),
    st.dates().map(str),
    st.times().map(str),
    st.from_regex(
        r"-?([0-9]{1,8}\.)?[0-2][0-9]:[0-5][0-9]:[0-5][0-9](\.0{0,6}[0-9]{0,6}[05])?",
        fullmatch=True,
    ),
    st.uuids().map(str),
    st.uuids().map(lambda u: u.hex),
    documents.map(lambda value: json.dumps(value, ensure_ascii=False)),
    st.text('{}[]",:0123456789.eE+-truefalsn\\u \t\x1f', max_size=10),
    st.integers(-(2**64), 2**64).map(str),
    st.decimals(-(10**6), 10**6, places=3).map(str),
    st.floats(allow_nan=False).map(repr),
)
values = st.one_of(
    st.none(),
    any_text,
    st.sampled_from(INTEGERS)
    | st.dates().map(lambda d: int(d.strftime("%Y%m%d")))
    | st.integers(-(2**63), 2**63 - 1)
    | st.integers(-3, 3),
    st.sampled_from(NUMBERS)
    | st.floats(allow_nan=False)
    | st.floats(width=32, allow_nan=False)
    | st.decimals(-1000, 1000, places=2).map(float),
    st.sampled_from(BLOBS) | st.binary(max_size=20),
)


def same(one: Cell, other: Cell) -> bool:
    """Value and storage class; floats by their bits."""
    return type(one) is type(other) and (
        struct.pack(">d", one) == struct.pack(">d", other)
        if isinstance(one, float) and isinstance(other, float)
        else one == other
    )


def same_moment(one: Cell, other: Cell) -> bool:
    """The same time, written in another of SQLite's ways."""
    if one is None or other is None:
        return one is other
    assert isinstance(one, str) and isinstance(other, str)
    find = functions.m_time if ":" in one[:3] else functions.m_timestamptz
    ours = [f(v.encode()) for v in (one, other) for f in (functions.m_timestamp, find)]
    return ours[:2] == ours[2:]


def same_instant(one: Cell, other: Cell) -> bool:
    """The same moment, whatever the offset it is told in."""
    if one is None or other is None:
        return one is other
    ours = [functions.m_timestamptz_named_any(str(v).encode()) for v in (one, other)]
    return ours[0] == ours[1] is not None


def same_json(one: Cell, other: Cell) -> bool:
    if one is None or other is None:
        return one is other
    ours, theirs = (
        json.loads(str(v), parse_float=Decimal, parse_int=Decimal) for v in (one, other)
    )
    return bool(ours == theirs)


def as_text(one: Cell, other: Cell) -> bool:
    """Numbers among texts keep their digits, and nothing else of theirs."""
    if isinstance(one, float):
        return isinstance(other, str) and same(one, float(other))
    return same(one if one is None else str(one), other)


def same_number(one: Cell, other: Cell) -> bool:
    """The same number, whether it is spelled as a text, and with which zeros at its end."""
    if one is None or other is None:
        return one is other
    return Decimal(str(one)) == Decimal(str(other))


def same_truth(one: Cell, other: Cell) -> bool:
    """Whatever the word; PostgreSQL keeps none."""
    true = ("1", "t", "true", "y", "yes", "on")
    return one is other is None or (str(one).lower() in true) == (str(other) == "1")


@dataclass(frozen=True)
class Case:
    codec: Codec
    declared: str  #: the SQLite column that it is for
    equal: Callable[[Cell, Cell], bool] = same
    existing: str = ""  #: type of a column that was there before


CASES = {
    "smallint": Case(numbers.integer("smallint"), "SMALLINT"),
    "integer": Case(numbers.integer("integer"), "INTEGER"),
    "bigint": Case(numbers.integer("bigint"), "BIGINT"),
    "bigint typeless": Case(numbers.integer("bigint"), ""),
    "boolean": Case(numbers.BOOLEAN, "BOOLEAN"),
    "boolean words": Case(numbers.boolean_words("false", "true"), "BOOLEAN"),
    "boolean words nocase": Case(numbers.boolean_words("False", "True"), "TEXT COLLATE NOCASE"),
    "boolean any": Case(numbers.BOOLEAN_ANY, "BOOLEAN", same_truth),
    "boolean any nocase": Case(numbers.BOOLEAN_ANY, "TEXT COLLATE NOCASE", same_truth),
    "double": Case(numbers.DOUBLE, "FLOAT"),
    "double typeless": Case(numbers.DOUBLE, ""),
    "double or integer": Case(numbers.DOUBLE_OR_INTEGER, "DATETIME"),
    "real": Case(numbers.REAL4, "REAL"),
    "real or integer": Case(numbers.REAL4_OR_INTEGER, "NUMERIC"),
    "numeric": Case(numbers.numeric(), "NUMERIC"),
    "numeric of floats": Case(numbers.numeric(), "FLOAT"),
    "numeric(5,2)": Case(numbers.numeric(5, 2), "NUMERIC(5,2)"),
    "numeric(2,0)": Case(numbers.numeric(2), "NUMERIC(2)"),
    "integer spelled": Case(spelled.whole("integer"), "TEXT"),
    "integer spelled rtrim": Case(spelled.whole("integer"), "TEXT COLLATE RTRIM"),
    "bigint spelled typeless": Case(spelled.whole("bigint"), "", same_number),
    "numeric spelled": Case(spelled.decimal(), "TEXT", same_number),
    "numeric spelled typeless": Case(spelled.decimal(), "", same_number),
    "numeric(5,2) spelled": Case(spelled.decimal(5, 2), "TEXT", same_number),
    "double spelled": Case(spelled.DOUBLE_SPELLED, "TEXT", same_number),
    "double spelled typeless": Case(spelled.DOUBLE_SPELLED, "", same_number),
    "varchar(3) or number": Case(spelled.digits("varchar", 3), "NUMERIC"),
    "varchar(3) or number, typeless": Case(spelled.digits("varchar", 3), "", as_text),
    "char(4) or number": Case(spelled.digits("char", 4), "INTEGER"),
    "text": Case(texts.text(), "TEXT"),
    "text nocase": Case(texts.text(), "TEXT COLLATE NOCASE"),
    "varchar(3)": Case(texts.text("varchar", 3), "VARCHAR(3)"),
    "char(4)": Case(texts.padded(4), "CHAR(4) COLLATE RTRIM"),
    "text or number": Case(texts.TEXT_OR_NUMBER, "NUMERIC"),
    "text or number, typeless": Case(texts.TEXT_OR_NUMBER, "", as_text),
    "bytea": Case(texts.BYTEA, "BLOB"),
    "json": Case(texts.JSON, "JSON"),
    "json text": Case(texts.JSON, "TEXT"),
    "jsonb": Case(texts.JSONB, "TEXT", same_json),
    "timestamp": Case(times.TIMESTAMP, "DATETIME", same_moment),
    "timestamp any": Case(times.TIMESTAMP_ANY, "DATETIME", same_moment),
    "timestamptz": Case(times.TIMESTAMPTZ, "DATETIME", same_moment),
    "timestamptz any": Case(times.TIMESTAMPTZ_ANY, "TEXT", same_instant),
    "timestamptz named": Case(times.TIMESTAMPTZ_NAMED, "DATETIME", same_instant),
    "timestamptz named any": Case(times.TIMESTAMPTZ_NAMED_ANY, "TEXT", same_instant),
    "date": Case(times.DATE, "DATE"),
    "date at midnight": Case(times.DATE_AT_MIDNIGHT, "DATE", same_moment),
    "date of digits": Case(times.DATE_DIGITS, "DATE"),
    "date of digits, text": Case(times.DATE_DIGITS_TEXT, "TEXT"),
    "time": Case(times.TIME_ANY, "TIME", same_moment),
    "time strict": Case(times.TIME, "TIME", same_moment),
    "time of 2000": Case(times.TIME_OF_2000, "TIME", same_moment),
    "interval, microseconds": Case(intervals.INTERVAL_MICROS, "BIGINT"),
    "interval, milliseconds": Case(intervals.INTERVAL_MILLIS, "INT"),
    "interval, seconds": Case(intervals.INTERVAL_SECONDS, "SECONDS"),
    "interval, days": Case(intervals.INTERVAL_DAYS, "INTERVAL"),
    "interval, dotted": Case(intervals.INTERVAL_DOTTED, "TEXT"),
    "interval since 1970": Case(intervals.INTERVAL_SINCE_1970, "DATETIME", same_moment),
    "uuid": Case(texts.UUID, "UUID"),
    "uuid in capitals": Case(texts.UUID_CAPITALS, "UUID"),
    "uuid in braces": Case(texts.UUID_BRACED, "UUID"),
    "uuid plain": Case(texts.UUID_PLAIN, "CHAR(32)"),
    "uuid blob": Case(texts.UUID_BLOB, "BLOB"),
}


QUOTES = "''"


class Bench:
    """One column on both sides, and one codec between them."""

    def __init__(self, case: Case, url: str) -> None:
        self.case = case
        self.source = sqlite3.connect(":memory:")
        self.source.text_factory = bytes
        functions.register(self.source)
        self.source.execute(f'CREATE TABLE t (n INTEGER PRIMARY KEY, "c" {case.declared})')
        self.target = psycopg.connect(url)
        self.target.execute("SET TimeZone = 'UTC'")
        self.target.execute(f'CREATE TEMP TABLE t ("c" {case.codec.type})'.encode())

    def store(self, values: list[Cell]) -> None:
        self.source.execute("DELETE FROM t")
        self.source.executemany("INSERT INTO t VALUES (?, ?)", enumerate(values))

    def remove_misfits(self) -> None:
        """By the same expression as the scan, in which SQLite evaluates both sides of an OR."""
        total = f"total({self.case.codec.misfit_of('c')})"
        found = self.source.execute(f"SELECT n FROM t GROUP BY n HAVING {total} > 0").fetchall()
        self.source.executemany("DELETE FROM t WHERE n = ?", found)

    def ask(self, expression: str, where: str = "true") -> list[Any]:
        rows = self.source.execute(f"SELECT {expression} FROM t WHERE {where} ORDER BY n")
        return [row[0] for row in rows]

    def cells(self, where: str = "true") -> list[Cell]:
        """What SQLite really stored, after its own affinity."""
        found = self.source.execute(f"SELECT typeof(c), c FROM t WHERE {where} ORDER BY n")
        return [v.decode() if kind == b"text" else v for kind, v in found]

    def framed(self, where: str = "true") -> list[str]:
        """What the two databases write for whole blocks: SQLite's side of it."""
        field, text = self.case.codec.framed_stored_of("c", utf8=True)
        array = f"json_array({field})" if field else "''"
        return [encoded(line).decode() for line in self.ask(f"{array} || {text or QUOTES}", where)]

    def arrive(self, fields: list[bytes]) -> tuple[list[str], list[str]]:
        """Load fields as the program does, and read back in canonical text, and framed."""
        with self.target.transaction(force_rollback=True):
            with self.target.cursor().copy(f"COPY t FROM STDIN ({copy_text.OPTIONS})") as copy:
                for field in fields:
                    copy.write(copy_text.finished(field) + b"\n")
            held = self.case.codec.held_of("c")
            field, quoted, text = self.case.codec.framed_held_of("c", not_null=False)
            quote = '"' if quoted else ""
            array = f"'[{quote}' || {field} || '{quote}]'" if field else "''"
            query = f"SELECT {held}, {array} || {text or QUOTES} FROM t"
            rows = self.target.execute(query.encode()).fetchall()
            return [row[0] for row in rows], [row[1] for row in rows]


@pytest.fixture(params=CASES, ids=list(CASES))
def bench(request: pytest.FixtureRequest, codec_database: str) -> Bench:
    return Bench(CASES[request.param], codec_database)


@pytest.fixture(scope="module")
def codec_database(admin_url: str) -> str:
    """Temporary tables only, so that all codecs share one."""
    return admin_url


def hold_inverse(bench: Bench, values: list[Cell]) -> None:
    codec = bench.case.codec
    bench.store(values)
    bench.remove_misfits()
    before = bench.cells()
    fields = [encoded(field) for field in bench.ask(codec.encode_of("c"))]
    stored = [encoded(text).decode() for text in bench.ask(codec.stored_of("c"))]
    held, framed = bench.arrive(fields)
    assert held == stored, "what PostgreSQL holds is what SQLite stores"
    assert framed == bench.framed(), "so it is where whole blocks are compared"
    bench.store([codec.cell(text) for text in stored])
    for old, new in zip(before, bench.cells(), strict=True):
        assert bench.case.equal(old, new), f"{old!r} came back as {new!r}"


def encoded(field: Cell) -> bytes:
    return field if isinstance(field, bytes) else str(field).encode()


def hold_misfits(bench: Bench, values: list[Cell]) -> None:
    """A misfit would be refused by PostgreSQL, or not come back as what it was."""
    codec = bench.case.codec
    bench.store(values)
    misfit = codec.misfit_of("c")
    for number, cell in zip(bench.ask("n", misfit), bench.cells(misfit), strict=True):
        assert cell is not None
        try:
            (field,) = bench.ask(codec.encode_of("c"), f"n = {number}")
            (stored,) = bench.ask(codec.stored_of("c"), f"n = {number}")
            held, framed = bench.arrive([encoded(field)])
            back = codec.cell(*held)  # `\.` ends a COPY
        except (psycopg.Error, sqlite3.Error, TypeError, ValueError, OverflowError, struct.error):
            continue  # refused, by one side or the other
        if held != [encoded(stored).decode()]:
            # the proof would see it, in whole blocks, too
            with suppress(sqlite3.Error):
                assert framed != bench.framed(f"n = {number}"), cell
            continue
        bench.store([back])
        assert not same(cell, bench.cells()[0]), f"{cell!r} would have come through"
        bench.store(values)


def test_all_awkward_values(bench: Bench) -> None:
    everything: list[Cell] = [None, *AWKWARD, *NUMBERS, *INTEGERS, *BLOBS]
    hold_inverse(bench, everything)


RELAXED = settings(
    deadline=None, database=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@given(st.lists(values, min_size=1, max_size=40))
@settings(RELAXED, max_examples=15)
def test_inverse(bench: Bench, found: list[Cell]) -> None:
    hold_inverse(bench, found)


@pytest.mark.slow
@given(st.lists(values, min_size=1, max_size=60))
@settings(RELAXED, max_examples=300)
def test_inverse_long(bench: Bench, found: list[Cell]) -> None:
    hold_inverse(bench, found)


# these refuse some values that would come through: 'infinity', integers that floats can hold
CAREFUL = {"text or number", "double or integer", "date"}
STRICT = {name for name in CASES if CASES[name].equal is same} - CAREFUL


@pytest.mark.parametrize("bench", sorted(STRICT), indirect=True)
def test_a_misfit_is_one(bench: Bench) -> None:
    hold_misfits(bench, [None, *AWKWARD, *NUMBERS, *INTEGERS, *BLOBS])


def test_no_codec_is_forgotten() -> None:
    known = [case.codec for case in CASES.values()]
    made = [*vars(codec).values(), *vars(intervals).values()]
    assert all(value in known for value in made if isinstance(value, Codec))
