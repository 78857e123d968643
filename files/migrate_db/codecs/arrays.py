"""Codec of arrays, which SQLite hasn't: a model that has one keeps a list of JSON there.

As with each type that only PostgreSQL knows, the server is asked whether it gives the list back.
"""

from __future__ import annotations

from migrate_db import sql
from migrate_db.codecs import copy_text
from migrate_db.codecs.codec import Codec
from migrate_db.codecs.texts import text

#: The array as a list of JSON; one that doesn't count from 1 as itself, which is none.
SHOWN = "CASE WHEN left({c}::text, 1) = '[' THEN {c}::text ELSE to_jsonb({c})::text END"
_LIST = "CASE typeof({c}) WHEN 'text' THEN m_list(CAST({c} AS BLOB)) END"

_ARRAY = "m_array(CAST({c} AS BLOB))"


def codec_of(type_name: str) -> Codec:
    """A codec for lists of JSON that an array of this type gives back as they were.

    Args:
        type_name: as ``format_type`` prints it.
    """
    plain = text(type_name)
    asked = f"m_takes_list({sql.string(type_name)}, {_ARRAY}, {_LIST})"
    return Codec(
        type=plain.type,
        misfit=f"typeof({{c}}) <> 'text' OR NOT {asked}",
        encode=copy_text.ESCAPED.replace("{c}", _ARRAY),
        stored=f"quote(ifnull({_LIST}, CAST({{c}} AS BLOB)))",
        held=plain.held.replace("{c}::text", f"({SHOWN})"),
        decode=plain.decode,
        asks=(_ARRAY, _LIST, SHOWN),
        merges=True,
        says="lists of JSON become arrays; compared as lists, without spaces and zeros behind a point",
    )
