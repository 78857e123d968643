"""A second opinion: is everything of a SQLite file in PostgreSQL, or named in the report?

It shares no code with ``migrate_db`` and none of its ideas: values are read with the two
drivers and compared in Python, keys and constraints are SQLite's PRAGMAs against
``pg_constraint``, ``pg_index`` and ``pg_attribute``. It is slow, and it may be.

A thing is *named* if one line of the report (notes, uncarried, findings) has all its words.
"""

from __future__ import annotations

import json
import re
import shutil
import sqlite3
import struct
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql


class _Text(bytes):
    """What SQLite calls a text, to tell it from a blob."""


#: Differences shown per table.
_SHOWN = 3
_INTEGERS = ("smallint", "integer", "bigint")
_TEXTS = ("text", "character varying", "character", "citext", "name")


@dataclass
class Table:
    """A table of the source, as SQLite itself describes it, and where the report says it went."""

    name: str
    sql: str
    columns: list[dict[str, Any]]
    virtual: bool = False
    left_out: int = 0  #: rows that the report says were quarantined
    target: str = ""
    held: list[dict[str, Any]] = field(default_factory=list)  #: pg_attribute, in order
    pairs: dict[str, str] = field(default_factory=dict)  #: source column -> target column


class Oracle:
    """Compares one file with one PostgreSQL schema; ``problems`` is what it found."""

    def __init__(
        self, source: Path, url: str, report: dict[str, Any], schema: str = "public"
    ) -> None:
        self.source, self.url, self.report, self.schema = source, url, report, schema
        self.problems: list[str] = []
        self.lines = [note.lower() for note in report["notes"]]
        self.lines += [
            f"{u['kind']} {u['name']}: {u['reason']}".lower() for u in report["uncarried"]
        ]
        self.lines += [" ".join(map(str, f.values())).lower() for f in report["findings"]]
        #: how many values of a column were changed because the operator asked for it
        self.converted = {(c["table"], c["column"]): c["values"] for c in report["converted"]}

    def judge(self, damage: str = "") -> list[str]:
        """Everything that is missing, changed or added, and that the report doesn't name.

        Args:
            damage: SQL that is run before, and undone.
        """
        with (
            _opened(self.source) as self.lite,
            psycopg.connect(self.url, autocommit=True) as pg,
            pg.transaction(force_rollback=True),
        ):
            self.pg = pg
            if damage:
                pg.execute(damage.encode())
            pg.execute("SET TimeZone = 'UTC'; SET DateStyle = ISO; SET IntervalStyle = postgres")
            pg.execute("SET bytea_output = 'hex'; SET extra_float_digits = 3")
            tables = [table for table in self._tables() if self._arrived(table)]
            by_name = {table.name.lower(): table for table in tables}
            for table in tables:
                self._rows(table)
                if table.virtual:
                    continue
                self._columns(table)
                self._primary_key(table)
                self._numbering(table)
                self._indexes(table)
                self._foreign_keys(table, by_name)
                self._checks(table)
            self._views_and_triggers()
            self._nothing_else(tables)
        return self.problems

    def named(self, *words: str) -> bool:
        """Whether one line of the report has all these words."""
        found = [re.compile(rf"(?<!\w){re.escape(word.lower())}(?!\w)") for word in words]
        return any(all(word.search(line) for word in found) for line in self.lines)

    def _wrong(self, what: str) -> None:
        self.problems.append(what)

    def _ask(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        return self.pg.execute(statement.encode(), values or None).fetchall()

    # --- tables ---------------------------------------------------------------------

    def _tables(self) -> Iterator[Table]:
        rows = self.lite.execute(
            "SELECT name, sql FROM sqlite_schema WHERE type = 'table' ORDER BY rowid"
        ).fetchall()
        for raw, text in rows:
            name, text = _str(raw), _str(text or "")
            if name.lower().startswith("sqlite_"):
                continue
            virtual = bool(re.match(r"\s*create\s+virtual\s", text, re.I))
            if virtual and not self.named(name):
                self._wrong(f"virtual table {name}: not named")
            if virtual and all(t["name"] != name for t in self.report["tables"]):
                continue  # whether that is right, its shadow tables tell
            columns = [
                {"name": _str(r[1]), "type": _str(r[2] or ""), "not_null": r[3], "default": r[4],
                 "pk": r[5], "hidden": r[6]}
                for r in self.lite.execute(f"PRAGMA table_xinfo({_q(name)})")
            ]  # fmt: skip
            if virtual:  # a plain table now: its rows matter, and nothing else
                rowid = {"name": "rowid", "type": "INTEGER", "hidden": 0}
                shown = [c | {"not_null": 0, "default": None} for c in columns if not c["hidden"]]
                columns = [rowid, *shown] if "fts" in text.lower() else shown
                columns = [c | {"pk": 0, "not_null": 0, "default": None} for c in columns]
            yield Table(name, text, columns, virtual)

    def _arrived(self, table: Table) -> bool:
        told = {t["name"]: t for t in self.report["tables"]}.get(table.name)
        if told is None:
            if not self.named(table.name):
                self._wrong(f"table {table.name}: neither carried nor named")
            return False
        table.target = told["target"]
        count = self.lite.execute(f"SELECT count(*) FROM {_q(table.name)}").fetchone()[0]
        table.left_out = told.get("quarantined", 0)
        if count not in (told["rows"], told["rows"] + table.left_out):
            self._wrong(f"table {table.name}: the report says {told['rows']} rows of {count}")
        table.held = [
            dict(zip(("name", "type", "not_null", "default", "identity", "generated"), r,
                     strict=True))
            for r in self._ask(
                "SELECT attname, format_type(atttypid, atttypmod), attnotnull,"
                " pg_get_expr(adbin, adrelid), attidentity, attgenerated FROM pg_attribute a"
                " LEFT JOIN pg_attrdef d ON adrelid = attrelid AND adnum = attnum"
                " WHERE attrelid = to_regclass(%s) AND attnum > 0 AND NOT attisdropped"
                " ORDER BY attnum", self._place(table))
        ]  # fmt: skip
        if not self._ask("SELECT 1 WHERE to_regclass(%s) IS NOT NULL", self._place(table)):
            self._wrong(f"table {table.name}: not in the target")
            return False
        if table.target != table.name and not self.named(table.name, table.target):
            self._wrong(f"table {table.name}: became {table.target}, and nothing says so")
        ours = [c["name"] for c in table.columns if c["hidden"] != 1]
        theirs = [c["name"] for c in table.held]
        left = [name for name in ours if name not in theirs]
        renamed = dict(zip(left, [name for name in theirs if name not in ours], strict=False))
        for name in ours:
            table.pairs[name] = name if name in theirs else renamed.get(name, "")
            if not table.pairs[name]:
                del table.pairs[name]
                if not self.named(table.name, name):
                    self._wrong(f"{table.name}.{name}: no such column in the target")
            elif table.pairs[name] != name and not self.named(name, table.pairs[name]):
                self._wrong(f"{table.name}.{name}: became {table.pairs[name]}, and nothing says so")
        extra = set(theirs) - set(table.pairs.values())
        if extra:
            self._wrong(f"table {table.name}: columns that the source hasn't: {sorted(extra)}")
        return True

    def _place(self, table: Table) -> str:
        return sql.Identifier(self.schema, table.target).as_string(None)

    def _type(self, table: Table, column: str) -> str:
        return next(str(c["type"]) for c in table.held if c["name"] == table.pairs[column])

    # --- values ---------------------------------------------------------------------

    def _rows(self, table: Table) -> None:
        changed = [name for name in table.pairs if self.converted.get((table.name, name))]
        for name in changed:
            self._compare(table, [name], self.converted[table.name, name])
        names = [name for name in table.pairs if name not in changed]
        if not names:
            count = self._ask(f"SELECT count(*) FROM {self._place(table)}")[0][0]
            ours = self.lite.execute(f"SELECT count(*) FROM {_q(table.name)}").fetchone()[0]
            if count != ours:
                self._wrong(f"table {table.name}: {count} rows of {ours}")
            return
        self._compare(table, names, 0)

    def _compare(self, table: Table, names: list[str], changed: int) -> None:
        """Both sides as multisets of these columns, with so many values changed by request."""
        types = [self._type(table, name) for name in names]
        declared = {c["name"]: c["type"] for c in table.columns}
        said = [self.named(f"{table.name}.{name}") for name in names]
        loose = [_affinity(declared[name]) for name in names]
        unsaid: Counter[str] = Counter()

        def left() -> Iterator[tuple[Any, ...]]:
            cursor = self.lite.execute(f"SELECT {', '.join(map(_q, names))} FROM {_q(table.name)}")
            for row in cursor:
                cells = []
                for value, kind, name, affinity, free in zip(
                    row, types, names, loose, said, strict=True
                ):
                    cell, needs_word = _from_sqlite(value, kind, affinity)
                    if needs_word and not free:
                        unsaid[f"{name}: {needs_word}"] += 1
                    cells.append(cell)
                yield tuple(cells)

        def right() -> Iterator[tuple[Any, ...]]:
            columns = ", ".join(
                f"encode(float8send({_q(table.pairs[n])}), 'hex')"
                if kind == "double precision"
                else f"{_q(table.pairs[n])}::text"
                for n, kind in zip(names, types, strict=True)
            )
            with self.pg.transaction(), self.pg.cursor(f"oracle_{id(table)}") as cursor:
                cursor.itersize = 5000
                cursor.execute(f"SELECT {columns} FROM {self._place(table)}".encode())
                for row in cursor:
                    yield tuple(
                        None if value is None else _from_postgres(value, kind)
                        for value, kind in zip(row, types, strict=True)
                    )

        ours, theirs = Counter(left()), Counter(right())
        missing, extra = ours - theirs, theirs - ours
        if missing.total() - extra.total() == table.left_out and extra.total() <= changed:
            missing, extra = Counter(), Counter()
        for label, difference in (("missing", missing), ("extra", extra)):
            if difference:
                some = [str(row)[:300] for row in list(difference)[:_SHOWN]]
                self._wrong(f"table {table.name}: {difference.total()} rows {label}: {some}")
        for what, count in unsaid.items():
            self._wrong(f"{table.name}.{what} ({count} values), and nothing says so")

    # --- columns --------------------------------------------------------------------

    def _columns(self, table: Table) -> None:
        held = {c["name"]: c for c in table.held}
        collations = self._collations(table)
        for column in table.columns:
            name = column["name"]
            if name not in table.pairs:
                continue
            there = held[table.pairs[name]]
            place = f"{table.name}.{name}"
            if column["not_null"] and not there["not_null"] and not self.named(place):
                self._wrong(f"{place}: NOT NULL is lost, and nothing says so")
            if there["not_null"] and not (column["not_null"] or column["pk"]):
                self._wrong(f"{place}: NOT NULL was added")
            if column["hidden"] in (2, 3) and not there["generated"] and not self.named(place):
                self._wrong(f"{place}: no generated column any more, and nothing says so")
            self._default(table, column, there)
            collation = collations.get(name, "BINARY")
            # a collation orders texts and nothing else
            texts = str(there["type"]).partition("(")[0] in (
                "text",
                "character varying",
                "character",
            )
            kept = collation.upper() == "BINARY" or not texts
            if not kept and not self.named(place, collation):
                self._wrong(f"{place}: COLLATE {collation} is lost, and nothing says so")

    def _collations(self, table: Table) -> dict[str, str]:
        """Each column's own collation; SQLite tells only that of an index, so one is made."""
        found = {}
        with sqlite3.connect(":memory:") as empty:
            _collate(empty, [table.sql])
            try:
                empty.execute(table.sql)
                for number, column in enumerate(table.columns):
                    empty.execute(
                        f'CREATE INDEX "o {number}" ON {_q(table.name)} ({_q(column["name"])})'
                    )
                    row = empty.execute(f'PRAGMA index_xinfo("o {number}")').fetchone()
                    found[column["name"]] = str(row[4])
            except sqlite3.Error:
                pass  # a function or a table that isn't there
        return found

    def _default(self, table: Table, column: dict[str, Any], there: dict[str, Any]) -> None:
        place = f"{table.name}.{column['name']}"
        if column["default"] is None or column["hidden"] or self.named("default", place):
            added = str(there["default"] or "") if not there["generated"] else ""
            if column["default"] is None and added and not added.startswith("nextval("):
                self._wrong(f"{place}: DEFAULT {added} was added")
            return
        text = _str(column["default"])
        if re.search(
            r"current_|now|random|unixepoch|strftime|datetime|\bdate\(|julian", text, re.I
        ):
            if not there["default"] and not there["identity"]:
                self._wrong(f"{place}: DEFAULT {text} is lost, and nothing says so")
            return
        with sqlite3.connect(":memory:") as empty:
            made = f"CREATE TABLE t (x, c {_words(column['type'])} DEFAULT"
            try:
                empty.execute(f"{made} {text})")
            except sqlite3.Error:
                empty.execute(f"{made} ({text}))")
            empty.execute("INSERT INTO t (x) VALUES (1)")
            empty.text_factory = _Text
            (ours,) = empty.execute("SELECT c FROM t").fetchone()
        # an INTEGER PRIMARY KEY numbers itself, whatever default it says
        numbered = column["pk"] and column["type"].strip().upper() == "INTEGER"
        if ours is None or (numbered and sum(1 for c in table.columns if c["pk"]) == 1):
            return
        if not there["default"]:
            self._wrong(f"{place}: DEFAULT {text} is lost, and nothing says so")
            return
        kind = str(there["type"])
        shown = f"({there['default']})::{kind}"
        shown = f"encode(float8send({shown}), 'hex')" if kind == "double precision" else (
            f"({shown})::text"
        )  # fmt: skip
        theirs = _from_postgres(self._ask(f"SELECT {shown}")[0][0], kind)
        if _from_sqlite(ours, kind, _affinity(column["type"]))[0] != theirs and not self.named(
            place, "default", "becomes"
        ):
            self._wrong(f"{place}: DEFAULT {text} became {there['default']}")

    # --- keys and constraints --------------------------------------------------------

    def _primary_key(self, table: Table) -> None:
        ours = [c["name"] for c in sorted(table.columns, key=lambda c: c["pk"]) if c["pk"]]
        theirs = self._constraints(table, "p")
        if not ours:
            if theirs:
                self._wrong(f"table {table.name}: a primary key was added")
            return
        wanted = [table.pairs.get(name) for name in ours]
        if [columns for columns, *_ in theirs] == [wanted]:
            return
        if not self.named("primary key", table.name):
            self._wrong(f"table {table.name}: the primary key is {theirs}, not {wanted}")

    def _constraints(self, table: Table, kind: str) -> list[tuple[Any, ...]]:
        return self._ask(
            "SELECT ARRAY(SELECT attname::text FROM unnest(conkey) WITH ORDINALITY k(n, o)"
            "  JOIN pg_attribute ON attrelid = conrelid AND attnum = n ORDER BY o),"
            " conname::text, convalidated, confrelid::regclass::text,"
            " ARRAY(SELECT attname::text FROM unnest(confkey) WITH ORDINALITY k(n, o)"
            "  JOIN pg_attribute ON attrelid = confrelid AND attnum = n ORDER BY o),"
            " confupdtype, confdeltype, condeferrable, condeferred"
            " FROM pg_constraint WHERE conrelid = to_regclass(%s) AND contype = %s",
            self._place(table), kind,
        )  # fmt: skip

    def _numbering(self, table: Table) -> None:
        """An INTEGER PRIMARY KEY numbers new rows itself, after the highest ever used."""
        keys = [c for c in table.columns if c["pk"]]
        if len(keys) != 1 or keys[0]["type"].strip().upper() != "INTEGER":
            return
        own_index = any(
            _str(r[3]) == "pk" for r in self.lite.execute(f"PRAGMA index_list({_q(table.name)})")
        )
        name = keys[0]["name"]
        if own_index or name not in table.pairs or self.named("numbering", table.name):
            return
        place = f"{table.name}.{name}"
        found = self._ask(
            "SELECT pg_get_serial_sequence(%s, %s)", self._place(table), table.pairs[name]
        )[0][0]
        if found is None:
            self._wrong(f"{place}: does not number new rows any more")
            return
        (highest,) = self.lite.execute(f"SELECT max({_q(name)}) FROM {_q(table.name)}").fetchone()
        if self.lite.execute("SELECT 1 FROM sqlite_schema WHERE name='sqlite_sequence'").fetchone():
            row = self.lite.execute(
                "SELECT max(seq) FROM sqlite_sequence WHERE name = ?", (table.name,)
            ).fetchone()
            if row and isinstance(row[0], int):
                highest = max(highest or 0, row[0])
        following = self._ask(
            f"SELECT CASE WHEN is_called THEN last_value + 1 ELSE last_value END FROM {found}"
        )[0][0]
        if highest is not None and following <= highest:
            self._wrong(f"{place}: the next number is {following}, {highest} is in use")

    def _indexes(self, table: Table) -> None:
        there = self._ask(
            "SELECT indisunique, indpred IS NOT NULL, indisvalid,"
            " ARRAY(SELECT pg_get_indexdef(indexrelid, n, true)"
            "   FROM generate_series(1, indnkeyatts) n) FROM pg_index"
            " WHERE indrelid = to_regclass(%s)", self._place(table),
        )  # fmt: skip
        if not all(valid for _, _, valid, _ in there):
            self._wrong(f"table {table.name}: an index is not valid")
        for row in self.lite.execute(f"PRAGMA index_list({_q(table.name)})").fetchall():
            index, unique, origin, partial = _str(row[1]), bool(row[2]), _str(row[3]), bool(row[4])
            if origin == "pk":
                continue
            parts = [
                (None if p[2] is None else _str(p[2]), _str(p[4] or "BINARY"))
                for p in self.lite.execute(f"PRAGMA index_xinfo({_q(index)})")
                if p[5]
            ]
            # UNIQUE (a, b, a): the same as without the last one
            parts = [p for n, p in enumerate(parts) if p[0] is None or p not in parts[:n]]
            label = ", ".join(name or "an expression" for name, _ in parts)
            kind = "unique index" if unique else "index"
            if not any(
                self._is_index(table, parts, columns)
                for is_unique, has_where, _, columns in there
                if is_unique == unique and has_where == partial
            ) and not self.named(table.name, index):
                columns = [name for name, _ in parts if name]
                if not (origin == "u" and self.named("unique", table.name, *columns)):
                    self._wrong(
                        f"{kind} {index} of {table.name} ({label}): neither there nor named"
                    )

    def _is_index(
        self, table: Table, parts: list[tuple[str | None, str]], columns: list[str]
    ) -> bool:
        if len(parts) != len(columns):
            return False
        for (name, collation), held in zip(parts, columns, strict=True):
            if name is None:
                continue
            target = table.pairs.get(name, name)
            plain = held.strip('"').replace('""', '"') == target
            if collation.upper() == "BINARY" and not plain:
                return False
            if not plain and target.lower() not in held.replace('""', '"').lower():
                return False
        return True

    def _foreign_keys(self, table: Table, by_name: dict[str, Table]) -> None:
        keys: dict[int, list[tuple[Any, ...]]] = {}
        for row in self.lite.execute(f"PRAGMA foreign_key_list({_q(table.name)})"):
            keys.setdefault(row[0], []).append(row)
        there = self._constraints(table, "f")
        letters = {"NO ACTION": "a", "RESTRICT": "r", "CASCADE": "c", "SET NULL": "n",
                   "SET DEFAULT": "d"}  # fmt: skip
        real = {c["name"].lower(): c["name"] for c in table.columns}
        for parts in keys.values():
            parts.sort(key=lambda p: p[1])
            columns = [real.get(_str(p[3]).lower(), _str(p[3])) for p in parts]
            parent = by_name.get(_str(parts[0][2]).lower())
            if self.named("foreign key", table.name, *columns):
                continue
            place = f"foreign key {table.name}({', '.join(columns)})"
            if parent is None:
                self._wrong(f"{place}: its parent isn't there, and nothing says so")
                continue
            if parts[0][4] is None:
                pk = sorted((c for c in parent.columns if c["pk"]), key=lambda c: c["pk"])
                others = [c["name"] for c in pk]
            else:
                names = {c["name"].lower(): c["name"] for c in parent.columns}
                others = [names.get(_str(p[4]).lower(), _str(p[4])) for p in parts]
            wanted = ([table.pairs.get(c) for c in columns], [parent.pairs.get(c) for c in others])
            oid = self._ask("SELECT to_regclass(%s)::text", self._place(parent))[0][0]
            alike = [c for c in there if (c[0], c[4], c[3]) == (*wanted, oid)]
            pairs = set(zip(*wanted, strict=False))
            alike = alike or [
                c for c in there
                if c[3] == oid and set(zip(c[0], c[4], strict=True)) == pairs
            ]  # fmt: skip
            actions = (letters[_str(parts[0][5]).upper()], letters[_str(parts[0][6]).upper()])
            if not alike:
                self._wrong(f"{place}: neither there nor named")
            elif not any(c[2] for c in alike) and not self.named(table.name, "not validated"):
                self._wrong(f"{place}: not validated")
            elif not any((c[5], c[6]) == actions for c in alike):
                self._wrong(f"{place}: its actions are {[c[5:7] for c in alike]}, not {actions}")
        initially = re.findall(
            r"(not\s+)?deferrable(\s+initially\s+deferred)?", _bare(table.sql), re.I
        )
        deferred = sum(1 for no, deferred in initially if not no and deferred)
        kept = sum(1 for c in there if c[8])
        said = self.named("foreign key", table.name) or any(
            "deferr" in line and table.name.lower() in line for line in self.lines
        )
        if kept < deferred and not said:
            self._wrong(f"table {table.name}: {deferred} keys were INITIALLY DEFERRED")

    def _checks(self, table: Table) -> None:
        ours = len(re.findall(r"\bcheck\s*\(", _bare(table.sql), re.I))
        theirs = len(self._constraints(table, "c"))
        named = sum(1 for line in self.lines if "check" in line and table.name.lower() in line)
        whole = any(line.startswith(f"check {table.name.lower()}:") for line in self.lines)
        if theirs + named < ours and not whole:
            self._wrong(f"table {table.name}: {theirs} CHECKs and {named} named, of {ours}")
        if theirs > ours:
            self._wrong(f"table {table.name}: {theirs} CHECKs instead of {ours}")

    # --- the rest ---------------------------------------------------------------------

    def _views_and_triggers(self) -> None:
        rows = self.lite.execute(
            "SELECT type, name FROM sqlite_schema WHERE type IN ('view', 'trigger')"
        ).fetchall()
        for kind, name in ((_str(r[0]), _str(r[1])) for r in rows):
            if self.named(kind, name):
                continue
            place = sql.Identifier(self.schema, name).as_string(None)
            held = self._ask("SELECT relkind FROM pg_class WHERE oid = to_regclass(%s)", place)
            if kind == "trigger" or not held or held[0][0] not in ("v", "m", b"v", b"m"):
                self._wrong(f"{kind} {name}: neither there nor named")
            elif kind == "view":
                self._view(name, place)

    def _view(self, name: str, place: str) -> None:
        try:
            ours = self.lite.execute(f"SELECT * FROM {_q(name)}").fetchall()
        except sqlite3.Error as error:
            self._wrong(f"view {name}: SQLite itself can't read it ({error}), yet it was carried")
            return
        types = [
            r[0] for r in self._ask(
                "SELECT format_type(atttypid, atttypmod) FROM pg_attribute"
                " WHERE attrelid = to_regclass(%s) AND attnum > 0 ORDER BY attnum", place)
        ]  # fmt: skip
        cursor = self.pg.execute(f"SELECT v.* FROM {place} v".encode())
        names = [sql.Identifier(c.name).as_string(None) for c in cursor.description or []]
        shown = ", ".join(
            f"encode(float8send({n}), 'hex')" if kind == "double precision" else f"{n}::text"
            for n, kind in zip(names, types, strict=True)
        )
        theirs = Counter(
            tuple(
                None if v is None else _from_postgres(v, k) for v, k in zip(r, types, strict=True)
            )
            for r in self._ask(f"SELECT {shown} FROM {place} v")
        )
        if ours and len(ours[0]) != len(types):
            self._wrong(f"view {name}: {len(types)} columns instead of {len(ours[0])}")
            return
        expected = Counter(
            tuple(_from_sqlite(v, k, "NUMERIC")[0] for v, k in zip(r, types, strict=True))
            for r in ours
        )
        if expected != theirs:
            some = [*list(expected - theirs)[:1], *list(theirs - expected)[:1]]
            self._wrong(f"view {name}: other rows than in SQLite: {str(some)[:300]}")

    def _nothing_else(self, tables: list[Table]) -> None:
        there = self._ask(
            "SELECT relname FROM pg_class WHERE relnamespace = to_regnamespace(%s)"
            " AND relkind IN ('r', 'p', 'f')", sql.Identifier(self.schema).as_string(None),
        )  # fmt: skip
        extra = {row[0] for row in there} - {table.target for table in tables}
        if extra:
            self._wrong(f"tables that the source hasn't: {sorted(extra)}")


def judge(
    source: Path, url: str, report: dict[str, Any], schema: str = "public", damage: str = ""
) -> list[str]:
    """What is missing, changed or unreported after a run; empty if nothing is."""
    return Oracle(source, url, report, schema).judge(damage)


# --- SQLite ---------------------------------------------------------------------------


@contextmanager
def _opened(source: Path) -> Iterator[sqlite3.Connection]:
    """A private copy, with what lies beside it; text as bytes."""
    with tempfile.TemporaryDirectory() as directory:
        copy = Path(directory, "copy.db")
        for end in ("", "-wal", "-journal"):
            part = source.with_name(source.name + end)
            if part.exists():
                shutil.copyfile(part, copy.with_name(copy.name + end))
        connection = sqlite3.connect(copy)
        connection.text_factory = _Text
        texts = [_str(r[0]) for r in connection.execute("SELECT sql FROM sqlite_schema") if r[0]]
        _collate(connection, texts)
        try:
            yield connection
        finally:
            connection.close()


def _collate(connection: sqlite3.Connection, texts: list[str]) -> None:
    known = {"BINARY", "NOCASE", "RTRIM"}
    for text in texts:
        for found in re.findall(r"collate\s+([\"'`\[]?)(\w+)", text, re.I):
            if found[1].upper() not in known:
                connection.create_collation(found[1], lambda a, b: (a > b) - (a < b))


def _q(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _words(declared: str) -> str:
    """A declared type that can stand in a CREATE TABLE again."""
    # quoted as one: of several quoted words SQLite looks at the first
    words = " ".join(re.sub(r"\(.*", "", declared).split())
    return _q(words) if words else ""


def _str(value: object) -> str:
    return value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else str(value)


def _bare(text: str) -> str:
    """SQL without comments, strings and quoted names."""
    quoted = r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|`[^`]*`|\[[^\]]*\]|--[^\n]*|/\*.*?\*/"
    return re.sub(quoted, "x", text, flags=re.S)


def _affinity(declared: str) -> str:
    upper = declared.upper()
    for words, affinity in (
        (("INT",), "INTEGER"), (("CHAR", "CLOB", "TEXT"), "TEXT"), (("BLOB",), "BLOB"),
        (("REAL", "FLOA", "DOUB"), "REAL"),
    ):  # fmt: skip
        if any(word in upper for word in words):
            return affinity
    return "NUMERIC" if upper.strip() else "BLOB"


# --- values: both sides in one form, by the type that PostgreSQL has --------------------


def _from_sqlite(value: object, kind: str, affinity: str) -> tuple[object, str]:
    """The value as PostgreSQL must hold it, and what had to be said about it."""
    if value is None:
        return None, ""
    family = kind.partition("(")[0]
    if family in _INTEGERS:
        return ("i", value) if isinstance(value, int) else ("?", value), ""
    if family == "boolean":
        if isinstance(value, int):
            return ("b", bool(value)) if value in (0, 1) else ("?", value), ""
        words = {b"true": True, b"t": True, b"yes": True, b"y": True, b"on": True}
        words |= {b"false": False, b"f": False, b"no": False, b"n": False, b"off": False}
        known = words.get(value.lower()) if isinstance(value, bytes) else None
        return ("b", known), f"{value!r} became a boolean"
    if family in ("double precision", "real"):
        if isinstance(value, float):
            return ("d", struct.pack(">d", value).hex()), ""
        if isinstance(value, int) and int(float(value)) == value:
            word = "" if affinity in ("REAL", "NUMERIC", "INTEGER") else f"{value} became a float"
            return ("d", struct.pack(">d", float(value)).hex()), word
        return ("?", value), ""
    if family == "numeric":
        if isinstance(value, float):
            return ("n", Decimal(repr(value)).normalize()), ""
        return (("n", Decimal(value).normalize()), "") if isinstance(value, int) else (
            ("?", value), "")  # fmt: skip
    if family in _TEXTS:
        if isinstance(value, (int, float)):
            return ("t", _digits(value)), f"the {type(value).__name__} {value!r} became text"
        return _text(value), ""
    if family == "bytea":
        is_blob = isinstance(value, bytes) and not _is_text(value)
        return ("x", value.hex()) if isinstance(value, bytes) and is_blob else ("?", value), ""
    if family in ("json", "jsonb"):
        text = _digits(value) if isinstance(value, (int, float)) else _str(value)
        if family == "json":
            return ("j", text), ""
        return ("j", json.dumps(json.loads(text), sort_keys=True)), ""
    return _moment(value, family), _said_of(value, family)


def _from_postgres(text: str, kind: str) -> object:
    family = kind.partition("(")[0]
    if family in _INTEGERS:
        return ("i", int(text))
    if family == "boolean":
        return ("b", text in ("true", "t"))
    if family == "double precision":
        return ("d", text)
    if family == "real":
        return ("d", struct.pack(">d", float(text)).hex())
    if family == "numeric":
        return ("n", Decimal(text).normalize())
    if family in _TEXTS:
        return ("t", text)
    if family == "bytea":
        return ("x", text.removeprefix("\\x"))
    if family == "json":
        return ("j", text)
    if family == "jsonb":
        return ("j", json.dumps(json.loads(text), sort_keys=True))
    return _moment(_Text(text.encode()), family)


def _digits(value: int | float) -> str:
    if isinstance(value, float) and value in (float("inf"), float("-inf")):
        return "9.0e+999" if value > 0 else "-9.0e+999"  # as SQLite writes it
    return repr(value)


def _is_text(value: object) -> bool:
    return isinstance(value, _Text)


def _text(value: object) -> object:
    if not isinstance(value, _Text):
        return ("?", value)
    try:
        return ("t", value.decode("utf-8"))
    except UnicodeDecodeError:
        return ("?", value)


def _said_of(value: object, family: str) -> str:
    if isinstance(value, (int, float)):
        return f"the number {value!r} became a {family}"
    text = _str(value)
    if family.startswith("timestamp") and not re.fullmatch(
        r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d{6})?", text
    ):
        return f"{text!r} became {family}"
    return ""


def _moment(value: object, family: str) -> object:
    """Dates and times in the order of year to microsecond; a zone becomes UTC."""
    if family == "uuid" and isinstance(value, bytes) and not _is_text(value):
        return ("u", value.hex())
    if not _is_text(value):
        return ("?", value)
    text = _str(value)
    if family == "uuid":
        return ("u", text.replace("-", "").lower())
    if family == "date":
        return ("D", text[:10]) if re.fullmatch(r"\d{4}-\d\d-\d\d", text) else ("?", text)
    if family.startswith("time") and not family.startswith("timestamp"):
        match = re.fullmatch(r"(\d\d:\d\d)(:\d\d)?(?:\.(\d{1,6})0*)?", text)
        if not match:
            return ("?", text)
        return ("T", f"{match[1]}{match[2] or ':00'}.{match[3] or '':0<6}")
    match = re.fullmatch(
        r"(\d{4}-\d\d-\d\d)(?:[ T](\d\d:\d\d)(:\d\d)?(?:\.(\d{1,6})0*)?\s?(Z|[+-]\d\d(?::?\d\d)?)?)?",
        text,
    )
    if not match:
        return ("?", text)
    fraction = f"{match[4] or '':0<6}"
    clock = f"{match[1]} {match[2] or '00:00'}{match[3] or ':00'}.{fraction}"
    if "with time zone" not in family:
        return ("S", clock) if match[5] is None else ("?", text)
    zone = match[5]
    if zone is None:
        return ("?", text)
    minutes = 0
    if zone != "Z":
        digits = zone[1:].replace(":", "").ljust(4, "0")
        minutes = (int(digits[:2]) * 60 + int(digits[2:])) * (-1 if zone[0] == "-" else 1)
    moment = datetime.strptime(clock, "%Y-%m-%d %H:%M:%S.%f").replace(tzinfo=timezone.utc)
    try:
        return ("Z", moment - timedelta(minutes=minutes))
    except OverflowError:
        return ("?", text)
