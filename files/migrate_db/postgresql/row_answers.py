"""What the server says of rows that are not there yet, by the rules that ``row_rules`` has read.

``answers`` says which of them break a rule, ``Alike`` which are refused beside others.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from migrate_db import sql
from migrate_db.postgresql.row_rules import Rule, Rules, Unique
from migrate_db.postgresql.target import Target

#: What no table and no column of one is called.
_ROW, _RULE, _TESTS = '"migrate_db row"', '"migrate_db rule"', '"migrate_db tests"'
#: Errors that another row would meet, too: the connection, the statement, the server. A function may raise any other.
_NOT_ABOUT_A_ROW = ("08", "0A", "25", "40", "42", "53", "54", "55", "57", "58", "XX")


@dataclass(frozen=True)
class Given:
    """Rows that are asked about: the columns whose values are given; others of a rule are of ``otherwise``."""

    table: str
    rules: Rules
    columns: tuple[str, ...]

    def places(self, columns: Collection[str]) -> list[int]:
        """Where the given ones among some columns stand."""
        return [place for place, name in enumerate(self.columns) if name in columns]

    def types(self, asked: Iterable[str]) -> dict[str, str]:
        """The given columns, and others that are asked for, with their types."""
        others = set(asked) - set(self.columns)
        return {name: self.rules.types[name] for name in (*self.columns, *sorted(others))}

    def rows(self, asked: Iterable[str]) -> str:
        """SQL of rows with these and their number; it takes an array of JSON for each given column."""
        cells = [
            f"v{self.columns.index(name)}::{kind} AS {sql.name(name)}"
            if name in self.columns
            else f"({self.rules.otherwise[name]})::{kind} AS {sql.name(name)}"
            for name, kind in self.types(asked).items()
        ]
        values = ", ".join(f"v{at}" for at in range(len(self.columns)))
        # Python writes JSON many times faster than psycopg an array
        arrays = ", ".join(["json_array_elements_text(\0)"] * len(self.columns))
        return (
            f"SELECT {', '.join([*cells, _ROW])}"
            f" FROM ROWS FROM ({arrays}) WITH ORDINALITY given({values}, {_ROW})"
        )


#: The values of one row, as texts.
Texts = Sequence[str | None]


def _ask(target: Target, statement: str, rows: Sequence[Texts]) -> list[tuple[Any, ...]]:
    given = [json.dumps(column) for column in zip(*rows, strict=True)]
    query = statement.replace("%", "%%").replace("\0", "%s")
    with target.connection.transaction():
        return target.connection.execute(query.encode(), given).fetchall()


@dataclass(frozen=True)
class Answer:
    """A row that breaks a rule."""

    place: int  #: of the row, among those that were asked about
    rule: Rule
    error: str = ""  #: what the server says if it can't even tell


def answers(
    target: Target, given: Given, asked: Sequence[Rule], rows: Sequence[Texts]
) -> Iterator[Answer]:
    """The rows that break a rule, in their order.

    Nothing of a rule that the server can't be asked about at all: the load says so.
    """
    import psycopg

    if not asked:
        return
    tests = ", ".join(f"({number}, {rule.broken})" for number, rule in enumerate(asked))
    # OFFSET 0: as a condition of the query, the parts of a rule would be worked out in another order than it has
    statement = (
        f"SELECT {_ROW}, number FROM (SELECT {_ROW}, {_TESTS}.number, {_RULE}"
        f" FROM ({given.rows(c for rule in asked for c in rule.columns)}) {sql.name(given.table)},"
        f" LATERAL (VALUES {tests}) {_TESTS}(number, {_RULE}) OFFSET 0) {_TESTS} WHERE {_RULE} ORDER BY 1, 2"
    )
    try:
        found = _ask(target, statement, rows)
    except psycopg.Error as error:
        about_a_row = (error.sqlstate or "08")[:2] not in _NOT_ABOUT_A_ROW
        if about_a_row and len(rows) > 1:
            half = len(rows) // 2
            yield from answers(target, given, asked, rows[:half])
            for answer in answers(target, given, asked, rows[half:]):
                yield replace(answer, place=half + answer.place)
        elif len(asked) > 1:  # which of them is it?
            apart = [answer for rule in asked for answer in answers(target, given, [rule], rows)]
            yield from sorted(apart, key=lambda answer: answer.place)
        elif about_a_row:
            yield Answer(0, asked[0], error.diag.message_primary or "?")
    else:
        for number, rule in found:
            yield Answer(number - 1, asked[rule])


class Alike:
    """Rows so far, in a table of this session alone with the same unique indexes; gone with the transaction."""

    _PLACE = "pg_temp.migrate_db_alike"

    def __init__(self, target: Target, given: Given, uniques: Sequence[Unique]) -> None:
        import psycopg

        self._target, self._given = target, given
        self._columns = [column for unique in uniques for column in unique.columns]
        columns = ", ".join(f"{sql.name(c)} {t}" for c, t in given.types(self._columns).items())
        self._works = bool(uniques)
        if not uniques:
            return
        try:
            with target.connection.transaction():
                target.execute(f"CREATE TEMP TABLE migrate_db_alike ({columns}, {_ROW} bigint)")
                for unique in uniques:
                    is_index = unique.made.startswith(" USING ")
                    target.execute(
                        f"CREATE UNIQUE INDEX ON {self._PLACE}{unique.made}"
                        if is_index
                        else f"ALTER TABLE {self._PLACE} ADD {unique.made}"
                    )
        except psycopg.Error:  # the role may make no such table: the load says it
            self._works = False

    def refused(self, rows: Sequence[Texts]) -> list[int]:
        """The places of those that aren't taken beside the others, and those before them."""
        import psycopg

        if not (self._works and rows):
            return []
        try:
            taken = _ask(
                self._target,
                f"INSERT INTO {self._PLACE} {self._given.rows(self._columns)} ORDER BY {_ROW}"
                f" ON CONFLICT DO NOTHING RETURNING {_ROW}",
                rows,
            )
        except psycopg.Error:  # a value that is too long for an index, say
            self._works = False
            return []
        return sorted(set(range(len(rows))) - {number - 1 for (number,) in taken})
