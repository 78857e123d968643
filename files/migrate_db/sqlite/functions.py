"""What SQLite's own SQL can't say about a value, as functions of one cell.

Registered on a connection as ``m_…``. They are called only where a built-in
won't do: each call costs about a microsecond, a built-in a tenth of it. Text
arrives as a BLOB, because it need not be valid UTF-8. SQLite evaluates both
sides of an OR, so each function answers NULL to a value that isn't its kind.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import re
import sqlite3
import struct
from collections.abc import Callable, Iterator
from datetime import datetime, time, timedelta
from decimal import ROUND_HALF_UP, Context, Decimal, InvalidOperation
from typing import Any

from migrate_db.sqlite import zones
from migrate_db.visible import decoded

_TIMESTAMP = re.compile(
    r"(\d{4}-\d\d-\d\d)"
    r"(?:[ T]((?:[01]\d|2[0-3]):\d\d)(?:(:\d\d)(?:\.(\d{1,6})0*)?)?"
    r"(?: (?=[+-]))?(Z|[+-]\d\d(?::?\d\d)?)?)?",
    re.ASCII,
)
#: What Go's time.Time adds to an offset: the zone's name, which may be the offset again, and a clock that only goes
#: forward, if it was read.
NAMED_ZONE = r" (?:[A-Z]{3,6}|ChST|[+-]\d\d(?:\d\d)?)(?: m=[+-]\d+\.\d{9})?"
_NAMED = re.compile(
    rf"(\d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d+)? [+-]\d{{4}}){NAMED_ZONE}".encode()
)
_ZERO_OFFSETS = ("Z", "+00", "+0000", "+00:00", "-00:00", "-0000")

_1970, _MICRO = datetime(1970, 1, 1), 1_000_000
#: Where each count of a mapping begins, and its unit in microseconds.
_EPOCHS = {
    "s": (_1970, _MICRO),
    "ms": (_1970, 1000),
    "us": (_1970, 1),
    "julian": (datetime(2000, 1, 1, 12), 86_400 * _MICRO),  # less its number, see m_epoch
    "cocoa": (datetime(2001, 1, 1), _MICRO),
    "webkit": (datetime(1601, 1, 1), 1),
}
_JULIAN_2000 = 2_451_545
#: Digits of a numeric, as PostgreSQL documents them.
_MOST_BEFORE_POINT, _MOST_BEHIND_POINT = 131_072, 16_383
#: Levels of JSON that SQLite itself reads; PostgreSQL's stack holds some thousands.
_DEEPEST = 1000
#: As ``json.dumps``, which makes an encoder for each text.
_quoted = json.JSONEncoder(ensure_ascii=False).encode
#: More than a float and a numeric have.
_ALL_DIGITS = Context(prec=2000)


def register(connection: sqlite3.Connection) -> None:
    """Make every function of this module callable from SQL."""
    (encoding,) = connection.execute("PRAGMA encoding").fetchone()
    encoding = decoded(encoding)
    for function in (m_repr, m_hex, m_single, m_plain, m_scale, m_digits, m_micros_of_days):
        connection.create_function(function.__name__, 1, function, deterministic=True)
    for of_text in (
        m_timestamp,
        m_timestamptz,
        m_timestamptz_any,
        m_timestamptz_named,
        m_timestamptz_named_any,
        m_time,
        m_jsonb,
        m_list,
        m_array,
        m_utf8,
        m_micros_of_span,
    ):
        connection.create_function(
            of_text.__name__, 1, _from(encoding, of_text), deterministic=True
        )
    connection.create_function("m_bytes", 1, _strictly(encoding), deterministic=True)
    connection.create_function("m_sha256", 1, m_sha256, deterministic=True)
    connection.create_function("m_of_blob", 1, m_of_blob, deterministic=True)
    connection.create_function("m_epoch", 3, m_epoch, deterministic=True)
    connection.create_function("m_round", 2, m_round, deterministic=True)
    connection.create_function("m_micros_of", 2, m_micros_of, deterministic=True)
    for of_text_by in (m_text, m_zone, m_cut, m_decimal):
        connection.create_function(
            of_text_by.__name__, 2, _from_by(encoding, of_text_by), deterministic=True
        )


#: What stands before the fraction of a second, its digits, and a zone.
_LONG_FRACTION = re.compile(
    rf"([0-9T :-]*:[0-9]{{2}})\.([0-9]+)([ +:0-9Z-]*| [+-][0-9]{{4}}{NAMED_ZONE})".encode()
)
#: A number as any program writes it: a sign, no zero before other digits, the fraction.
_DECIMAL = re.compile(rb"(-?)(0|[1-9][0-9]*)(?:\.([0-9]+))?")
#: A span as .NET writes it; its last digit is a tenth of a microsecond. TimeSpan ends within eight digits of days.
_SPAN = re.compile(
    rb"(-?)(?:([1-9][0-9]{0,7})\.)?([01][0-9]|2[0-3]):([0-5][0-9]):([0-5][0-9])(?:\.(?!0{7})([0-9]{6})0)?"
)
#: Two numbers that no character has; SQLite loses them when it turns UTF-8 into UTF-16.
_NO_CHARACTERS = {0xFFFE: "\ufffd", 0xFFFF: "\ufffd"}


_Answer = str | bytes | int | None


def _from(
    encoding: str, function: Callable[[bytes | None], _Answer]
) -> Callable[[bytes | None], _Answer]:
    """A cast to BLOB gives the bytes of the file, which may be UTF-16."""
    if encoding == "UTF-8":
        return function

    def recoded(value: object) -> _Answer:
        text = value.decode(encoding, "replace") if isinstance(value, bytes) else None
        if text is not None:  # as SQLite itself reads them, where it has turned a text into UTF-8
            text = text.translate(_NO_CHARACTERS)
        return function(None if text is None else text.encode())

    return recoded


def _from_by(
    encoding: str, function: Callable[[bytes | None, Any], _Answer]
) -> Callable[[bytes | None, Any], _Answer]:
    """As ``_from``, for a function with a word beside the value."""
    return lambda value, word: _from(encoding, lambda text: function(text, word))(value)


def _strictly(encoding: str) -> Callable[[bytes | None], bytes | None]:
    """What gives a text's bytes in UTF-8, of its bytes in the file; NULL if these are no text."""
    if encoding == "UTF-8":
        return m_utf8

    def recoded(value: object) -> bytes | None:
        try:
            return value.decode(encoding).encode() if isinstance(value, bytes) else None
        except UnicodeDecodeError:
            return None

    return recoded


def m_utf8(value: bytes | None) -> bytes | None:
    """The text's bytes in UTF-8, to sort by."""
    return value


def m_sha256(value: bytes) -> str:
    """The digest of a BLOB, in hexadecimal."""
    return hashlib.sha256(value).hexdigest()


def m_repr(value: float | None) -> str | None:
    """The shortest text that reads back as exactly this number."""
    return None if value is None else repr(value)


def m_hex(value: object) -> str | None:
    """The IEEE 754 bytes, big-endian, as PostgreSQL's ``float8send`` gives them."""
    return struct.pack(">d", value).hex() if isinstance(value, (int, float)) else None


def m_single(value: object) -> int | None:
    """1 if the number survives single precision."""
    if not isinstance(value, (int, float)):
        return None
    try:
        return int(struct.unpack(">f", struct.pack(">f", value))[0] == value)
    except OverflowError:
        return 0


def m_round(value: object, type_name: str) -> int | float | None:
    """The number that a column of this type keeps of another one; the number itself if there is none.

    Args:
        type_name: ``real``, or ``numeric(p,s)``, where a half is rounded away from zero, as PostgreSQL does.
    """
    if not isinstance(value, (int, float)):
        return None
    try:
        if type_name == "real":
            near: float = struct.unpack(">f", struct.pack(">f", value))[0]
            return near if near and near != value else value  # PostgreSQL refuses what is too small
        if isinstance(value, int):
            return value
        last = Decimal(1).scaleb(-int(type_name.rpartition(",")[2].rstrip(")")))
        exact = Decimal(repr(value)).quantize(last, ROUND_HALF_UP, _ALL_DIGITS)
        return float(exact) or 0.0  # there is no negative zero
    except (OverflowError, InvalidOperation):
        return value


def m_plain(value: object) -> str | None:
    """The number in digits, without exponent and trailing zeros (``trim_scale``)."""
    if not isinstance(value, float):
        return str(value) if isinstance(value, int) else None
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    text = format(Decimal(repr(value)), "f")
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text == "-0" else text


def m_scale(value: object) -> int | None:
    """How many digits stand after the decimal point."""
    text = m_plain(value)
    return None if text is None else len(text.partition(".")[2])


def m_digits(value: object) -> int | None:
    """How many digits stand before the decimal point."""
    text = m_plain(value)
    if text is None:
        return None
    whole = text.partition(".")[0].lstrip("-")
    return 10**9 if "Infinity" in text else 0 if whole == "0" else len(whole)


def m_decimal(value: bytes | None, type_name: str) -> str | None:
    """The number that a text spells, as ``m_plain`` writes it; NULL of any other text, or if it doesn't fit.

    Args:
        type_name: ``numeric``, or ``numeric(p,s)``.
    """
    match = None if value is None else _DECIMAL.fullmatch(value)
    if match is None:
        return None
    before, behind = match[2].decode(), (match[3] or b"").decode().rstrip("0")
    number = before + (f".{behind}" if behind else "")
    if match[1] and number == "0":  # there is no negative zero in numeric
        return None
    precision, scale = _MOST_BEFORE_POINT + _MOST_BEHIND_POINT, _MOST_BEHIND_POINT
    if type_name != "numeric":
        precision, scale = map(int, type_name[len("numeric(") : -1].split(","))
    if len(before.lstrip("0")) > precision - scale or len(behind) > scale:
        return None
    return match[1].decode() + number


def m_micros_of(value: object, length: int) -> int | None:
    """The microseconds of a count of something that has so many; NULL if they are no whole number."""
    if not isinstance(value, (int, float)):
        return None
    try:
        micros = Decimal(repr(value)) * length
        whole = int(micros)
    except (ArithmeticError, ValueError):  # infinity
        return None
    return whole if whole == micros and abs(whole) < 2**63 else None


def m_micros_of_days(value: object) -> int | None:
    """The microseconds of a count of days; NULL if no number of them makes exactly this count."""
    if not isinstance(value, (int, float)):
        return None
    try:
        span = timedelta(days=value)
    except (OverflowError, ValueError):
        return None
    count = span.days + (span.seconds + span.microseconds / _MICRO) / 86_400
    micros = span // timedelta(microseconds=1)
    return micros if repr(count) == repr(float(value)) and abs(micros) < 2**63 else None


def m_micros_of_span(value: bytes | None) -> int | None:
    """The microseconds of a span as .NET writes it, ``-1.02:03:04.5000000``; NULL of any other text."""
    match = None if value is None else _SPAN.fullmatch(value)
    if match is None:
        return None
    sign, days, hours, minutes, seconds, fraction = match.groups()
    whole = (int(days or 0) * 24 + int(hours)) * 3600 + int(minutes) * 60 + int(seconds)
    micros = whole * _MICRO + int(fraction or 0)
    return None if sign and not micros else -micros if sign else micros


def m_timestamp(value: bytes | None) -> str | None:
    """``YYYY-MM-DD HH:MM:SS.ffffff`` of a time without a zone, else NULL."""
    parts = _moment(value)
    return None if parts is None or parts[1] is not None else parts[0]


def m_timestamptz(value: bytes | None) -> str | None:
    """The same for a time that says it is UTC; another offset would be forgotten: NULL."""
    parts = _moment(value)
    return None if parts is None or parts[1] not in _ZERO_OFFSETS else parts[0]


def m_time(value: bytes | None) -> str | None:
    """``HH:MM:SS.ffffff`` of a time of day, else NULL."""
    moment = m_timestamp(b"2000-01-01 " + value) if isinstance(value, bytes) else None
    return None if moment is None else moment[11:]


def m_timestamptz_any(value: bytes | None) -> str | None:
    """The moment in UTC of a time that says its offset, whichever that is, else NULL."""
    parts = _moment(value)
    if parts is None or parts[1] is None:
        return None
    return _in_utc(parts[0], parts[1])


def m_timestamptz_named(value: bytes | None) -> str | None:
    """As ``m_timestamptz``, of times that may name their zone, too."""
    return m_timestamptz(_unnamed(value))


def m_timestamptz_named_any(value: bytes | None) -> str | None:
    """As ``m_timestamptz_any``, of times that may name their zone, too."""
    return m_timestamptz_any(_unnamed(value))


def m_zone(value: bytes | None, wanted: str) -> str | None:
    """A time whose zone is known: the moment in UTC, which is said, or what the zone's clocks show.

    Args:
        wanted: the type and the zone of what says none, e.g. ``timestamptz Europe/Berlin``.
    """
    parts = _moment(_unnamed(value))
    if parts is None:
        return None
    text, offset = parts
    kind, _, name = wanted.partition(" ")
    if kind != "timestamptz" and offset is None:
        return text
    moment = zones.in_utc(text, name) if offset is None else _in_utc(text, offset)
    if moment is None or kind == "timestamptz":
        return moment and moment + "+00:00"
    return zones.shown(moment, name)


def m_cut(value: bytes | None, digits: int) -> str | None:
    """A time with no more digits of a second than these; NULL if it has no more, or is none."""
    match = None if value is None else _LONG_FRACTION.fullmatch(value)
    if match is None or len(match[2]) <= digits:
        return None
    kept = b"." + match[2][:digits] if digits else b""
    return (match[1] + kept + match[3]).decode()


def m_epoch(value: object, unit: str, kind: str) -> str | None:
    """A number as a moment, rounded to microseconds; NULL if there is none of that number.

    Args:
        unit: see ``mapping.COLUMN_KEYS``.
        kind: ``timestamp``, ``timestamptz`` or ``date``, which takes only midnights.
    """
    if not isinstance(value, (int, float)) or unit not in _EPOCHS:
        return None
    start, length = _EPOCHS[unit]
    try:
        count = Decimal(repr(value)) - (_JULIAN_2000 if unit == "julian" else 0)
        micros = count * length
        # a day counted in a double is exact to some 40 microseconds; SQLite rounds as we do
        step = Decimal(1000 if unit == "julian" else 1)
        whole = int((micros / step).to_integral_value() * step)
        moment = start + timedelta(microseconds=whole)
    except (ArithmeticError, ValueError):
        return None
    if kind == "date":
        return None if moment.time() != time() else str(moment.date())
    text = moment.isoformat(" ", "microseconds")
    return text + "+00:00" if kind == "timestamptz" else text


def count_since(moment: datetime, unit: str) -> Decimal:
    """What ``m_epoch`` makes this moment of."""
    start, length = _EPOCHS[unit]
    span = moment - start
    micros = Decimal((span.days * 86_400 + span.seconds) * _MICRO + span.microseconds)
    return micros / length + (_JULIAN_2000 if unit == "julian" else 0)


def m_text(value: bytes | None, ways: str) -> str | bytes | None:
    """A text changed in the ways the operator chose; its own bytes if it still isn't UTF-8."""
    if not isinstance(value, bytes):
        return None
    chosen = ways.split()
    try:
        text = value.decode("utf-8")
    except UnicodeDecodeError:
        if "latin1" in chosen:
            text = value.decode("latin-1")
        elif "cp1252" in chosen:
            text = value.decode("cp1252", "replace")
        elif "replace" in chosen:
            text = value.decode("utf-8", "replace")
        else:
            return value.replace(b"\0", b"") if "nul" in chosen else value
    if "nul" in chosen:
        text = text.replace("\x00", "")
    return None if not text and "empty" in chosen else text


def m_of_blob(value: str | bytes | int | float | None) -> str | bytes | int | float | None:
    """The text that a BLOB holds, or the BLOB if it holds none."""
    try:
        return value.decode("utf-8") if isinstance(value, bytes) else value
    except UnicodeDecodeError:
        return value


def m_jsonb(value: bytes | None) -> str | None:
    """The text that PostgreSQL prints for this value as ``jsonb``, NULL if it takes it not."""
    if not isinstance(value, bytes):
        return None
    parsed = _json(value)
    if parsed is None:
        return None
    try:
        return _print_jsonb(parsed[0])
    except ValueError:
        return None


def m_list(value: bytes | None) -> str | None:
    """The text that PostgreSQL prints as ``jsonb`` for an array, of a list of JSON that is one; else NULL."""
    return _printed(value, _print_jsonb)


def m_array(value: bytes | None) -> str | None:
    """The same list as PostgreSQL reads an array."""
    return _printed(value, _print_array)


def _printed(value: bytes | None, as_text: Callable[[object], str]) -> str | None:
    """A list of JSON in another way; NULL of anything else."""
    parsed = _json(value, _trimmed) if isinstance(value, bytes) else None
    if parsed is None or not isinstance(parsed[0], list):
        return None
    try:
        text = as_text(parsed[0])
        text.encode("utf-8")  # a lone surrogate raises a ValueError
    except (ValueError, RecursionError):  # a JSON that is nested too deeply
        return None
    return text


def _in_utc(text: str, offset: str) -> str | None:
    if offset in _ZERO_OFFSETS:
        return text
    hours, minutes = int(offset[1:3]), int(offset[-2:]) if len(offset) > 3 else 0
    if hours > 15 or minutes > 59:  # as PostgreSQL has it
        return None
    away = timedelta(hours=hours, minutes=minutes)
    try:
        moment = datetime.fromisoformat(text) - (away if offset[:1] == "+" else -away)
    except OverflowError:
        return None
    return moment.isoformat(" ", "microseconds")


def _unnamed(value: bytes | None) -> bytes | None:
    """A time without what Go adds to its offset; anything else as it is."""
    match = None if value is None else _NAMED.fullmatch(value)
    return match[1] if match else value


def _moment(value: object) -> tuple[str, str | None] | None:
    text = value.decode("ascii", "replace") if isinstance(value, bytes) else ""
    match = _TIMESTAMP.fullmatch(text)
    if match is None:
        return None
    day, minutes, seconds, fraction, zone = match.groups()
    whole = f"{day} {minutes or '00:00'}{seconds or ':00'}"
    try:
        datetime.fromisoformat(whole)
    except ValueError:
        return None
    return f"{whole}.{fraction or '':0<6}", zone


def _json(value: bytes, parse: Callable[[str], Decimal] | None = None) -> tuple[object] | None:
    """Parse strictly; a tuple, because None is a JSON value."""
    try:
        return (
            json.loads(
                value.decode("utf-8"),
                parse_constant=_refuse,
                parse_float=parse or _number,
                parse_int=_number,
            ),
        )
    except (ValueError, RecursionError):  # of an older Python after some 900 levels
        return None


def _number(text: str) -> Decimal:
    """A number of JSON; written out, one of a few letters may have a billion digits.

    Raises:
        ValueError: PostgreSQL's numeric can't hold it.
    """
    try:
        number = Decimal(text)
    except InvalidOperation:
        raise ValueError(f"{text} is beyond all numbers") from None
    exponent = number.as_tuple().exponent
    assert isinstance(exponent, int)  # JSON has neither infinities nor NaN
    too_large = number and number.adjusted() >= _MOST_BEFORE_POINT
    if too_large or exponent < -_MOST_BEHIND_POINT:
        raise ValueError(f"{text} is beyond numeric")
    return number


def _trimmed(number: str) -> Decimal:
    text = format(_number(number), "f")
    return Decimal(text.rstrip("0").rstrip(".") if "." in text else text)


def _print_array(value: object) -> str:
    if isinstance(value, list):
        return "{" + ",".join(map(_print_array, value)) + "}"
    if isinstance(value, str):
        return '"' + re.sub(r'(["\\])', r"\\\1", value) + '"'
    return "NULL" if value is None else _print_jsonb(value)


def _refuse(word: str) -> object:
    raise ValueError(f"{word} is not JSON")


def _print_jsonb(value: object) -> str:
    """Without recursion, which ends after a third of the levels that were parsed."""
    printed = io.StringIO()
    #: what is left of each list and object that is begun, with what stands before it, and how it ends
    begun = [(iter([("", value)]), "")]
    while begun:
        left, end = begun[-1]
        for before, part in left:
            printed.write(before)
            if isinstance(part, (dict, list)):
                first, last = "{}" if isinstance(part, dict) else "[]"
                printed.write(first)
                if len(begun) > _DEEPEST:
                    raise ValueError("nested too deeply")
                begun.append((_members(part), last))
                break
            printed.write(_print_scalar(part))
        else:
            printed.write(end)
            begun.pop()
    return printed.getvalue()


def _members(part: dict[str, object] | list[object]) -> Iterator[tuple[str, object]]:
    """What a list or an object has in it, each after what stands before it."""
    comma = ""
    if isinstance(part, list):
        for element in part:
            yield comma, element
            comma = ", "
    else:
        for key in sorted(part, key=lambda key: (len(key.encode()), key.encode())):
            yield f"{comma}{_string(key)}: ", part[key]
            comma = ", "


def _print_scalar(value: object) -> str:
    if isinstance(value, str):
        return _string(value)
    if isinstance(value, Decimal):
        text = format(value, "f")
        return text[1:] if value == 0 and text.startswith("-") else text
    return {None: "null", True: "true", False: "false"}[value]  # type: ignore[index]


def _string(text: str) -> str:
    if "\x00" in text:
        raise ValueError("jsonb can't hold \\u0000")
    text.encode("utf-8")  # a lone surrogate raises a ValueError
    return _quoted(text)
