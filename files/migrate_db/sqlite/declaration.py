"""What SQLite's catalogue doesn't tell and only the CREATE statement says.

Collations, CHECKs, the names of constraints, DEFERRABLE, generated columns and
ON CONFLICT. A lexer and SQLite's own short grammar of table definitions are
enough to find them; the expressions inside are left to ``expressions``.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

from migrate_db import sql

_TOKEN = re.compile(
    r"""
      (?P<skip>[ \t\n\f\r]+|--[^\n]*|/\*.*?(?:\*/|\Z))
    | (?P<blob>[xX]'[^']*')
    | (?P<string>'(?:[^']|'')*')
    | (?P<quoted>"(?:[^"]|"")*"|`(?:[^`]|``)*`|\[[^\]]*\])
    | (?P<number>0[xX][0-9a-fA-F]+|(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)
    | (?P<word>[A-Za-z_\x80-\U0010ffff][\w$\x80-\U0010ffff]*)  # as SQLite has it, ° and € too
    | (?P<sign>.)
    """,
    re.VERBOSE | re.DOTALL,
)
#: What ends the type of a column, and what begins a constraint.
_CONSTRAINTS = {
    "CONSTRAINT", "PRIMARY", "NOT", "NULL", "UNIQUE", "CHECK", "DEFAULT", "COLLATE",
    "REFERENCES", "FOREIGN", "GENERATED", "AS",
}  # fmt: skip
_OF_TABLES = {"CONSTRAINT", "PRIMARY", "UNIQUE", "CHECK", "FOREIGN"}


@dataclass(frozen=True)
class Token:
    """A word of SQL and where it stands."""

    kind: str
    text: str
    start: int
    end: int

    @property
    def word(self) -> str:
        """The keyword it may be; empty for anything quoted."""
        return self.text.upper() if self.kind in ("word", "sign") else ""

    @property
    def name(self) -> str:
        """The identifier that it is, without quotes; SQLite takes strings for names, too."""
        if self.kind == "word":
            return self.text
        quote = self.text[:1]
        inner = self.text[1:-1]
        return inner if quote == "[" else inner.replace(quote * 2, quote)


@dataclass
class ForeignKeyText:
    """A foreign key as written."""

    columns: tuple[str, ...]
    name: str = ""
    deferrable: str = ""  #: in PostgreSQL's words, or empty


@dataclass
class Declaration:
    """What one CREATE TABLE says; names of columns folded."""

    collations: dict[str, str] = field(default_factory=dict)
    generated: dict[str, str] = field(default_factory=dict)  #: the expression
    checks: list[tuple[str, str]] = field(default_factory=list)  #: name or "", expression
    foreign_keys: list[ForeignKeyText] = field(default_factory=list)  #: in the order written
    uniques: dict[tuple[str, ...], str] = field(default_factory=dict)  #: columns: name
    primary_key: str = ""  #: its name
    conflicts: list[str] = field(default_factory=list)  #: ``UNIQUE (a) ON CONFLICT REPLACE``


@dataclass(frozen=True)
class IndexText:
    """What one CREATE INDEX says: the key columns as expressions, and the WHERE."""

    parts: tuple[str, ...]
    where: str | None


def tokens(text: str) -> list[Token]:
    """Split SQL into words, without comments."""
    return [
        Token(str(match.lastgroup), match.group(), match.start(), match.end())
        for match in _TOKEN.finditer(text)
        if match.lastgroup != "skip"
    ]


def table(text: str) -> Declaration:
    """Read a CREATE TABLE that SQLite has accepted."""
    found = Declaration()
    words = tokens(text)
    begin = next((i for i, word in enumerate(words) if word.word == "("), None)
    if begin is None:
        return found
    for item in _split(words[begin + 1 : _closing(words, begin)]):
        if item:
            _item(text, item, found)
    return found


def index(text: str) -> IndexText:
    """Read a CREATE INDEX that SQLite has accepted."""
    words = tokens(text)
    begin = next(i for i, word in enumerate(words) if word.word == "(")
    end = _closing(words, begin)
    parts = []
    for item in _split(words[begin + 1 : end]):
        if item[-1].word in ("ASC", "DESC"):
            item = item[:-1]
        if len(item) > 2 and item[-2].word == "COLLATE":
            item = item[:-2]
        parts.append(_between(text, item))
    rest = words[end + 1 :]
    where = _between(text, rest[1:]) if rest and rest[0].word == "WHERE" else None
    return IndexText(tuple(parts), where)


def arguments(text: str) -> tuple[str, tuple[str, ...]]:
    """Module (lower case) and arguments of a CREATE VIRTUAL TABLE."""
    words = tokens(text)
    using = next((i for i, word in enumerate(words) if word.word == "USING"), None)
    if using is None or using + 1 >= len(words):
        return "", ()
    module = words[using + 1].name.lower()
    begin = using + 2
    if begin >= len(words) or words[begin].word != "(":
        return module, ()
    items = _split(words[begin + 1 : _closing(words, begin)])
    return module, tuple(_between(text, item) for item in items if item)


def calls(text: str, functions: Collection[str]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Every call of these functions (lower case) in an expression, with its arguments as written."""
    words = tokens(text)
    for at, word in enumerate(words[:-1]):
        if word.kind in ("word", "quoted") and words[at + 1].word == "(":
            name = word.name.lower()
            if name in functions:
                items = _split(words[at + 2 : _closing(words, at + 1)])
                yield name, tuple(_between(text, item) for item in items if item)


def names(text: str) -> Iterator[str]:
    """Every name in an expression, folded, in its order: of columns, functions, and SQL's own words."""
    for word in tokens(text):
        if word.kind in ("word", "quoted"):
            yield sql.folded(word.name)


def _split(words: list[Token]) -> Iterator[list[Token]]:
    """What stands between commas that are in no parentheses."""
    depth = 0
    item: list[Token] = []
    for word in words:
        depth += (word.word == "(") - (word.word == ")")
        if word.word == "," and depth == 0:
            yield item
            item = []
        else:
            item.append(word)
    yield item


def _closing(words: list[Token], begin: int) -> int:
    depth = 0
    for position in range(begin, len(words)):
        depth += (words[position].word == "(") - (words[position].word == ")")
        if depth == 0:
            return position
    return len(words)


def _between(text: str, words: list[Token]) -> str:
    """The text from the first word to the last; comments at either end are gone."""
    return text[words[0].start : words[-1].end] if words else ""


class _Reader:
    """Steps through the words of one column or constraint."""

    def __init__(self, text: str, words: list[Token]) -> None:
        self.text = text
        self.words = words
        self.at = 0

    def peek(self, ahead: int = 0) -> str:
        place = self.at + ahead
        return self.words[place].word if place < len(self.words) else ""

    def more(self) -> bool:
        return self.at < len(self.words)

    def next(self) -> Token:
        self.at += 1
        return self.words[self.at - 1]

    def skip(self) -> None:
        """One word further, if there is one."""
        self.at = min(self.at + 1, len(self.words))

    def takes(self, *expected: str) -> bool:
        """Whether these keywords follow; if so, they are behind us."""
        if all(self.peek(i) == word for i, word in enumerate(expected)):
            self.at += len(expected)
            return True
        return False

    def group(self) -> list[Token]:
        """The words in the parentheses that follow, if any do."""
        if self.peek() != "(":
            return []
        end = _closing(self.words, self.at)
        inside = self.words[self.at + 1 : end]
        self.at = end + 1
        return inside

    def columns(self) -> tuple[str, ...]:
        return tuple(sql.folded(item[0].name) for item in _split(self.group()) if item)


def _item(text: str, words: list[Token], found: Declaration) -> None:
    reader = _Reader(text, words)
    column = ""
    if reader.peek() not in _OF_TABLES:
        column = sql.folded(reader.next().name)
        while reader.more() and reader.peek() not in _CONSTRAINTS:  # its type
            if not reader.group():
                reader.next()
    name = ""
    while reader.more():
        if reader.takes("CONSTRAINT"):
            name = reader.next().name if reader.more() else ""
            continue
        _constraint(reader, column, name, found)
        name = ""


def _constraint(reader: _Reader, column: str, name: str, found: Declaration) -> None:
    own = (column,) if column else ()
    if reader.takes("PRIMARY", "KEY"):
        columns = reader.columns() or own
        reader.takes("ASC") or reader.takes("DESC")
        found.primary_key = name
        _conflict(reader, f"PRIMARY KEY ({', '.join(columns)})", found)
    elif reader.takes("UNIQUE"):
        columns = reader.columns() or own
        found.uniques.setdefault(columns, name)
        _conflict(reader, f"UNIQUE ({', '.join(columns)})", found)
    elif reader.takes("NOT", "NULL"):
        _conflict(reader, f"NOT NULL ({column})", found)
    elif reader.takes("CHECK"):
        found.checks.append((name, _between(reader.text, reader.group())))
    elif reader.takes("DEFAULT"):
        if not reader.group():
            reader.takes("+") or reader.takes("-")
            reader.skip()
    elif reader.takes("COLLATE"):
        found.collations[column] = reader.next().name.upper()
    elif reader.takes("FOREIGN", "KEY"):
        columns = reader.columns()
        if reader.takes("REFERENCES"):
            _reference(reader, columns, name, found)
    elif reader.takes("REFERENCES"):
        _reference(reader, own, name, found)
    elif reader.takes("NOT", "DEFERRABLE"):
        if reader.takes("INITIALLY"):
            reader.skip()
    elif reader.takes("DEFERRABLE"):
        _deferrable(reader, found)
    elif reader.takes("GENERATED", "ALWAYS", "AS") or reader.takes("AS"):
        found.generated[column] = _between(reader.text, reader.group())
    else:
        reader.skip()  # AUTOINCREMENT, NULL, STORED, VIRTUAL


def _conflict(reader: _Reader, what: str, found: Declaration) -> None:
    if reader.takes("ON", "CONFLICT"):
        how = reader.next().word
        if how != "ABORT":  # the only one that PostgreSQL has
            found.conflicts.append(f"{what} ON CONFLICT {how}")


def _reference(reader: _Reader, columns: tuple[str, ...], name: str, found: Declaration) -> None:
    found.foreign_keys.append(ForeignKeyText(columns, name))
    reader.skip()  # the parent
    reader.group()
    while True:
        if reader.takes("ON"):
            reader.skip()
            reader.takes("SET") or reader.takes("NO")
            reader.skip()
        elif reader.takes("MATCH"):
            reader.skip()
        else:
            return


def _deferrable(reader: _Reader, found: Declaration) -> None:
    """It may stand anywhere after the key that it is about."""
    how = "DEFERRABLE"
    if reader.takes("INITIALLY", "DEFERRED"):
        how += " INITIALLY DEFERRED"
    else:
        reader.takes("INITIALLY", "IMMEDIATE")
    if found.foreign_keys:
        found.foreign_keys[-1].deferrable = how
