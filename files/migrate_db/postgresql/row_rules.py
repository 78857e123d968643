"""Rules of tables that the target has already and SQLite can't work out: only the server knows which rows break one.

CHECKs, those of domains, MATCH FULL, indexes of expressions; and what no two rows may have alike. ``row_answers`` asks.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from migrate_db import sql
from migrate_db.postgresql.target import WITHOUT_DOMAIN, Target

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
    """What each row keeps by itself."""

    named: str  #: what it is, and its name
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
        named = f"{'EXCLUDE' if constraint else 'UNIQUE'} {name}"
        yield table, Unique(named, said, made, tuple(columns))


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
