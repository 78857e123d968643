"""Rules of tables that the target has already and SQLite can't work out: the server itself says which rows break one.

CHECKs, those of domains, unique indexes of expressions.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from migrate_db import sql
from migrate_db.postgresql.target import WITHOUT_DOMAIN, Target

#: What a table's own columns are not called.
_ROW, _RULE = '"migrate_db row"', '"migrate_db rule"'
#: Errors that are about a row: its data, a rule, what a function raises.
_ABOUT_A_ROW = ("22", "23", "P0")
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
    where: str  #: SQL that is true for a row that breaks it; of a unique one, for a row that it is about
    columns: tuple[str, ...]  #: that it asks for
    validated: bool = True  #: rows that are there already keep it
    #: SQL of what no two rows may have alike, as a text; empty: each row by itself keeps it, or not
    alike: str = ""


@dataclass(frozen=True)
class Rules:
    """Those of one table."""

    rules: list[Rule] = field(default_factory=list)
    #: SQL of each column's type, without its domain
    types: dict[str, str] = field(default_factory=dict)
    #: SQL of what stands in a column that no value is given for; without those that number, or compute
    otherwise: dict[str, str] = field(default_factory=dict)


def read(target: Target, tables: list[str]) -> dict[str, Rules]:
    """The rules of those tables that have some."""
    found: dict[str, Rules] = {}
    for table, rule in (*_checks(target, tables), *_indexes(target, tables)):
        found.setdefault(table, Rules()).rules.append(rule)
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
        said = f"contradicts CHECK {text} of {owner} ({name})"
        yield table, Rule(f"CHECK {name}", said, broken, tuple(columns), validated)


def _indexes(target: Target, tables: list[str]) -> Iterator[tuple[str, Rule]]:
    """Indexes of expressions, which may not be worked out for a row, and uniques that SQLite can't tell.

    That is those of expressions or of some rows only, and those that take one NULL only.
    """
    rows = target.connection.execute(
        """
        SELECT c.relname, x.relname, pg_get_expr(i.indpred, c.oid), i.indexprs IS NULL, i.indisunique, nulls.alike,
               ARRAY(SELECT pg_get_indexdef(x.oid, part, true) FROM generate_series(1, i.indnkeyatts) part),
               ARRAY(SELECT a.attname::text FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND (
                     a.attnum = ANY(i.indkey) OR EXISTS (
                         SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = x.oid
                         AND d.refclassid = 'pg_class'::regclass AND d.refobjid = c.oid
                         AND d.refobjsubid = a.attnum)) ORDER BY a.attnum)
        FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid JOIN pg_class x ON x.oid = i.indexrelid
        JOIN pg_namespace n ON n.oid = c.relnamespace,
        LATERAL (SELECT coalesce((to_jsonb(i) ->> 'indnullsnotdistinct')::boolean, false) AS alike) nulls
        WHERE n.nspname = %s AND c.relname = ANY(%s)
          AND (i.indexprs IS NOT NULL OR i.indisunique AND (i.indpred IS NOT NULL OR nulls.alike))
        ORDER BY 1, 2
        """,
        (target.schema, tables),
    ).fetchall()
    for table, name, predicate, is_plain, is_unique, nulls_alike, parts, columns in rows:
        key = ", ".join(parts)
        nulls = f"num_nulls({key})"
        where = f"{nulls} = 0"
        if not is_unique:  # worked out, and about no row
            where = f"{nulls} < 0"
        elif nulls_alike:  # plain columns without a NULL are compared already
            where = f"{nulls} > 0" if is_plain and not predicate else "true"
        if predicate:
            where = f"CASE WHEN {predicate} THEN {where} END"
        # as its type compares, which only the type's own hash knows
        hashes = (f"hash_record_extended(ROW({key}), {seed})" for seed in (0, 1))
        what = f"{key}{f' WHERE {predicate}' if predicate else ''}"
        said = f"a second row with the same {what}, in the target's own UNIQUE ({name})"
        alike = " || ' ' || ".join(hashes) if is_unique else ""
        yield table, Rule(f"index {name}", said, where, tuple(columns), alike=alike)


def _read_columns(target: Target, rules: dict[str, Rules]) -> None:
    rows = target.connection.execute(
        f"""
        SELECT c.relname, a.attname, format_type(b.type, b.size)
                   || CASE WHEN a.attcollation <> t.typcollation
                           THEN ' COLLATE ' || a.attcollation::regcollation ELSE '' END,
               coalesce(pg_get_expr(d.adbin, d.adrelid), 'NULL'), a.attgenerated <> '' OR a.attidentity <> ''
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
        LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
        JOIN {WITHOUT_DOMAIN} b ON true JOIN pg_type t ON t.oid = b.type
        WHERE n.nspname = %s AND c.relname = ANY(%s)
        """,
        (target.schema, list(rules)),
    ).fetchall()
    for table, column, kind, default, made in rows:
        rules[table].types[column] = kind
        if not made and "nextval(" not in default:
            rules[table].otherwise[column] = default


@dataclass(frozen=True)
class Question:
    """Which rows some rules of a table are about."""

    table: str
    rules: Rules
    asked: tuple[Rule, ...]
    given: tuple[
        str, ...
    ]  #: columns whose values are; the others of the rules are of ``otherwise``

    def query(self) -> str:
        """SQL that takes an array of JSON for each of these columns, of as many texts as there are rows."""
        places, types = range(len(self.given)), self.rules.types
        cells = [_ROW]
        cells += [f"v{at}::{types[name]} AS {sql.name(name)}" for at, name in enumerate(self.given)]
        others = {column for rule in self.asked for column in rule.columns} - set(self.given)
        cells += [
            f"({self.rules.otherwise[name]})::{types[name]} AS {sql.name(name)}"
            for name in sorted(others)
        ]
        tests = ", ".join(
            f"({number}, {rule.where}, {_alike(rule)})" for number, rule in enumerate(self.asked)
        )
        values = ", ".join(f"v{at}" for at in places)
        statement = (
            f"SELECT {_ROW}, r.number, r.alike FROM (SELECT {', '.join(cells)}"
            f" FROM ROWS FROM (\0) WITH ORDINALITY given({values}, {_ROW})) {sql.name(self.table)},"
            f" LATERAL (VALUES {tests}) r(number, {_RULE}, alike) WHERE {_RULE} ORDER BY 1, 2"
        )
        # Python writes JSON many times faster than psycopg an array
        arrays = ", ".join("json_array_elements_text(%s)" for _ in places)
        return statement.replace("%", "%%").replace("\0", arrays)


def _alike(rule: Rule) -> str:
    return f"CASE WHEN {rule.where} THEN {rule.alike} END" if rule.alike else "NULL"


@dataclass(frozen=True)
class Answer:
    """A row that a rule is about."""

    place: int  #: of the row, among those that were asked about
    rule: Rule
    alike: str  #: what no other row may have
    error: str = ""  #: what the server says if it can't even tell


def answers(
    target: Target, question: Question, rows: Sequence[Sequence[str | None]]
) -> Iterator[Answer]:
    """The rows that a rule is about, in their order.

    Nothing of a rule that the server can't be asked about at all: the load says so.
    """
    import psycopg

    try:
        with target.connection.transaction(force_rollback=True):
            given = [json.dumps(column) for column in zip(*rows, strict=True)]
            found = target.connection.execute(question.query().encode(), given).fetchall()
    except psycopg.Error as error:
        about_a_row = (error.sqlstate or "")[:2] in _ABOUT_A_ROW
        if about_a_row and len(rows) > 1:
            half = len(rows) // 2
            yield from answers(target, question, rows[:half])
            for answer in answers(target, question, rows[half:]):
                yield replace(answer, place=half + answer.place)
        elif len(question.asked) > 1:  # which of them is it?
            apart = [replace(question, asked=(rule,)) for rule in question.asked]
            told = [answer for one in apart for answer in answers(target, one, rows)]
            yield from sorted(told, key=lambda answer: answer.place)
        elif about_a_row:
            yield Answer(0, question.asked[0], "", error.diag.message_primary or "?")
    else:
        for number, rule, alike in found:
            yield Answer(number - 1, question.asked[rule], alike or "")
