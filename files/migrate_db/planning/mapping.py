"""The operator's wishes: a small YAML file that says what to do with tables, columns and values.

    tables:
      users:
        rename: app_users
        columns:
          name:    {nul: strip}
          born:    {type: date, empty: "null"}
          seen_at: {epoch: s, type: timestamptz}

Every key and every word of it is checked against what is known and against the
source; a mistake is a usage error that names its line.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from migrate_db import sql
from migrate_db.errors import Exit, MigrationError
from migrate_db.planning import choice
from migrate_db.postgresql import names
from migrate_db.sqlite import zones
from migrate_db.sqlite.schema import Schema

#: Words of each key of a column; None: any text.
COLUMN_KEYS: dict[str, tuple[str, ...] | None] = {
    "type": None,
    "rename": None,
    "exclude": ("true", "false"),
    "nul": ("strip",),
    "invalid_utf8": ("latin1", "cp1252", "replace"),
    "empty": ("null",),
    "nulls": ("keep",),
    "epoch": ("s", "ms", "us", "julian", "cocoa", "webkit"),
    "zone": None,
    "round": ("type",),
    "mixed": ("bytes", "text"),
    "misfit": ("null",),
    "orphans": ("keep", "null"),
}
TABLE_KEYS: dict[str, tuple[str, ...] | None] = {
    "rename": None,
    "exclude": ("true", "false"),
    "primary_key": ("unique", "index"),
    "unique": ("index",),
}
_TOP_KEYS: dict[str, tuple[str, ...] | None] = {
    "on_finding": ("refuse", "quarantine"),
    "allow_empty": ("true", "false"),
}


class _Wish:
    def said(self) -> dict[str, str]:
        """The words that ask for something."""
        return {key: word for key, word in vars(self).items() if word and key != "columns"}


@dataclass(frozen=True)
class ColumnWish(_Wish):
    """What to do with one column; empty words ask for nothing."""

    type: str = ""  #: PostgreSQL type, as ``choice.named`` writes it
    rename: str = ""
    exclude: str = ""  #: ``true``: the column is not carried
    nul: str = ""  #: ``strip``: NUL characters are taken out of texts
    invalid_utf8: str = ""  #: read texts that aren't UTF-8 as this; ``replace``: U+FFFD
    empty: str = ""  #: ``null``: '' becomes NULL
    nulls: str = ""  #: ``keep``: the column may hold NULL, whatever its declaration says
    epoch: str = ""  #: numbers are moments, counted in this unit
    #: ``utc`` or a name: times without a zone are of this one, others are turned to it
    zone: str = ""
    round: str = ""  #: ``type``: numbers and times become what the type keeps of them
    mixed: str = ""  #: texts among BLOBs become their bytes, or BLOBs among texts become texts
    misfit: str = ""  #: ``null``: values that don't fit the type become NULL
    orphans: str = ""  #: ``keep``: the key is made NOT VALID; ``null``: the reference is cut


@dataclass(frozen=True)
class TableWish(_Wish):
    """What to do with one table."""

    rename: str = ""
    exclude: str = ""
    primary_key: str = ""  #: make it a UNIQUE (which may hold NULL) or a plain index
    unique: str = ""  #: ``index``: uniques that rows contradict become plain indexes
    columns: dict[str, ColumnWish] = field(default_factory=dict)

    def column(self, name: str) -> ColumnWish:
        """What is wanted of a column, by its name in the source."""
        return self.columns.get(name, ColumnWish())

    def keeps_orphans(self, columns: Iterable[str]) -> bool:
        """Whether rows without a parent are to stay, where these columns are the foreign key."""
        return any(self.column(column).orphans == "keep" for column in columns)


@dataclass(frozen=True)
class Mapping:
    """All wishes; names are those of the source, as it writes them."""

    tables: dict[str, TableWish] = field(default_factory=dict)
    on_finding: str = ""
    allow_empty: str = ""  #: ``true``: a source without a single row is the right one

    def table(self, name: str) -> TableWish:
        """What is wanted of a table, by its name in the source."""
        return self.tables.get(name, TableWish())

    def as_json(self) -> str:
        """What a target remembers; ``remembered`` reads it.

        That a file was empty once says nothing about the next one, which is asked about again.
        """
        tables = {}
        for name, table in self.tables.items():
            columns = {column: wish.said() for column, wish in table.columns.items()}
            columns = {column: said for column, said in columns.items() if said}
            said: dict[str, object] = {**table.said(), **({"columns": columns} if columns else {})}
            if said:
                tables[name] = said
        plain = {"tables": tables} if tables else {}
        return json.dumps(plain | ({"on_finding": self.on_finding} if self.on_finding else {}))


@dataclass(frozen=True)
class _Node:
    """A place in the file: text, or named entries, and where it stands."""

    line: int  #: counted from 1; 0: not from a file
    text: str | None
    entries: tuple[tuple[str, _Node], ...] = ()


def read(path: Path, schema: Schema) -> Mapping:
    """Read and check a mapping file.

    Raises:
        MigrationError: usage, with the line and what is known.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise _usage(f"the mapping can't be read: {why}", str(path)) from None
    return _understood(_parsed(text, path), schema, str(path))


def remembered(text: str, schema: Schema) -> Mapping:
    """The mapping that a target was loaded with, from ``Mapping.as_json``."""
    found = _plain(json.loads(text, object_pairs_hook=_object))
    return _understood(found, schema, "the mapping that the target remembers")


def chosen(mapping: Mapping, schema: Schema, include: list[str], exclude: list[str]) -> Mapping:
    """The mapping with tables left out that ``--include`` and ``--exclude`` leave out.

    Raises:
        MigrationError: usage, a pattern that matches no table.
    """
    names = [table.name for table in schema.tables]

    def matches(name: str, pattern: str) -> bool:
        # itself first: a name may hold what a pattern means otherwise
        name, pattern = name.lower(), pattern.lower()
        return name == pattern or fnmatchcase(name, pattern)

    for pattern in (*include, *exclude):
        if not any(matches(name, pattern) for name in names):
            raise _usage(f"no table matches {pattern!r}", "--include, --exclude", names)
    tables = dict(mapping.tables)
    for name in names:
        wanted = not include or any(matches(name, pattern) for pattern in include)
        if not wanted or any(matches(name, pattern) for pattern in exclude):
            tables[name] = TableWish(exclude="true")
    return replace(mapping, tables=tables)


def with_loaded(mapping: Mapping, earlier: Mapping, loaded: set[str]) -> Mapping:
    """The mapping, where tables that it leaves out are not, if they were loaded before it.

    Args:
        earlier: with which that was.
        loaded: names of tables of the target.
    """
    tables = dict(mapping.tables)
    for name, wish in mapping.tables.items():
        was = replace(earlier.table(name), exclude="")
        if wish.exclude and (was.rename or names.fitting(name)) in loaded:
            tables[name] = was
    return replace(mapping, tables=tables)


def _parsed(text: str, path: Path) -> _Node:
    try:
        return _tree(text, path)
    except RecursionError:  # a YAML that holds itself, too
        raise _usage("the mapping is nested too deeply", str(path)) from None


def _tree(text: str, path: Path) -> _Node:
    if text.startswith("{"):  # JSON needs no third-party package
        with suppress(ValueError):
            return _plain(json.loads(text, object_pairs_hook=_object))
    try:
        import yaml  # type: ignore[import-untyped]
    except ModuleNotFoundError:
        raise _usage(
            "this Python has no PyYAML, which reads the mapping",
            str(path),
            next="pip install PyYAML",
        ) from None
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f"{path}, line {mark.line + 1}" if mark else str(path)
        problem = getattr(error, "problem", None) or str(error)
        raise _usage(f"the mapping is not YAML: {problem}", place) from None
    return _Node(1, None) if root is None else _node(root, path)


def _node(node: Any, path: Path) -> _Node:
    # from the nodes, not from values: a column may be called yes, null or 007
    line = node.start_mark.line + 1
    if node.id == "scalar":
        return _Node(line, str(node.value))
    if node.id != "mapping":
        raise _usage("the mapping holds a list where names are wanted", f"{path}, line {line}")
    if any(key.id != "scalar" for key, _ in node.value):
        raise _usage(
            "the mapping has something else where a name is wanted", f"{path}, line {line}"
        )
    return _Node(
        line, None, tuple((str(key.value), _node(value, path)) for key, value in node.value)
    )


def _object(pairs: list[tuple[str, object]]) -> _Node:
    """An object of JSON, with what stands in it twice."""
    return _Node(0, None, tuple((key, _plain(inner)) for key, inner in pairs))


def _plain(value: object) -> _Node:
    if isinstance(value, _Node):
        return value
    # as YAML writes them: null, true, 7
    return _Node(0, value if isinstance(value, str) else json.dumps(value))


def _understood(root: _Node, schema: Schema, source: str) -> Mapping:
    tables: dict[str, TableWish] = {}
    top: dict[str, str] = {}
    for key, node in _entries(root, source, "the mapping"):
        if key != "tables":
            top[key] = _word(key, node, _TOP_KEYS, ("tables",), source, key)
            continue
        known = {sql.folded(table.name): table for table in schema.tables}
        for name, wishes in _entries(node, source, "tables"):
            table = known.get(sql.folded(name))
            if table is None:
                names = [t.name for t in schema.tables]
                raise _usage(f"the source has no table {name!r}", _at(source, wishes), names)
            if table.name in tables:
                raise _usage(f"tables: {table.name!r} stands there twice", _at(source, wishes))
            columns = {sql.folded(column.name): column.name for column in table.columns}
            wish = tables[table.name] = _table(wishes, columns, source, f"tables.{name}")
            own = {c.name: wish.column(c.name) for c in table.columns}
            _demand_apart(own, f"columns of {table.name}", _at(source, wishes))
    _demand_apart(
        {t.name: tables.get(t.name, TableWish()) for t in schema.tables},
        "tables",
        _at(source, root),
    )
    return Mapping(tables, **top)


def _demand_apart(
    wishes: dict[str, TableWish] | dict[str, ColumnWish], what: str, where: str
) -> None:
    """Nothing may be given the name that something else has or gets."""
    kept = {name: wish.rename or name for name, wish in wishes.items() if not wish.exclude}
    for name, wish in wishes.items():
        others = [other for other, given in kept.items() if other != name and given == wish.rename]
        if wish.rename and not wish.exclude and others:
            raise _usage(f"two {what} would be {wish.rename!r}: {name} and {others[0]}", where)


def _table(node: _Node, columns: dict[str, str], source: str, path: str) -> TableWish:
    words: dict[str, str] = {}
    wishes: dict[str, ColumnWish] = {}
    for key, inner in _entries(node, source, path):
        if key != "columns":
            words[key] = _word(key, inner, TABLE_KEYS, ("columns",), source, f"{path}.{key}")
            continue
        for name, column in _entries(inner, source, f"{path}.columns"):
            real = columns.get(sql.folded(name))
            if real is None:
                raise _usage(
                    f"{path.removeprefix('tables.')} has no column {name!r}",
                    _at(source, column),
                    list(columns.values()),
                )
            if real in wishes:
                raise _usage(f"{path}.columns: {real!r} stands there twice", _at(source, column))
            wishes[real] = _column(column, source, f"{path}.columns.{name}")
    return TableWish(**words, columns=wishes)


def _column(node: _Node, source: str, path: str) -> ColumnWish:
    words = {
        key: _word(key, inner, COLUMN_KEYS, (), source, f"{path}.{key}")
        for key, inner in _entries(node, source, path)
    }
    if "type" in words:
        line = next(inner for key, inner in node.entries if key == "type")
        named = choice.named(words["type"])
        if named is None:
            raise _usage(
                f"{path}.type: {words['type']!r} is not known", _at(source, line), choice.TYPES
            )
        words["type"] = named
    if words.get("zone", "").lower() == zones.UTC:
        words["zone"] = zones.UTC
    elif "zone" in words and not zones.is_known(words["zone"]):
        line = next(inner for key, inner in node.entries if key == "zone")
        raise _usage(
            f"{path}.zone: {words['zone']!r} is not known",
            _at(source, line),
            ("utc", "Europe/Berlin and the like, as in /usr/share/zoneinfo"),
        )
    wish = ColumnWish(**words)
    if wish.epoch and wish.type and wish.type not in ("timestamp", "timestamptz", "date"):
        raise _usage(
            f"{path}: moments become timestamptz, timestamp or date, not {wish.type}",
            _at(source, node),
        )
    if wish.round and wish.type and not wish.type.startswith(("real", "numeric(", "time")):
        raise _usage(
            f"{path}: values are rounded to real, numeric(p,s) or a type of times, not to {wish.type}",
            _at(source, node),
        )
    # a target may remember what an earlier version took
    if (
        node.line
        and wish.mixed == "bytes"
        and (wish.nul or wish.invalid_utf8 or wish.type not in ("", "bytea"))
    ):
        raise _usage(
            f"{path}: `mixed: bytes` keeps each byte as it is; type, nul and invalid_utf8 have no place beside it",
            _at(source, node),
        )
    return wish


def _entries(node: _Node, source: str, path: str) -> Iterator[tuple[str, _Node]]:
    if node.text:
        raise _usage(f"{path}: names are wanted here, not {node.text!r}", _at(source, node))
    seen: set[str] = set()
    for key, inner in node.entries:
        if key in seen:
            raise _usage(f"{path}: {key!r} stands there twice", _at(source, inner))
        seen.add(key)
        yield key, inner


def _word(
    key: str,
    node: _Node,
    keys: dict[str, tuple[str, ...] | None],
    others: tuple[str, ...],
    source: str,
    path: str,
) -> str:
    if key not in keys:
        raise _usage(f"{path}: no such key", _at(source, node), [*others, *keys])
    words = keys[key]
    if node.text is None or (words is None and not node.text):
        raise _usage(f"{path}: a word is wanted", _at(source, node), list(words or ()))
    if words is not None and node.text.lower() not in words:
        raise _usage(f"{path}: {node.text!r} is not known", _at(source, node), list(words))
    if key == "rename":
        why = _unfit(node.text, column="type" in keys)
        if why:
            raise _usage(f"{path}: {why}", _at(source, node))
    if words is None:
        return node.text
    return "" if node.text.lower() in ("false", "refuse") else node.text.lower()


def _unfit(name: str, column: bool) -> str:
    """Why PostgreSQL can't have such a name; empty: it can."""
    try:
        size = len(name.encode())
    except UnicodeEncodeError:
        return "that is no text"
    if size > names.BYTES:
        return f"PostgreSQL's names have {names.BYTES} bytes at most, this one {size}"
    if "\0" in name:
        return "a NUL character is in no name"
    if column and name in names.SYSTEM_COLUMNS:
        return f"each table of PostgreSQL has a {name} already"
    return ""


def _at(source: str, node: _Node) -> str:
    return f"{source}, line {node.line}" if node.line else source


def _usage(
    what: str, where: str, known: list[str] | tuple[str, ...] = (), next: str = ""
) -> MigrationError:
    shown = ", ".join(known[:40]) + (" …" if len(known) > 40 else "")
    return MigrationError(
        what,
        where=where,
        details=[f"known: {shown}"] if known else [],
        next=next or "correct it; `migrate_db plan --write-mapping FILE` writes one to start from",
        code=Exit.USAGE,
    )
