"""Codecs of texts, bytes, JSON and UUIDs."""

from __future__ import annotations

from dataclasses import replace

from migrate_db import sql
from migrate_db.codecs import copy_text
from migrate_db.codecs.codec import AS_TEXT, HELD_TEXT, NUL, Codec, unhex, unquote, word


def text(type_name: str = "text", limit: int | None = None) -> Codec:
    """``text``, or ``varchar(n)`` counted in characters."""
    longer = f" OR length({{c}}) > {limit}" if limit else ""
    return Codec(
        type=f"{type_name}({limit})" if limit else type_name,
        misfit=f"typeof({{c}}) <> 'text' OR {NUL}{longer}",
        encode=copy_text.ESCAPED,
        stored="quote({c})",
        held=HELD_TEXT,
        decode=unquote,
    )


def enum(type_name: str, labels: tuple[str, ...]) -> Codec:
    """One of a list of texts."""
    known = ", ".join(map(sql.string, labels))
    misfit = f"typeof({{c}}) <> 'text' OR {{c}} COLLATE BINARY NOT IN ({known})"
    return replace(text(type_name), misfit=misfit)


def padded(limit: int) -> Codec:
    """``char(n)``, which forgets spaces at the end."""
    base = text("char", limit)
    return replace(base, misfit=base.misfit + " OR {c} <> rtrim({c}, ' ') COLLATE BINARY")


#: The last resort: texts and numbers in one column.
TEXT_OR_NUMBER = Codec(
    type="text",
    misfit=f"typeof({{c}}) = 'blob' OR {NUL}",
    encode=copy_text.ESCAPED.replace("{c}", AS_TEXT),
    stored=f"quote({AS_TEXT})",
    held=HELD_TEXT,
    decode=unquote,
    merges=True,
    says="numbers among the texts are kept as their digits",
)

BYTEA = Codec(
    type="bytea",
    misfit="typeof({c}) NOT IN ('blob', 'null')",
    encode="CASE WHEN {c} IS NOT NULL THEN '\\x' || hex({c}) END",  # hex(NULL) is ''
    stored="quote({c})",
    held="'X''' || upper(encode({c}, 'hex')) || ''''",
    decode=unhex,
)

#: JSON has no infinity; what SQLite writes for one would be a number of a thousand digits in jsonb.
_FINITE = f"CASE WHEN {{c}} NOT IN (9e999, -9e999) THEN CAST({AS_TEXT} AS BLOB) END"

JSON = Codec(
    type="json",
    # SQLite's parser is as strict as PostgreSQL's, but stops reading at a NUL
    misfit=f"typeof({{c}}) = 'blob' OR NOT json_valid({AS_TEXT}) OR {NUL}",
    encode=copy_text.ESCAPED.replace("{c}", AS_TEXT),
    stored=f"quote({AS_TEXT})",
    held=HELD_TEXT,
    decode=unquote,
)

JSONB = Codec(
    type="jsonb",
    misfit=f"typeof({{c}}) = 'blob' OR m_jsonb({_FINITE}) IS NULL",
    encode=copy_text.ESCAPED.replace("{c}", AS_TEXT),
    # what is no JSON is no text here: quote() would end it at a NUL
    stored=f"ifnull('''' || replace(m_jsonb({_FINITE}), '''', '''''') || '''',"
    " quote(CAST({c} AS BLOB)))",
    held=HELD_TEXT,
    decode=unquote,
    merges=True,
    says="jsonb orders keys, keeps the last of equal ones, writes numbers without exponents, and forgets spaces and the"
    " sign of 0; compared as jsonb",
)

_HEX4 = "[0-9a-f]" * 4
_UUID = f"{_HEX4 * 2}-{_HEX4}-{_HEX4}-{_HEX4}-{_HEX4 * 3}"
UUID = Codec(
    type="uuid",
    misfit=f"typeof({{c}}) <> 'text' OR NOT {{c}} GLOB '{_UUID}' OR {NUL}",
    encode="{c}",
    stored=word(36),
    held="{c}::text",
    decode=str,
)
#: As .NET writes it.
UUID_CAPITALS = replace(
    UUID,
    misfit=UUID.misfit.replace("a-f", "A-F"),
    held="upper({c}::text)",
    says="in capitals",
)
#: As Qt writes it.
UUID_BRACED = replace(
    UUID,
    misfit=f"typeof({{c}}) <> 'text' OR NOT {{c}} GLOB '{{{_UUID}}}' OR {NUL}",
    stored=word(38),
    held="'{' || {c}::text || '}'",
    says="in braces",
)
UUID_PLAIN = Codec(
    type="uuid",
    misfit=f"typeof({{c}}) <> 'text' OR NOT {{c}} GLOB '{_HEX4 * 8}' OR {NUL}",
    encode="{c}",
    stored=word(32),
    held="replace({c}::text, '-', '')",
    decode=str,
    says="32 hex digits without dashes",
)
UUID_BLOB = Codec(
    type="uuid",
    misfit="typeof({c}) <> 'blob' OR length({c}) <> 16",
    encode="CASE WHEN {c} IS NOT NULL THEN hex({c}) END",
    stored="quote({c})",
    held="'X''' || upper(replace({c}::text, '-', '')) || ''''",
    decode=unhex,
    says="16 bytes, the first one first",
)
