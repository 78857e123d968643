"""Random values as a column's DEFAULT: keys, tokens and UUIDs, as apps make them in SQLite."""

from __future__ import annotations

import re

from migrate_db.codecs.codec import Codec
from migrate_db.sql import string
from migrate_db.sqlite.schema import Column
from migrate_db.translation.typed import kind_of

#: A UUID has fixed bits; a digest of two has none, and is as hard to guess.
_BYTES = "substr(sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())), 1, {n})"
_MOST = 32
_PIECE = re.compile(
    r"'(?P<literal>(?:[^']|'')*)'"
    r"|(?P<part>substr\()?(?:(?P<case>lower|upper)\()?hex\(randomblob\((?P<bytes>\d+)\)\)(?(case)\))"
    r"(?(part),(?P<start>[1-9]\d*)(?:,(?P<count>\d+))?\))"
    r"|substr\('(?P<letters>[^']+)',(?:abs\(random\(\)\)%(?P<of>\d+)\+1|1\+\(?abs\(random\(\)\)%(?P<of_>\d+)\)?),1\)"
)
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
#: The fourth version of a UUID, as everybody makes one in SQLite.
_UUID4 = re.compile(
    r"lower\(hex\(randomblob\(4\)\)\)\|\|'-'\|\|lower\(hex\(randomblob\(2\)\)\)\|\|'-4'\|\|"
    r"substr\(lower\(hex\(randomblob\(2\)\)\),2\)\|\|'-'\|\|"
    r"substr\('(?:89ab|ab89)',(?:abs\(random\(\)\)%4\+1|1\+\(?abs\(random\(\)\)%4\)?),1\)\|\|"
    r"substr\(lower\(hex\(randomblob\(2\)\)\),2\)\|\|'-'\|\|lower\(hex\(randomblob\(6\)\)\)"
)


def default(plain: str, codec: Codec, column: Column) -> str | None:
    """A value of the same form, another one each time; None if it is something else.

    Args:
        plain: the DEFAULT without spaces and outer parentheses, keywords in lower case.
    """
    if plain in ("random()", "abs(random())"):
        number = f"('x' || encode({_BYTES.format(n=8)}, 'hex'))::bit(64)::bigint"
        number = f"abs({number})" if plain != "random()" else number
        if codec.type == "text" and column.affinity == "TEXT":
            return f"({number})::text"
        return number if kind_of(codec) == "int" and codec.type == "bigint" else None
    if column.affinity not in ("TEXT", "BLOB") and codec.type != "uuid":
        return None  # it makes a number of some of these texts
    blob = re.fullmatch(r"randomblob\((\d+)\)", plain)
    if blob:
        is_held = codec.type == "bytea" and 1 <= int(blob[1]) <= _MOST
        return _BYTES.format(n=blob[1]) if is_held else None
    text, sample = _joined(plain)
    if _UUID4.fullmatch(plain):
        text = "gen_random_uuid()::text"
    if not text:
        return None
    if codec.type == "uuid":
        return f"({text})::uuid" if _UUID.fullmatch(sample) else None
    room = codec.type.partition("(")[2].rstrip(")")
    is_text = codec.type == "text" or codec.type.startswith("varchar")
    return text if is_text and (not room or len(sample) <= int(room)) else None


def _joined(plain: str) -> tuple[str, str]:
    """Pieces of hexadecimal digits and other letters, and a sample of them; empty if it is something else."""
    pieces, sample, at, is_random = [], "", 0, False
    while (found := _PIECE.match(plain, at)) is not None:
        piece, like = _piece(found)
        if not piece:
            break
        pieces.append(piece)
        sample, at = sample + like, found.end()
        is_random = is_random or found["literal"] is None
        if at == len(plain):
            return (" || ".join(pieces) if is_random else ""), sample
        if not plain.startswith("||", at):
            break
        at += 2
    return "", ""


def _piece(found: re.Match[str]) -> tuple[str, str]:
    if found["literal"] is not None:
        text = found["literal"].replace("''", "'")
        return string(text), text
    if found["letters"]:
        of = int(found["of"] or found["of_"])
        is_even = of in (2, 4, 8, 16, 32)  # a byte falls on each as often
        letter = (
            f"substr({string(found['letters'])}, get_byte({_BYTES.format(n=1)}, 0) % {of} + 1, 1)"
        )
        return (
            (letter, found["letters"][0]) if is_even and of <= len(found["letters"]) else ("", "")
        )
    size = int(found["bytes"])
    if not 1 <= size <= _MOST:
        return "", ""
    digits = f"encode({_BYTES.format(n=size)}, 'hex')"
    sample = ("a" if found["case"] == "lower" else "A") * 2 * size
    digits = digits if found["case"] == "lower" else f"upper({digits})"
    if found["part"] is None:
        return digits, sample
    start = int(found["start"])
    if found["count"] is None:
        return f"substr({digits}, {start})", sample[start - 1 :]
    count = int(found["count"])
    return f"substr({digits}, {start}, {count})", sample[start - 1 :][:count]
