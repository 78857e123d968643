"""Rules of tables that the target has already and SQLite can't work out: the server itself says which rows break one.

CHECKs, those of domains, indexes of expressions, MATCH FULL: ``answers`` says it row by row. What no two rows may
have alike ``Alike`` finds out, by such indexes as the table has.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from migrate_db import sql
from migrate_db.postgresql.target import WITHOUT_DOMAIN, Target

#: What no table and no column of one is called.
_ROW, _RULE, _TESTS = '"migrate_db row"', '"migrate_db rule"', '"migrate_db tests"'
#: Errors that another row would meet, too: the connection, the statement, the server. A function may raise any other.
_NOT_ABOUT_A_ROW = ("08", "0A", "25", "40", "42", "53", "54", "55", "57", "58", "XX")
#: Types that are equal where SQLite's texts are not.
COMPARED_OTHERWISE = ("citext", "jsonb")
#: What a row by itself tells. A function of the app's own may ask for rows that are not there yet, unless it promises
#: not to; a constraint may ask for the row as a whole, or for what only a stored one has.
_FORESEEABLE = """NOT EXISTS (
    SELECT FROM pg_depend d JOIN pg_proc p ON d.refclassid = 'pg_proc'::regclass AND p.oid = d.refobjid
    WHERE d.classid = 'pg_constraint'::regclass AND d.objid = k.oid AND p.provolatile <> 'i')
    AND k.conbin::text !~ ':varattno (0|-)'
    AND coalesce((to_jsonb(k) ->> 'conenforced')::boolean, true)"""


@dataclass(frozen=True)
class Rule:
    """One rule."""

    named: str
    said: str  #: of a row that breaks it, for people
    broken: str  #: SQL that is true for a row that breaks it
    columns: tuple[str, ...]  #: that it asks for
    validated: bool = True  #: rows that are there already keep it


@dataclass(frozen=True)
class Unique:
    """What no two rows may have alike, where SQLite can't tell."""

    named: str
    said: str
    made: str  #: the end of a statement that makes it for another table
    columns: tuple[str, ...]


@dataclass(frozen=True)
class Rules:
    """Those of one table."""

    rules: list[Rule] = field(default_factory=list)
    uniques: list[Unique] = field(default_factory=list)
    #: SQL of each column's type, without its domain
    types: dict[str, str] = field(default_factory=dict)
    #: SQL of what stands in a column that no value is given for; without those that number, or compute
    otherwise: dict[str, str] = field(default_factory=dict)


def read(target: Target, tables: list[str]) -> dict[str, Rules]:
    """The rules of those tables that have some."""
    found: dict[str, Rules] = {}
    for reader in (_checks, _full_keys, _expressions):
        for table, rule in reader(target, tables):
            found.setdefault(table, Rules()).rules.append(rule)
    for table, unique in _uniques(target, tables):
        found.setdefault(table, Rules()).uniques.append(unique)
    if found:
        _read_columns(target, found)
    return found


def _checks(target: Target, tables: list[str]) -> Iterator[tuple[str, Rule]]:
    rows = target.connection.execute(
        f"""
        SELECT c.relname, k.conname, pg_get_expr(k.conbin, k.conrelid), NULL, k.convalidated,
               ARRAY(SELECT a.attname::text FROM unnest(k.conkey) WITH ORDINALITY o(num, n)
                     JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = o.num ORDER BY o.n)
        FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE k.contype = 'c' AND n.nspname = %(schema)s AND c.relname = ANY(%(tables)s) AND {_FORESEEABLE}
        UNION ALL
        SELECT c.relname, k.conname, pg_get_expr(k.conbin, 0), format_type(k.contypid, NULL), k.convalidated,
               ARRAY[a.attname::text]
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
        JOIN LATERAL (WITH RECURSIVE made(type) AS (
                SELECT a.atttypid UNION ALL
                SELECT t.typbasetype FROM made JOIN pg_type t ON t.oid = made.type WHERE t.typtype = 'd')
            SELECT type FROM made) m ON true
        JOIN pg_constraint k ON k.contypid = m.type AND k.contype = 'c'
        WHERE n.nspname = %(schema)s AND c.relname = ANY(%(tables)s) AND {_FORESEEABLE}
        ORDER BY 1, 2
        """,
        {"schema": target.schema, "tables": tables},
    ).fetchall()
    for table, name, condition, domain, validated, columns in rows:
        text = condition if condition.startswith("(") else f"({condition})"
        owner, broken = "the target's own table", f"NOT {text}"
        if domain:  # it calls the value VALUE, which is a column's name elsewhere
            owner = f"the target's own type {domain}"
            broken = f'(SELECT NOT {text} FROM (SELECT {sql.name(columns[0])} AS "value") d)'
        said = f"CHECK {text} of {owner} ({name})"
        yield table, Rule(f"CHECK {name}", said, broken, tuple(columns), validated)


def _full_keys(target: Target, tables: list[str]) -> Iterator[tuple[str, Rule]]:
    """Foreign keys of which all columns are NULL, or none."""
    rows = target.connection.execute(
        """
        SELECT c.relname, k.conname,
               ARRAY(SELECT a.attname::text FROM unnest(k.conkey) WITH ORDINALITY o(num, n)
                     JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = o.num ORDER BY o.n)
        FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE k.contype = 'f' AND k.confmatchtype = 'f' AND k.convalidated AND n.nspname = %s AND c.relname = ANY(%s)
        ORDER BY 1, 2
        """,
        (target.schema, tables),
    ).fetchall()
    for table, name, columns in rows:
        broken = f"num_nulls({sql.names(columns)}) BETWEEN 1 AND {len(columns) - 1}"
        said = f"some of its columns are NULL: MATCH FULL of the target's own FOREIGN KEY ({name})"
        yield table, Rule(f"FOREIGN KEY {name}", said, broken, tuple(columns))


#: Columns of a table ``c`` that its index ``i``, as a relation ``x``, asks for.
_ASKED = """
    ARRAY(SELECT a.attname::text FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND (
          a.attnum = ANY(i.indkey) OR EXISTS (
              SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = x.oid
              AND d.refclassid = 'pg_class'::regclass AND d.refobjid = c.oid
              AND d.refobjsubid = a.attnum)) ORDER BY a.attnum)
"""


def _expressions(target: Target, tables: list[str]) -> Iterator[tuple[str, Rule]]:
    """Indexes of expressions or of some rows, which may not be worked out for a row."""
    rows = target.connection.execute(
        f"""
        SELECT c.relname, x.relname, pg_get_expr(i.indpred, c.oid),
               ARRAY(SELECT pg_get_indexdef(x.oid, part, true) FROM generate_series(1, i.indnkeyatts) part), {_ASKED}
        FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid JOIN pg_class x ON x.oid = i.indexrelid
        JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname = %s AND c.relname = ANY(%s) AND (i.indexprs IS NOT NULL OR i.indpred IS NOT NULL)
        ORDER BY 1, 2
        """,
        (target.schema, tables),
    ).fetchall()
    for table, name, predicate, parts, columns in rows:
        broken = f"num_nulls({', '.join(parts)}) < 0"  # never, but it is worked out
        if predicate:
            broken = f"CASE WHEN {predicate} THEN {broken} END"
        yield table, Rule(f"index {name}", "", broken, tuple(columns))


def _uniques(target: Target, tables: list[str]) -> Iterator[tuple[str, Unique]]:
    """EXCLUDE, and unique indexes of expressions, of some rows, with one NULL only, or that compare as SQLite can't."""
    rows = target.connection.execute(
        f"""
        SELECT c.relname, x.relname, pg_get_indexdef(x.oid), pg_get_constraintdef(k.oid), {_ASKED}
        FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid JOIN pg_class x ON x.oid = i.indexrelid
        JOIN pg_namespace n ON n.oid = c.relnamespace
        LEFT JOIN pg_constraint k ON k.conindid = x.oid AND k.contype = 'x'
        WHERE n.nspname = %s AND c.relname = ANY(%s) AND (i.indisunique OR i.indisexclusion) AND (
              i.indisexclusion OR i.indpred IS NOT NULL OR i.indexprs IS NOT NULL
              OR coalesce((to_jsonb(i) ->> 'indnullsnotdistinct')::boolean, false)
              OR EXISTS (SELECT FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
                         LEFT JOIN pg_collation l ON l.oid = a.attcollation
                         WHERE a.attrelid = x.oid AND (t.typname = ANY(%s) OR NOT l.collisdeterministic)))
        ORDER BY 1, 2
        """,
        (target.schema, tables, list(COMPARED_OTHERWISE)),
    ).fetchall()
    for table, name, index, constraint, columns in rows:
        made = constraint or index[index.index(" USING ") :]
        if constraint:  # at once, as the rows come
            made = re.sub(r"( NOT)? DEFERRABLE.*", "", made)
        said = made.strip().removeprefix("USING ").removeprefix("btree ")
        yield (
            table,
            Unique(f"{'EXCLUDE' if constraint else 'UNIQUE'} {name}", said, made, tuple(columns)),
        )


def _read_columns(target: Target, rules: dict[str, Rules]) -> None:
    rows = target.connection.execute(
        f"""
        SELECT c.relname, a.attname, format_type(b.type, b.size)
                   || CASE WHEN a.attcollation <> u.typcollation
                           THEN ' COLLATE ' || a.attcollation::regcollation ELSE '' END,
               coalesce(pg_get_expr(d.adbin, d.adrelid), t.typdefault, 'NULL'),
               a.attgenerated <> '' OR a.attidentity <> '' OR EXISTS (
                   SELECT FROM pg_depend f WHERE f.classid = 'pg_attrdef'::regclass AND f.objid = d.oid
                   AND f.refclassid = 'pg_proc'::regclass)
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
        LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
        JOIN {WITHOUT_DOMAIN} b ON true JOIN pg_type u ON u.oid = b.type JOIN pg_type t ON t.oid = a.atttypid
        WHERE n.nspname = %s AND c.relname = ANY(%s)
        """,
        (target.schema, list(rules)),
    ).fetchall()
    for table, column, kind, default, made in rows:
        rules[table].types[column] = kind
        if not made and "nextval(" not in default:
            rules[table].otherwise[column] = default


@dataclass(frozen=True)
class Given:
    """Rows that are asked about: the columns whose values are given; others of a rule are of ``otherwise``."""

    table: str
    rules: Rules
    columns: tuple[str, ...]

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
        try:
            with target.connection.transaction():
                if uniques:
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
