"""What SQLite works out as it reads: virtual columns, and indexes over functions.

The app's SQLite may work out something else: a newer one knows more formats of a date, one with
ICU knows more letters. Such an index is neither used nor believed, and such a column is named.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator

from migrate_db import sql
from migrate_db.sqlite import collations, declaration
from migrate_db.visible import decoded

_WITH_MODIFIERS = ("date", "time", "datetime", "julianday", "unixepoch", "strftime")
#: These compute otherwise from one version of SQLite to another, as those of JSON do.
_VARYING = (*_WITH_MODIFIERS, "timediff", "printf", "format", "->", "->>")
#: With these, a shift of up to 9,998 years stays a date, and a number may be a moment of any count.
_MOMENTS = ("'0001-01-01 07:08:09'", "2460000.5", "'9999-12-31 07:08:09'")
#: Characters of a value that are told.
_SHOWN = 40
_CASES = {"lower": str.lower, "upper": str.upper}


def calls(connection: sqlite3.Connection, table: str, text: str) -> set[str]:
    """The functions that an expression about a table calls, operators like ``->`` and LIKE among them."""
    found: set[str] = set()

    def see(action: int, _: str | None, name: str | None, *__: str | None) -> int:
        if action == sqlite3.SQLITE_FUNCTION and name:
            found.add(name.lower())
        return sqlite3.SQLITE_OK

    connection.set_authorizer(see)
    try:
        connection.execute(f"EXPLAIN SELECT {text} FROM main.{sql.name(table)} NOT INDEXED")
    except sqlite3.OperationalError:  # one that only the app has, see ``brought``
        pass
    finally:
        connection.set_authorizer(_allow)
    return found


def by_functions(
    connection: sqlite3.Connection, table: str, virtual: dict[str, str]
) -> dict[str, set[str]]:
    """Columns that functions work out, themselves or by another column; with all of these.

    Args:
        virtual: expressions of the columns that are worked out as they are read, by name, folded.
    """
    found = {name: calls(connection, table, text) for name, text in virtual.items()}
    named = {name: virtual.keys() & declaration.names(text) for name, text in virtual.items()}
    for _ in virtual:  # one can stand on another, and that on a third
        for name, others in named.items():
            found[name] = found[name].union(*(found[other] for other in others))
    return {name: functions for name, functions in found.items() if functions}


def indexes(
    connection: sqlite3.Connection, table: str, known: dict[str, set[str]]
) -> dict[str, set[str]]:
    """A table's indexes that stand on what a function computes, with these functions.

    Args:
        known: of its virtual columns, see ``by_functions``.
    """
    found = {}
    for _, index, _, _, partial in connection.execute(
        f"PRAGMA main.index_list({sql.name(table)})"
    ).fetchall():
        name = decoded(index)
        listed = connection.execute(f"PRAGMA main.index_xinfo({sql.name(name)})").fetchall()
        functions: set[str] = set()
        for part in listed:
            if part[2] is not None:
                functions |= known.get(sql.folded(decoded(part[2])), set())
        if partial or any(part[1] == _EXPRESSION for part in listed):  # so there is a CREATE INDEX
            said = declaration.index(_sql(connection, name))
            for text in (*said.parts, said.where or "1"):
                functions |= calls(connection, table, text)
                functions = functions.union(
                    *(known.get(word, ()) for word in declaration.names(text))
                )
        if functions:
            found[name] = functions
    return found


def all_indexes(connection: sqlite3.Connection) -> dict[str, set[str]]:
    """Those of every table that can be read without them: SQLite minds NOT INDEXED only where there is a rowid."""
    found: dict[str, set[str]] = {}
    for _, table, kind, _, without_rowid, *_ in connection.execute(
        "PRAGMA main.table_list"
    ).fetchall():
        if decoded(kind) in ("table", "shadow") and not without_rowid:
            name = decoded(table)
            found |= indexes(
                connection, name, by_functions(connection, name, _virtual(connection, name))
            )
    return found


def _virtual(connection: sqlite3.Connection, table: str) -> dict[str, str]:
    """Expressions of a table's columns that are worked out as they are read, by name, folded."""
    columns = connection.execute(f"PRAGMA main.table_xinfo({sql.name(table)})").fetchall()
    virtual = {sql.folded(decoded(row[1])) for row in columns if row[6] == 2}
    written = declaration.table(_sql(connection, table)).generated if virtual else {}
    return {name: text for name, text in written.items() if name in virtual}


def disagreeing(connection: sqlite3.Connection, table: str, over: set[str]) -> set[str]:
    """Indexes of a table that aren't what this SQLite makes of its rows by a function.

    Args:
        over: those that stand on one.
    """
    if not over:
        return set()
    try:
        connection.execute("PRAGMA ignore_check_constraints = ON")
        lines = connection.execute(f"PRAGMA main.integrity_check({sql.name(table)})").fetchall()
    except sqlite3.Error:  # a value that only the app's SQLite can read
        return over
    finally:
        connection.execute("PRAGMA ignore_check_constraints = OFF")
    return over & {collations.index_in(decoded(line)) for (line,) in lines}


#: What ``index_xinfo`` has in place of a column's number.
_EXPRESSION = -2


def unknown_word(connection: sqlite3.Connection, text: str) -> str:
    """A format or modifier of a date that this SQLite doesn't know, quoted; empty if there is none.

    What it doesn't know makes NULL of every date.
    """
    for function, given in declaration.calls(text, _WITH_MODIFIERS):
        literals = [_literal(argument) for argument in given]
        if function == "strftime":
            form, *literals = literals or [""]
            if form and not _gives(connection, "strftime({word}, {moment})", form):
                return form
        for word in literals[1:]:  # the first one is the date itself
            if word and not _gives(connection, "datetime({moment}, {word})", word):
                return word
    return ""


def named(functions: Iterable[str]) -> str:
    """Functions as a reader knows them."""
    return ", ".join(f"{f}()" if f.isidentifier() else f for f in sorted(functions))


def doubts(
    connection: sqlite3.Connection,
    table: str,
    column: str,
    functions: frozenset[str],
    writer: tuple[int, int, int],
) -> Iterator[str]:
    """Why the app may read other values in a column that SQLite works out as it is read.

    Args:
        writer: the version of the app's SQLite.
    """
    place, ours = f"{table}.{column}", sqlite3.sqlite_version
    varying = {f for f in functions if f in _VARYING or f.startswith("json")}
    if varying and writer > sqlite3.sqlite_version_info:
        yield (
            f"{place}: its values were worked out by {named(varying)} of SQLite {ours} here; the file was last written"
            f" by {'.'.join(map(str, writer))}, which may work out others"
        )
    letters = _letters(connection, table, column, functions)
    if letters:
        yield (
            f"{place}: its values were worked out by {named(functions & _CASES.keys())} of SQLite here, which knows A"
            f" to Z alone, as in {letters[:_SHOWN]!r}; an app whose SQLite knows all letters (ICU) reads others"
        )


def _letters(
    connection: sqlite3.Connection, table: str, column: str, functions: frozenset[str]
) -> str:
    """The first value of a column with letters that lower() or upper() left as they are; or nothing."""
    cases = [case for name, case in _CASES.items() if name in functions]
    if not cases:
        return ""
    cell, place = sql.name(column), f"main.{sql.name(table)}"
    beyond = f"typeof({cell}) = 'text' AND {cell} GLOB '*[^' || char(1) || '-' || char(127) || ']*'"
    for (value,) in connection.execute(f"SELECT {cell} FROM {place} NOT INDEXED WHERE {beyond}"):
        text = decoded(value)
        if any(case(letter) != letter for letter in text if not letter.isascii() for case in cases):
            return text
    return ""


def _gives(connection: sqlite3.Connection, call: str, word: str) -> bool:
    tried = ", ".join(call.format(moment=moment, word=word) for moment in _MOMENTS)
    return bool(connection.execute(f"SELECT coalesce({tried}) IS NOT NULL").fetchone()[0])


def _literal(text: str) -> str:
    """The argument, if it is a string and nothing else."""
    words = declaration.tokens(text)
    return text if len(words) == 1 and words[0].kind == "string" else ""


def _sql(connection: sqlite3.Connection, name: str) -> str:
    query = "SELECT sql FROM main.sqlite_schema WHERE type IN ('table', 'index') AND name = ?"
    return decoded(connection.execute(query, (name,)).fetchone()[0])


def stand_in(connection: sqlite3.Connection, functions: set[str]) -> None:
    """Let functions give nothing, of which some raise an error for what the app's own can read."""
    listed = connection.execute("SELECT name, narg FROM pragma_function_list").fetchall()
    for name, arguments in {(decoded(name), arguments) for name, arguments in listed}:
        if name in functions:
            connection.create_function(name, arguments, nothing, deterministic=True)


def nothing(*_: object) -> None:
    """In place of a function that can't be asked here."""


def _allow(*_: object) -> int:
    return sqlite3.SQLITE_OK
