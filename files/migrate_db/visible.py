"""Characters that nobody sees, written so that they are seen: a name may hold what clears a screen."""

from __future__ import annotations

import re

#: Names and strings in SQL, which alone may hold a line feed that is not ours.
_QUOTED = re.compile(r"\"(?:[^\"]|\"\")*\"|'(?:[^']|'')*'")


def visible(text: str) -> str:
    r"""A text in one line, with ``\n`` or ``\x1b`` for a character that is no letter of any line."""
    if text.isprintable():
        return text
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text
    )


def lines_of_sql(text: str) -> list[str]:
    """A statement's own lines; each name and string stands in one."""
    return _QUOTED.sub(lambda quoted: visible(quoted[0]), text).split("\n")


def decoded(value: object) -> str:
    """What SQLite gave, as a text; bytes that aren't UTF-8 are written as escapes."""
    return value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else str(value)
