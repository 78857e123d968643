"""Codecs of moments, days and times of day."""

from __future__ import annotations

from dataclasses import replace

from migrate_db.codecs.codec import NUL, Codec, word

# SQLite writes the day and the second again as they are, or they are none: 31 April is 1 May,
# if something is added to it
_NO_YEAR = "substr({c}, 1, 4) = '0000' OR substr({c}, 1, 1) = '-'"
_NO_DAY = f"{_NO_YEAR} OR date({{c}}, '+0 days') IS NOT {{c}} COLLATE BINARY"
_NO_SECOND = (
    f"{_NO_YEAR} OR"
    " datetime(substr({c}, 1, 19), '+0 days') IS NOT substr({c}, 1, 19) COLLATE BINARY"
)
_NO_MICROS = f"substr({{c}}, 20) NOT GLOB '.{'[0-9]' * 6}' OR {NUL}"


def _held_moment(moment: str, form: str = "YYYY-MM-DD HH24:MI:SS.US") -> str:
    # to_char() says nothing of BC, and NULL of infinity
    return (
        f"CASE WHEN {moment} >= '0001-01-01' AND {moment} < 'infinity'"
        f" THEN to_char({moment}, '{form}') ELSE {moment}::text END"
    )


# 2026-01-31 09:05:07.000250 as SQLAlchemy writes a DateTime, or whole seconds as SQLite does
_TRIMMED = (
    # every blob is greater
    "CASE WHEN {c} COLLATE BINARY < x'' THEN CASE length({c})"
    " WHEN 26 THEN iif(substr({c}, 26) = '0', rtrim(rtrim({c}, '0'), '.'), {c})"
    " WHEN 19 THEN {c} ELSE quote({c}) END ELSE quote({c}) END"
)
TIMESTAMP = Codec(
    type="timestamp",
    misfit=f"typeof({{c}}) <> 'text' OR {_NO_SECOND}"
    f" OR CASE length({{c}}) WHEN 19 THEN {NUL} WHEN 26 THEN {_NO_MICROS} ELSE 1 END",
    encode="{c}",
    stored=f"CASE WHEN {NUL} THEN quote({{c}}) ELSE {_TRIMMED} END",
    held="{c}::text",  # ISO, as the session is set; far faster than to_char()
    decode=str,
    merges=True,
    short_stored=_TRIMMED,  # JSON shows a NUL
)


def _of_text(form: str) -> str:
    """NULL of anything else: PostgreSQL may take a blob's bytes for a time, too."""
    return f"CASE typeof({{c}}) WHEN 'text' THEN {form} END"


def _spelled(function: str, zone: str = "") -> str:
    """The text that PostgreSQL prints for a moment, of the common spellings without Python.

    What this makes of anything else PostgreSQL would not print, or ``function`` answers.

    Args:
        zone: how these texts end.
    """
    whole, after = 19 + len(zone), " || '+00'" if zone else ""
    shown = f"substr({{c}}, 1, 10) || ' ' || substr({{c}}, 12, length({{c}}) - {11 + len(zone)})"
    usual = (
        f"typeof({{c}}) = 'text' AND {{c}} GLOB '{'?' * 10}[ T]*{zone}' AND NOT {NUL}"
        f" AND (length({{c}}) = {whole} OR length({{c}}) BETWEEN {whole + 2} AND {whole + 7})"
    )
    return (
        f"CASE WHEN {usual} THEN iif(length({{c}}) = {whole}, {shown},"
        f" rtrim(rtrim({shown}, '0'), '.')){after}"
        f" WHEN typeof({{c}}) = 'text'"
        f" THEN rtrim(rtrim({function}(CAST({{c}} AS BLOB)), '0'), '.'){after} END"
    )


#: The same moment in any of SQLite's spellings.
TIMESTAMP_ANY = Codec(
    type="timestamp",
    misfit="typeof({c}) <> 'text' OR m_timestamp(CAST({c} AS BLOB)) IS NULL",
    encode="{c}",  # PostgreSQL knows all of them
    stored=_of_text("rtrim(rtrim(m_timestamp(CAST({c} AS BLOB)), '0'), '.')"),
    held=TIMESTAMP.held,
    decode=str,
    merges=True,
    says="times are written in several ways; compared as moments",
    short_stored=_spelled("m_timestamp"),
)


def _zoned(function: str, says: str, encode: str = "{c}") -> Codec:
    """A codec of times that say their zone.

    Args:
        function: what SQLite reads the moment by.
    """
    read = f"{function}(CAST({{c}} AS BLOB))"
    return Codec(
        type="timestamptz",
        misfit=f"typeof({{c}}) <> 'text' OR {read} IS NULL",
        encode=encode,
        stored=_of_text(f"{read} || '+00:00'"),
        held=_held_moment("({c} AT TIME ZONE 'UTC')") + " || '+00:00'",
        decode=str,
        merges=True,
        says=says,
        short_stored=_spelled(function, "Z"),
        short_held="{c}::text",  # the session is in UTC
    )


TIMESTAMPTZ = _zoned("m_timestamptz", "all times say they are UTC")
#: Any offset; PostgreSQL keeps the moment and forgets the offset.
TIMESTAMPTZ_ANY = _zoned(
    "m_timestamptz_any", "offsets other than UTC are forgotten; compared as moments"
)

# PostgreSQL itself reads what stands before the zone's name
_UNNAMED = (
    "CASE WHEN {c} GLOB '* [+-][0-9][0-9][0-9][0-9] *'"
    " THEN substr({c}, 1, 16 + instr(substr({c}, 12), ' ')) ELSE {c} END"
)
_SAYS_OF_NAMES = (
    "what Go writes behind an offset, the zone's name and its own clock (m=…), is dropped"
)
#: The same two as Go writes them.
TIMESTAMPTZ_NAMED = _zoned("m_timestamptz_named", f"{TIMESTAMPTZ.says}; {_SAYS_OF_NAMES}", _UNNAMED)
TIMESTAMPTZ_NAMED_ANY = _zoned(
    "m_timestamptz_named_any", f"{_SAYS_OF_NAMES}; {TIMESTAMPTZ_ANY.says}", _UNNAMED
)

DATE = Codec(
    type="date",
    misfit=f"typeof({{c}}) <> 'text' OR {_NO_DAY}",
    encode="{c}",
    stored=word(10),
    held=_held_moment("{c}", "YYYY-MM-DD"),
    decode=str,
)

_AS_MOMENT = "m_timestamp(CAST({c} AS BLOB))"
#: A moment that is a midnight, as it stays where a model has made a date of it since.
DATE_AT_MIDNIGHT = replace(
    DATE,
    misfit=f"typeof({{c}}) <> 'text' OR ifnull({_AS_MOMENT}, '') NOT GLOB '* 00:00:00.000000'",
    encode=f"substr({_AS_MOMENT}, 1, 10)",
    stored=_of_text(f"replace({_AS_MOMENT}, ' 00:00:00.000000', '')"),
    merges=True,
    says="midnights are days",
)
_DIGITS_OF_DAY = "printf('%04d-%02d-%02d', {c} / 10000, {c} / 100 % 100, {c} % 100)"
#: 20240131
DATE_DIGITS = Codec(
    type="date",
    misfit="CASE WHEN typeof({c}) = 'integer' AND {c} BETWEEN 10000101 AND 99991231"
    f" THEN date({_DIGITS_OF_DAY}, '+0 days') IS NOT {_DIGITS_OF_DAY} ELSE 1 END",
    encode=f"CASE WHEN {{c}} IS NOT NULL THEN {_DIGITS_OF_DAY} END",
    stored="quote({c})",
    held=_held_moment("{c}", "YYYYMMDD"),
    decode=int,
    says="numbers of eight digits are days",
)
_SPELLED_DAY = "substr({c}, 1, 4) || '-' || substr({c}, 5, 2) || '-' || substr({c}, 7)"
#: The same as a text, as piecash writes it.
DATE_DIGITS_TEXT = replace(
    DATE_DIGITS,
    misfit=f"typeof({{c}}) <> 'text' OR NOT {{c}} GLOB '{'[0-9]' * 8}' OR {NUL}"
    f" OR date({_SPELLED_DAY}, '+0 days') IS NOT {_SPELLED_DAY}",
    encode=_SPELLED_DAY,
    stored=word(8),
    decode=str,
    says="texts of eight digits are days",
)

#: A time of day in any of SQLite's spellings.
TIME_ANY = Codec(
    type="time",
    misfit="typeof({c}) <> 'text' OR m_time(CAST({c} AS BLOB)) IS NULL",
    encode="{c}",
    stored=_of_text("m_time(CAST({c} AS BLOB))"),
    held="to_char({c}, 'HH24:MI:SS.US')",
    decode=str,
    merges=True,
    says="times are written in several ways; compared as times",
)
#: With its seconds, as SQLite writes it, or with microseconds, as SQLAlchemy does.
TIME = replace(
    TIME_ANY,
    misfit=f"length({{c}}) NOT IN (8, 15) OR {TIME_ANY.misfit}",
    stored=_of_text("CASE WHEN length({c}) IN (8, 15) THEN m_time(CAST({c} AS BLOB)) END"),
    says="",
)
#: As Rails writes it: the moment of that day.
TIME_OF_2000 = replace(
    TIME_ANY,
    misfit=f"typeof({{c}}) <> 'text' OR ifnull({_AS_MOMENT}, '') NOT GLOB '2000-01-01 *'",
    encode=f"substr({_AS_MOMENT}, 12)",
    stored=_of_text(_AS_MOMENT),
    held=f"'2000-01-01 ' || {TIME_ANY.held}",
    says="times of 2000-01-01 are times of a day",
)
