"""SQLite expressions in PostgreSQL, where they mean the same with certainty.

sqlglot parses; only nodes on a short list pass, because a translation that is
merely likely is worse than none. What doesn't pass is reported, not guessed.

Every part of an expression has a *kind*: what SQLite holds there for sure. An
``int`` is an integer in each row, a ``real`` a float, ``mixed`` either of them,
``text`` a text; ``cond`` is a truth value of PostgreSQL's. ``loose`` are texts and
numbers, which PostgreSQL has as their digits: they are equal or not, but have no
order. A column whose values are only alike (times in several spellings) is
``other``: it can be NULL or not, and nothing else is certain about it.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache, wraps
from typing import ParamSpec, TypeVar

from migrate_db import codec, sql
from migrate_db.codec import Codec
from migrate_db.collations import KNOWN
from migrate_db.errors import Untranslated as Untranslated
from migrate_db.plan import TablePlan
from migrate_db.schema import Column, Index

try:
    import sqlglot
    from sqlglot import exp
    from sqlglot.errors import SqlglotError

    # what can't be parsed is reported by us
    logging.getLogger("sqlglot").setLevel(logging.CRITICAL)
    _SIGNS: dict[type, str] = {
        exp.EQ: "=",
        exp.NEQ: "<>",
        exp.GTE: ">=",
        exp.GT: ">",
        exp.LTE: "<=",
        exp.LT: "<",
        exp.NullSafeEQ: "IS NOT DISTINCT FROM",
        exp.NullSafeNEQ: "IS DISTINCT FROM",
    }
    _ARITHMETIC: dict[type, str] = {exp.Add: "+", exp.Sub: "-", exp.Mul: "*"}
    _BITS: dict[type, str] = {exp.BitwiseAnd: "&", exp.BitwiseOr: "|"}
    #: What binds in another order in SQLite than for the parser, unless it is in parentheses.
    _PREDICATES = (*_SIGNS, exp.Is, exp.In, exp.Between, exp.Like, exp.Glob, exp.Escape)
except ImportError:  # a preview on a bare host runs without third-party packages
    sqlglot = None  # type: ignore[assignment]

_NUMBERS = ("int", "real", "mixed")
#: Affinities that make a number of a text where they can.
NUMERIC = ("INTEGER", "REAL", "NUMERIC")
#: What the parser notes down for other dialects.
_IRRELEVANT = {"safe", "typed", "big_int", "_type", "ignore_nulls"}
_DATE = re.compile(r"\d{4}-(?:0\d|1[0-2])-(?:[01]\d|2\d|3[01])")
_MOMENT = re.compile(_DATE.pattern + r"(?: [0-2]\d:[0-5]\d:[0-5]\d)?")
#: Of strftime(), and the same for to_char().
_TO_CHAR = {"%Y": "YYYY", "%m": "MM", "%d": "DD", "%H": "HH24", "%M": "MI", "%S": "SS", "%j": "DDD"}
_STRFTIME = re.compile(f'{"|".join(_TO_CHAR)}|[^%"\\\\]+')
#: What these say of a number of seconds, between the years 1 and 9999.
_EPOCHS = {"date": "YYYY-MM-DD", "time": "HH24:MI:SS", "datetime": "YYYY-MM-DD HH24:MI:SS"}
_FIRST_MOMENT, _LAST_MOMENT = -62135596800, 253402300799
_NUMBER = re.compile(r"[+-]?\d+(?:\.\d+)?")


@dataclass(frozen=True)
class Typed:
    """A part of an expression in PostgreSQL's words, and what SQLite holds there."""

    sql: str
    kind: str
    affinity: str = ""  #: only columns have one
    collation: str = ""  #: of a column, or said with COLLATE
    codec: Codec | None = None  #: of a plain column
    constant: str | None = None  #: a literal's text
    explicit: bool = False  #: COLLATE was said


def kind_of(found: Codec) -> str:
    """What SQLite holds in a column that this codec carries."""
    if found.type in ("smallint", "integer", "bigint"):
        exact = codec.integer(found.type)
        return "int" if found.misfit == exact.misfit else "other"
    if found.type.startswith("numeric"):
        return "mixed" if found.misfit.startswith(codec.numeric().misfit) else "other"
    plain = {
        codec.BOOLEAN.misfit: "bool",
        codec.DOUBLE.misfit: "real",
        codec.REAL4.misfit: "real",
        codec.DOUBLE_OR_INTEGER.misfit: "mixed",
        codec.BYTEA.misfit: "bytea",
        codec.DATE.misfit: "date",
        codec.TIMESTAMP.misfit: "timestamp",
        codec.UUID.misfit: "uuid",
        codec.TEXT_OR_NUMBER.misfit: "loose",
    }
    if found.misfit in plain:
        return plain[found.misfit]
    if found.type.startswith(("text", "varchar", "char", "citext")):
        return "text" if found.misfit.startswith(codec.text().misfit) else "other"
    return "other"


def column(target: str, found: Codec, declared: Column | None) -> Typed:
    """A column as a part of an expression.

    Args:
        target: its name in PostgreSQL, quoted and qualified as need be.
    """
    kind = kind_of(found)
    if found.type in ("real", "citext") or found.type.startswith("char("):
        target += "::double precision" if found.type == "real" else "::text"
    return Typed(
        target,
        kind,
        affinity=declared.affinity if declared else "",
        collation=declared.collation if declared else "",
        codec=found,
    )


class Translator:
    """Translates one expression after another in one scope.

    Args:
        find: the column of this table (or "") and name, None if there is none.
        folding: how ``lower()`` and NOCASE fold: exactly as SQLite does, ASCII only,
            or as people write it in PostgreSQL, with the database's own collation.
    """

    def __init__(self, find: Callable[[str, str], Typed | None], exact_folding: bool = True):
        self.find = find
        self.exact_folding = exact_folding

    def condition(self, node: exp.Expr) -> str:
        """A truth value."""
        return self.truth(self.part(node))

    def part(self, node: exp.Expr) -> Typed:
        """Any part.

        Raises:
            Untranslated: it may mean something else in PostgreSQL.
        """
        if isinstance(node, exp.Paren):
            inner = self.part(node.this)
            return inner if inner.constant is not None else replace(inner, sql=f"({inner.sql})")
        if _binds_otherwise(node):
            raise unsure(node)
        for kind, handle in self.handlers().items():
            if isinstance(node, kind):
                found = handle(node)
                # said somewhere inside, COLLATE rules the whole text
                if found.kind == "text" and not found.explicit and node.find(exp.Collate):
                    raise unsure(node)
                return found
        raise unsure(node)

    def handlers(self) -> dict[type, Callable[[exp.Expr], Typed]]:
        """What is on the list."""
        return {
            exp.Column: self._column,
            exp.Literal: self._literal,
            exp.Boolean: lambda n: _constant("int", str(int(n.this))),
            exp.Null: lambda n: Typed("NULL", "null"),
            exp.HexString: lambda n: Typed(f"'\\x{n.name}'::bytea", "bytea", constant=n.name),
            exp.Neg: self._negative,
            exp.And: self._junction,
            exp.Or: self._junction,
            exp.Not: self._not,
            exp.Is: self._is,
            exp.Between: self._between,
            exp.In: self._in,
            exp.Escape: self._like,
            exp.Like: self._like,
            exp.Glob: self._glob,
            exp.Collate: self._collate,
            exp.DPipe: self._joined,
            exp.Div: self._division,
            exp.Mod: self._division,
            exp.Case: self._case,
            exp.If: self._if,
            exp.Coalesce: self._coalesce,
            exp.Nullif: self._nullif,
            exp.Greatest: self._outermost,
            exp.Least: self._outermost,
            exp.Length: self._length,
            exp.Lower: self._fold,
            exp.Upper: self._fold,
            exp.Abs: self._abs,
            exp.Trim: self._trim,
            exp.Substring: self._substring,
            exp.Replace: self._replace,
            exp.StrPosition: self._position,
            exp.Typeof: self._typeof,
            exp.CurrentDate: lambda n: _TODAY,
            exp.Date: self._date,
            exp.TimeToStr: self._formatted,
            exp.Hex: self._hex,
            exp.Anonymous: self._named,
            exp.Cast: self._cast,
            **dict.fromkeys(_SIGNS, self._comparison),
            **dict.fromkeys(_ARITHMETIC, self._arithmetic),
            **dict.fromkeys(_BITS, self._bits),
        }

    # --- truth ---------------------------------------------------------------------------

    def truth(self, part: Typed) -> str:
        """A part where SQLite asks whether it is true."""
        if part.kind in ("cond", "bool"):
            return part.sql
        if part.kind in _NUMBERS:
            return f"({part.sql} <> 0)"
        if part.kind == "null":
            return "NULL::boolean"
        raise Untranslated("a text where a truth value is asked for")

    def _junction(self, node: exp.Expr) -> Typed:
        word = "AND" if isinstance(node, exp.And) else "OR"
        parts = [self.condition(side) for side in node.flatten()]
        return Typed(f"({f' {word} '.join(parts)})", "cond")

    def _not(self, node: exp.Expr) -> Typed:
        inner = node.this
        if isinstance(inner, exp.Is) and isinstance(inner.expression, exp.Null):
            return Typed(f"({self.part(inner.this).sql} IS NOT NULL)", "cond")
        return Typed(f"(NOT {self.condition(inner)})", "cond")

    def _is(self, node: exp.Expr) -> Typed:
        only(node, "this", "expression")
        if isinstance(node.expression, exp.Null):
            return Typed(f"({self.part(node.this).sql} IS NULL)", "cond")
        if isinstance(node.expression, exp.Boolean):
            word = "TRUE" if node.expression.this else "FALSE"
            return Typed(f"({self.condition(node.this)} IS {word})", "cond")
        return self.compare(
            self.part(node.this), "IS NOT DISTINCT FROM", self.part(node.expression)
        )

    def _comparison(self, node: exp.Expr) -> Typed:
        only(node, "this", "expression")
        left, right = self.part(node.this), self.part(node.expression)
        return self.compare(left, _SIGNS[type(node)], right)

    def _between(self, node: exp.Expr) -> Typed:
        only(node, "this", "low", "high")
        value = self.part(node.this)
        low = self.compare(value, ">=", self.part(node.args["low"]))
        high = self.compare(value, "<=", self.part(node.args["high"]))
        return Typed(f"({low.sql} AND {high.sql})", "cond")

    def _in(self, node: exp.Expr) -> Typed:
        only(node, "this", "expressions")
        value = self.part(node.this)
        # the left side alone says how they compare
        items = [replace(self.part(n), collation="", affinity="") for n in node.expressions]
        if not items or any(item.explicit for item in items):
            raise unsure(node)
        value = replace(value, collation=value.collation or "BINARY")
        tests = [self.compare(value, "=", item).sql for item in items]
        return Typed(f"({' OR '.join(tests)})", "cond")

    def compare(self, left: Typed, sign: str, right: Typed) -> Typed:
        """Two sides and what is between them, as SQLite's affinities and collations ask."""
        sides = self._sides(left, sign, right)
        if sides is None:
            told = {"cond": "a truth value", "other": "values of several forms"}
            kinds = [told.get(part.kind, part.kind) for part in (left, right)]
            raise Untranslated(f"it compares {kinds[0]} with {kinds[1]}")
        return Typed(f"({sides[0]} {sign} {sides[1]})", "cond")

    def _sides(self, left: Typed, sign: str, right: Typed) -> tuple[str, str] | None:
        if "null" in (left.kind, right.kind):
            return left.sql, right.sql
        if left.constant is not None and right.constant is None:
            swapped = self._sides(right, _MIRRORED.get(sign, sign), left)
            return None if swapped is None else (swapped[1], swapped[0])
        if left.kind == "bool" and right.constant in ("0", "1"):
            return left.sql, "true" if right.constant == "1" else "false"
        if (left.kind, right.kind) == ("bool", "bool"):
            return left.sql, right.sql
        left, right = self.number(left), self.number(right)
        if left.kind in _NUMBERS and right.kind in _NUMBERS:
            types = {
                p.codec.type if p.codec else "double precision" if p.kind != "int" else ""
                for p in (left, right)
                if p.constant is None
            }
            # PostgreSQL would round the bigint
            return None if {"bigint", "double precision"} <= types else (left.sql, right.sql)
        if left.kind == "text" and right.kind == "text":
            return self._texts(left, sign, right)
        if right.constant is not None:
            return self._with_constant(left, sign, right, right.constant)
        if "loose" in (left.kind, right.kind) and sign in ("=", "<>"):
            # each side is kept as a number where it can be one, so digits tell
            numeric = all(p.kind == "int" or p.affinity in NUMERIC for p in (left, right))
            plain = all(p.collation in ("", "BINARY") for p in (left, right))
            certain = numeric and plain and {left.kind, right.kind} <= {"loose", "int"}
            return (self.digits(left), self.digits(right)) if certain else None
        if left.kind == right.kind and left.codec == right.codec and left.kind != "other":
            exact = left.kind in ("bytea", "date") or sign in ("=", "<>")
            # moments, whatever their spelling
            return (left.sql, right.sql) if exact or left.kind == "timestamp" else None
        return None

    def _with_constant(
        self, left: Typed, sign: str, right: Typed, constant: str
    ) -> tuple[str, str] | None:
        if left.kind in _NUMBERS and right.kind == "text":
            numeric = left.affinity in NUMERIC
            return (left.sql, constant) if numeric and _NUMBER.fullmatch(constant) else None
        if left.kind == "loose" and left.affinity in NUMERIC and sign in ("=", "<>"):
            whole = re.fullmatch(r"[+-]?\d{1,18}", constant)
            if whole or (right.kind == "text" and not re.match(r"\s*[-+.\d]", constant)):
                if whole:
                    return left.sql, sql.string(str(int(constant)))
                said = right if right.explicit and not left.explicit else left
                collation = said.collation or "BINARY"
                return self.collated(left, collation, False), self.collated(right, collation, False)
        if left.kind == "text" and right.kind == "int":
            if left.affinity != "TEXT":
                return None
            return self._texts(left, sign, _constant("text", str(int(constant))))
        if left.kind == "date" and right.kind == "text":
            return (left.sql, sql.string(constant)) if _is_day(constant) else None
        if left.kind == "timestamp" and right.kind == "text" and sign in (">=", "<"):
            certain = bool(_MOMENT.fullmatch(constant)) and _is_day(constant[:10])
            return (left.sql, sql.string(constant)) if certain else None
        if left.kind == "uuid" and right.kind == "text" and sign in ("=", "<>"):
            certain = bool(re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", constant))
            return (left.sql, sql.string(constant)) if certain else None
        if left.kind == "bytea" and right.kind == "bytea":
            return left.sql, right.sql
        return None

    def _texts(self, left: Typed, sign: str, right: Typed) -> tuple[str, str]:
        first = next((p for p in (left, right) if p.explicit), None)
        chosen = first or next((p for p in (left, right) if p.collation), None)
        collation = chosen.collation if chosen else "BINARY"
        ordering = sign in ("<", ">", "<=", ">=")
        texts = [self.collated(part, collation, False) for part in (left, right)]
        # bytes decide in SQLite, the database's language in PostgreSQL
        return texts[0] + (' COLLATE "C"' if ordering else ""), texts[1]

    def collated(self, part: Typed, collation: str, ordering: bool) -> str:
        """A text that compares in PostgreSQL as it does under this collation in SQLite."""
        text = part.sql if part.constant is None else sql.string(part.constant)
        if collation == "NOCASE" and part.constant is not None:
            text = sql.string(_lower(part.constant))
        elif collation == "NOCASE":
            text = f'lower({text} COLLATE "C")' if self.exact_folding else f"lower({text})"
        elif collation == "RTRIM":
            text = f"rtrim({text}, ' ')"
        elif collation != "BINARY":
            raise Untranslated(f"the collation {collation} is the app's own")
        return f'{text} COLLATE "C"' if ordering else text

    def _collate(self, node: exp.Expr) -> Typed:
        collation = node.expression.name.upper()
        if collation not in KNOWN:
            raise Untranslated(f"the collation {collation} is the app's own")
        return replace(self.part(node.this), collation=collation, explicit=True)

    def _like(self, node: exp.Expr) -> Typed:
        escape = ""
        if isinstance(node, exp.Escape):
            escape, node = node.expression.name, node.this
            if not isinstance(node, exp.Like) or escape.isalpha() or len(escape) != 1:
                raise unsure(node)
        only(node, "this", "expression", "negate")
        value, pattern = self.part(node.this), self.part(node.expression)
        if pattern.constant is None or pattern.kind != "text":
            raise unsure(node)
        if "\\" in pattern.constant and not escape:
            escape_clause = " ESCAPE ''"
        else:
            escape_clause = f" ESCAPE {sql.string(escape)}" if escape else ""
        word = "NOT LIKE" if node.args.get("negate") else "LIKE"
        # it folds A to Z, whatever the column's collation
        folded = f'lower({self.text(value)} COLLATE "C")'
        return Typed(
            f"({folded} {word} {sql.string(_lower(pattern.constant))}{escape_clause})", "cond"
        )

    def _glob(self, node: exp.Expr) -> Typed:
        only(node, "this", "expression")
        value, pattern = self.part(node.this), self.part(node.expression)
        if pattern.constant is None or pattern.kind != "text" or value.kind != "text":
            raise unsure(node)
        return Typed(f'({value.sql} COLLATE "C" ~ {sql.string(_regex(pattern.constant))})', "cond")

    # --- values --------------------------------------------------------------------------

    def _column(self, node: exp.Expr) -> Typed:
        assert isinstance(node, exp.Column)
        found = self.find(node.table, node.name)
        if found is not None:
            return found
        if node.this.quoted and not node.table:  # SQLite reads "word" as a string then
            return _constant("text", node.name)
        raise Untranslated(f"{node.sql(dialect='sqlite')} is not a column")

    def _literal(self, node: exp.Expr) -> Typed:
        if node.is_string:
            return _constant("text", node.name)
        whole = re.fullmatch(r"\d+", node.name)
        if whole and int(node.name) >= 2**63:
            raise unsure(node)
        return _constant("int" if whole else "real", node.name)

    def _negative(self, node: exp.Expr) -> Typed:
        inner = self.part(node.this)
        if inner.constant is not None and inner.kind in ("int", "real"):
            zero = float(inner.constant) == 0
            turned = inner.constant[1:] if inner.constant[:1] == "-" else "-" + inner.constant
            return _constant(inner.kind, inner.constant.lstrip("-") if zero else turned)
        inner = self.number(inner)
        if inner.kind not in ("int", "real"):
            raise unsure(node)
        # SQLite subtracts, too: -(0.0) is 0.0
        return Typed(f"(0 - {_wide(inner)})", inner.kind)

    def number(self, part: Typed) -> Typed:
        """A truth value as SQLite's 0 or 1; anything else as it is."""
        if part.kind in ("cond", "bool"):
            return Typed(f"({part.sql})::integer", "int")
        return part

    def text(self, part: Typed) -> str:
        """A part where SQLite makes a text of it."""
        part = self.number(part)
        if part.kind == "text":
            return part.sql
        if part.kind == "int":
            if part.constant is not None:
                return sql.string(str(int(part.constant))) + "::text"
            return f"{part.sql}::text"
        raise Untranslated(f"{part.kind} as text may be spelled in another way")

    def digits(self, part: Typed) -> str:
        """A number as the text that a loose column has."""
        return f"{part.sql}::text" if part.kind == "int" else part.sql

    def _joined(self, node: exp.Expr) -> Typed:
        only(node, "this", "expression")
        left, right = self.text(self.part(node.this)), self.text(self.part(node.expression))
        return Typed(f"({left} || {right})", "text")

    def _arithmetic(self, node: exp.Expr) -> Typed:
        only(node, "this", "expression")
        left, right = self.number(self.part(node.this)), self.number(self.part(node.expression))
        sign = _ARITHMETIC[type(node)]
        if (left.kind, right.kind) == ("int", "int"):
            return Typed(f"({_wide(left)} {sign} {right.sql})", "int")
        if left.kind in _NUMBERS and right.kind in _NUMBERS:
            kind = "real" if "real" in (left.kind, right.kind) else "mixed"
            return Typed(f"({_double(left)} {sign} {_double(right)})", kind)
        raise unsure(node)

    def _bits(self, node: exp.Expr) -> Typed:
        only(node, "this", "expression")
        left, right = self.number(self.part(node.this)), self.number(self.part(node.expression))
        if (left.kind, right.kind) != ("int", "int"):
            raise unsure(node)
        return Typed(f"({_wide(left)} {_BITS[type(node)]} {_wide(right)})", "int")

    def _division(self, node: exp.Expr) -> Typed:
        only(node, "this", "expression")
        left, right = self.number(self.part(node.this)), self.number(self.part(node.expression))
        whole = (left.kind, right.kind) == ("int", "int")
        real = "real" in (left.kind, right.kind) and {left.kind, right.kind} <= {*_NUMBERS}
        if not whole and (not real or isinstance(node, exp.Mod)):
            raise unsure(node)
        by = _wide(right) if whole else _double(right)
        if right.constant is None or float(right.constant) == 0:
            by = f"nullif({by}, 0)"  # SQLite gives NULL
        sign = "%" if isinstance(node, exp.Mod) else "/"
        return Typed(f"({_wide(left) if whole else _double(left)} {sign} {by})",
                     "int" if whole else "real")  # fmt: skip

    def _case(self, node: exp.Expr) -> Typed:
        only(node, "this", "ifs", "default")
        subject = self.part(node.this) if node.this is not None else None
        tests, results = [], []
        for branch in node.args["ifs"]:
            asked = self.part(branch.this)
            tests.append(self.compare(subject, "=", asked).sql if subject else self.truth(asked))
            results.append(self.part(branch.args["true"]))
        default = node.args.get("default")
        results.append(self.part(default) if default is not None else Typed("NULL", "null"))
        alike = self.alike(results)
        pairs = zip(tests, alike, strict=False)
        branches = " ".join(f"WHEN {test} THEN {result.sql}" for test, result in pairs)
        return replace(alike[0], sql=f"CASE {branches} ELSE {alike[-1].sql} END")

    def _if(self, node: exp.Expr) -> Typed:
        only(node, "this", "true", "false")
        test = self.condition(node.this)
        otherwise = node.args.get("false")
        results = [
            self.part(node.args["true"]),
            self.part(otherwise) if otherwise is not None else Typed("NULL", "null"),
        ]
        yes, no = self.alike(results)
        return replace(yes, sql=f"CASE WHEN {test} THEN {yes.sql} ELSE {no.sql} END")

    def _coalesce(self, node: exp.Expr) -> Typed:
        only(node, "this", "expressions")
        parts = self.alike([self.part(n) for n in (node.this, *node.expressions)])
        return replace(parts[0], sql=f"coalesce({', '.join(part.sql for part in parts)})")

    def _nullif(self, node: exp.Expr) -> Typed:
        only(node, "this", "expression")
        value = self.part(node.this)
        same = self.compare(value, "=", self.part(node.expression)).sql
        (value,) = self.alike([value])
        return replace(value, sql=f"CASE WHEN {same} THEN NULL ELSE {value.sql} END")

    def _outermost(self, node: exp.Expr) -> Typed:
        """max() and min() of several values: of a NULL they make NULL, unlike PostgreSQL's."""
        only(node, "this", "expressions")
        found = [self.part(n) for n in (node.this, *node.expressions)]
        if any(part.collation not in ("", "BINARY") for part in found):
            raise unsure(node)
        parts = self.alike(found)
        kind = parts[0].kind
        if kind not in ("int", "real", "text", "bool", "date", "timestamp"):
            raise unsure(node)
        values = [f'{p.sql} COLLATE "C"' if kind == "text" else p.sql for p in parts]
        word = "greatest" if isinstance(node, exp.Greatest) else "least"
        there = f"num_nulls({', '.join(p.sql for p in parts)}) = 0"
        return replace(parts[0], sql=f"CASE WHEN {there} THEN {word}({', '.join(values)}) END")

    def alike(self, parts: list[Typed]) -> list[Typed]:
        """Several results of one expression as one kind, without affinity or collation."""
        kinds = {part.kind for part in parts} - {"null"}
        if kinds & {"cond", "bool"} and kinds != {"bool"}:
            parts = [self.number(part) for part in parts]
            kinds = {part.kind for part in parts} - {"null"}
        if len(kinds) > 1 and kinds <= {*_NUMBERS}:
            parts = [
                p if p.kind == "null" else Typed(_double(p), "mixed", constant=None) for p in parts
            ]
            kinds = {"mixed"}
        codecs = {part.codec for part in parts if part.kind != "null"}
        if len(kinds) != 1 or "other" in kinds:
            raise Untranslated("its results are of several types")
        (kind,) = kinds
        same = next(iter(codecs)) if len(codecs) == 1 else None
        if kind not in ("text", "bool", *_NUMBERS) and same is None:
            raise Untranslated("its results are of several types")
        return [Typed(part.sql, kind, codec=same) for part in parts]

    def _length(self, node: exp.Expr) -> Typed:
        only(node, "this")
        part = self.part(node.this)
        if part.kind == "bytea":
            return Typed(f"octet_length({part.sql})", "int")
        if part.kind not in ("text", "int", "loose"):
            raise unsure(node)
        return Typed(f"length({self.digits(part)})", "int")

    def _fold(self, node: exp.Expr) -> Typed:
        only(node, "this")
        part = self.part(node.this)
        if part.kind != "text":
            raise unsure(node)
        word = "lower" if isinstance(node, exp.Lower) else "upper"
        # SQLite folds A to Z only, and so does the collation "C"
        collation = ' COLLATE "C"' if self.exact_folding else ""
        return Typed(f"{word}({part.sql}{collation})", "text")

    def _abs(self, node: exp.Expr) -> Typed:
        only(node, "this")
        part = self.part(node.this)
        if part.kind not in ("int", "real"):
            raise unsure(node)
        if part.kind == "real":  # abs() of SQLite leaves -0.0 as it is
            return Typed(f"CASE WHEN {part.sql} < 0 THEN -{part.sql} ELSE {part.sql} END", "real")
        return Typed(f"abs({_wide(part)})", "int")

    def _trim(self, node: exp.Expr) -> Typed:
        only(node, "this", "position")
        where = str(node.args.get("position") or "")
        word = {"": "btrim", "LEADING": "ltrim", "TRAILING": "rtrim"}.get(where)
        part = self.part(node.this)
        if part.kind != "text" or word is None:
            raise unsure(node)
        return Typed(f"{word}({part.sql}, ' ')", "text")

    def _substring(self, node: exp.Expr) -> Typed:
        only(node, "this", "start", "length")
        part, start = self.part(node.this), self.part(node.args["start"])
        size = self.part(node.args["length"]) if node.args.get("length") else None
        certain = part.kind == "text" and start.kind == "int" and int(start.constant or 0) > 0
        if not certain or (size and (size.kind != "int" or int(size.constant or -1) < 0)):
            raise unsure(node)
        rest = f", {size.constant}" if size else ""
        return Typed(f"substr({part.sql}, {start.constant}{rest})", "text")

    def _replace(self, node: exp.Expr) -> Typed:
        only(node, "this", "expression", "replacement")
        words = [self.part(node.args[k]) for k in ("this", "expression", "replacement")]
        if any(word.kind != "text" for word in words):
            raise unsure(node)
        return Typed(f"replace({', '.join(word.sql for word in words)})", "text")

    def _position(self, node: exp.Expr) -> Typed:
        only(node, "this", "substr")
        text, wanted = self.part(node.this), self.part(node.args["substr"])
        if (text.kind, wanted.kind) != ("text", "text"):
            raise unsure(node)
        return Typed(f"strpos({text.sql}, {wanted.sql})", "int")

    def _named(self, node: exp.Expr) -> Typed:
        """Functions that the parser has no class for."""
        name, arguments = node.name.lower(), node.expressions
        if name == "json_valid" and len(arguments) == 1:
            part = self.part(arguments[0])
            if part.kind == "text" or (part.codec and part.codec.type in ("json", "jsonb")):
                return Typed(f"({part.sql} IS JSON)", "cond")  # from PostgreSQL 16 on
        if name in _EPOCHS and len(arguments) == 2 and arguments[1].name.lower() == "unixepoch":
            part = self.part(arguments[0])
            if part.kind == "int":
                moment = f"to_timestamp({part.sql}) AT TIME ZONE 'UTC'"
                shown = f"to_char({moment}, '{_EPOCHS[name]}')"
                within = f"{part.sql} BETWEEN {_FIRST_MOMENT} AND {_LAST_MOMENT}"
                return Typed(f"CASE WHEN {within} THEN {shown} END", "text")
        raise unsure(node)

    def _date(self, node: exp.Expr) -> Typed:
        only(node, "this")
        if node.this is None or (isinstance(node.this, exp.Literal) and node.name == "now"):
            return _TODAY
        part = self.part(node.this)
        if _is_moment(part):
            return Typed(f"({part.sql})::date", "date", codec=codec.DATE)
        if part.kind != "date":
            raise unsure(node)
        return Typed(part.sql, "date", codec=part.codec)

    def _formatted(self, node: exp.Expr) -> Typed:
        """strftime() of a column."""
        only(node, "this", "format")
        moment, wanted = node.this, node.args["format"]
        if isinstance(moment, exp.TsOrDsToTimestamp):
            only(moment, "this")
            moment = moment.this
        part = self.part(moment)
        known = isinstance(wanted, exp.Literal) and not _STRFTIME.sub("", wanted.name)
        if not (_is_moment(part) or part.kind == "date") or not known:
            raise unsure(node)
        words = [_TO_CHAR.get(word, f'"{word}"') for word in _STRFTIME.findall(wanted.name)]
        return Typed(f"to_char({part.sql}, {sql.string(''.join(words))})", "text")

    def _hex(self, node: exp.Expr) -> Typed:
        only(node, "this")
        part = self.part(node.this)
        if part.kind != "bytea":
            raise unsure(node)
        return Typed(f"upper(coalesce(encode({part.sql}, 'hex'), ''))", "text")

    def _typeof(self, node: exp.Expr) -> Typed:
        only(node, "this")
        part = self.part(node.this)
        words = {"int": "integer", "bool": "integer", "real": "real", "text": "text",
                 "bytea": "blob", "date": "text", "timestamp": "text", "uuid": "text"}  # fmt: skip
        if part.kind not in words:
            raise unsure(node)
        word = sql.string(words[part.kind])
        return Typed(f"CASE WHEN {part.sql} IS NULL THEN 'null' ELSE {word} END", "text")

    def _cast(self, node: exp.Expr) -> Typed:
        only(node, "this", "to")
        wanted, part = node.args["to"], self.number(self.part(node.this))
        is_text = wanted.this in (exp.DataType.Type.TEXT, exp.DataType.Type.VARCHAR)
        if is_text and not wanted.expressions and part.kind in ("text", "int"):
            return Typed(self.text(part), "text", collation=part.collation)
        whole = (exp.DataType.Type.INT, exp.DataType.Type.BIGINT)
        if wanted.this in whole and part.kind == "int":
            return replace(part, sql=_wide(part), affinity="INTEGER", constant=None)
        if wanted.this in (exp.DataType.Type.FLOAT, exp.DataType.Type.DOUBLE) and (
            part.kind in _NUMBERS
        ):
            return Typed(_double(part), "real", affinity="REAL")
        raise unsure(node)


_TODAY = Typed("(timezone('utc', now()))::date", "date", codec=codec.DATE)
_MIRRORED = {"<": ">", ">": "<", "<=": ">=", ">=": "<="}


def of_table(plan: TablePlan, exact_folding: bool = True) -> Translator:
    """For expressions inside one table's declaration."""

    def find(table: str, name: str) -> Typed | None:
        if table and table.lower() != plan.table.name.lower():
            return None
        declared = plan.table.column(name)
        if declared is None:
            return None
        planned = next((c for c in plan.columns if c.source == declared.name), None)
        if planned is None:
            raise Untranslated(f"{declared.name} is not carried")
        return column(sql.name(planned.target), planned.codec, declared)

    return Translator(find, exact_folding)


_P = ParamSpec("_P")
_T = TypeVar("_T")


def shallow(function: Callable[_P, _T]) -> Callable[_P, _T]:
    """Where an expression is nested deeper than Python can follow, it is not translated."""

    @wraps(function)
    def guarded(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        try:
            return function(*args, **kwargs)
        except RecursionError:
            raise Untranslated("it is nested too deeply") from None

    return guarded


@shallow
def condition(plan: TablePlan, text: str) -> str:
    """A CHECK, or the WHERE of a partial index.

    Raises:
        Untranslated: it uses something whose meaning may differ.
    """
    return bare(of_table(plan).condition(parse(text)))


@shallow
def index_part(plan: TablePlan, index: Index, position: int) -> str:
    """A key column of an index, or an expression in parentheses; without its direction.

    Raises:
        Untranslated: it uses something whose meaning may differ.
    """
    part = index.columns[position]
    # what refuses rows must fold exactly; what finds rows must look like people's queries
    translator = of_table(plan, exact_folding=index.unique)
    if part.name is None:
        value = translator.part(parse(part.expression))
        if value.kind == "cond":
            value = translator.number(value)
    else:
        declared, planned = plan.table.column(part.name), plan.column(part.name)
        value = column(sql.name(planned.target), planned.codec, declared)
        if part.collation == "BINARY" or value.kind not in ("text", "loose"):
            return sql.name(planned.target)
    # digits stay as they are
    if value.kind in ("text", "loose") and part.collation != "BINARY":
        if part.collation not in KNOWN and not index.unique:
            return f"({bare(value.sql)})" if part.name is None else value.sql
        return f"({bare(translator.collated(value, part.collation, False))})"
    return f"({bare(value.sql)})"


@shallow
def generated(plan: TablePlan, source: str) -> str:
    """The expression of a generated column, for a column of the type that was planned.

    Raises:
        Untranslated: it uses something whose meaning may differ.
    """
    planned, declared = plan.column(source), plan.table.column(source)
    if declared is None or not declared.expression:
        raise Untranslated("its expression can't be found")
    node = parse(declared.expression)
    if any(_is_worked_out(part) for part in node.walk()):
        # PostgreSQL does so while it makes the table, and stumbles over collations
        raise Untranslated("a part of it has no column")
    value = of_table(plan).part(node)
    wanted = kind_of(planned.codec)
    if " IS JSON)" in value.sql:
        raise Untranslated("PostgreSQL has no json_valid() before 16")
    if wanted == "bool" and value.kind == "cond":
        return bare(value.sql)
    if value.kind == "cond":
        value = Typed(f"({value.sql})::integer", "int")
    if value.kind != wanted or wanted in ("other", "mixed"):
        raise Untranslated(f"it gives {value.kind} where {planned.codec.type} is held")
    if wanted not in ("int", "real", "text") and value.codec != planned.codec:
        raise Untranslated(f"it gives {value.kind} where {planned.codec.type} is held")
    return bare(value.sql)


@lru_cache(maxsize=1024)
def _parsed(text: str) -> exp.Expr:
    try:
        # alone, replace() would be a statement
        select = sqlglot.parse_one(f"SELECT {text}", read="sqlite")
    except (SqlglotError, RecursionError):
        raise Untranslated("it can't be parsed") from None
    if not isinstance(select, exp.Select) or len(select.expressions) != 1:
        raise Untranslated("it can't be parsed")
    node: exp.Expr = select.expressions[0]
    return node


def columns_in(text: str) -> set[str]:
    """Names of the columns that an expression reads, in lower case."""
    return {node.name.lower() for node in parse(text).find_all(exp.Column)}


def parse(text: str) -> exp.Expr:
    """One expression as SQLite writes it.

    Raises:
        Untranslated: it can't be parsed.
    """
    if sqlglot is None:
        raise Untranslated("the run itself will tell; sqlglot is not installed here")
    return _parsed(text)


def only(node: exp.Expr, *known: str) -> None:
    """Refuse a node that says more than its handler reads."""
    said = {key for key, value in node.args.items() if value not in (None, False, [])}
    if said - set(known) - _IRRELEVANT:
        raise unsure(node)


def _binds_otherwise(node: exp.Expr) -> bool:
    inner = list(node.iter_expressions())
    if isinstance(node, exp.Escape):
        inner = list(node.this.iter_expressions())
    if isinstance(node, _PREDICATES):
        return any(isinstance(child, (*_PREDICATES, exp.Not)) for child in inner)
    if isinstance(node, exp.Binary) and isinstance(node, tuple(_BITS)):
        others = (exp.BitwiseAnd, exp.BitwiseOr, exp.BitwiseLeftShift, exp.BitwiseRightShift)
        return any(isinstance(c, others) and type(c) is not type(node) for c in inner)
    return False


def _is_worked_out(node: exp.Expr) -> bool:
    """Whether a part could be replaced by its value."""
    computes = isinstance(node, (exp.Func, exp.Binary, exp.Unary, exp.Predicate))
    plain = isinstance(node, (exp.Neg, exp.Paren, exp.Collate)) or node.find(exp.Column)
    return computes and not plain


def unsure(node: exp.Expr) -> Untranslated:
    """The usual reason."""
    return Untranslated(f"{node.sql(dialect='sqlite')} may mean something else in PostgreSQL")


def bare(text: str) -> str:
    """Without the parentheses around all of it; a query needs its own."""
    while re.match(r"\((?!SELECT |WITH )", text) and text.endswith(")") and _balanced(text[1:-1]):
        text = text[1:-1]
    return text


def _balanced(text: str) -> bool:
    depth = 0
    quote = ""
    for letter in text:
        if quote:
            quote = "" if letter == quote else quote
        elif letter in "'\"":
            quote = letter
        else:
            depth += (letter == "(") - (letter == ")")
            if depth < 0:
                return False
    return depth == 0


def _is_moment(part: Typed) -> bool:
    """Whether it is a time without a zone, however it is spelt."""
    return part.codec is not None and part.codec.type == "timestamp"


def _constant(kind: str, text: str) -> Typed:
    shown = f"{sql.string(text)}::text" if kind == "text" else text
    if kind == "text" and "\x00" in text:
        raise Untranslated("a NUL in a text")
    return Typed(shown, kind, constant=text)


def _wide(part: Typed) -> str:
    """An integer of 64 bits, as SQLite's are."""
    if part.kind != "int":
        return part.sql
    return f"{part.sql}::bigint" if part.constant is None else f"'{part.constant}'::bigint"


def _double(part: Typed) -> str:
    shown = part.sql if part.constant is None else f"'{part.constant}'"
    return f"{shown}::double precision"


def _lower(text: str) -> str:
    """As SQLite folds: A to Z only."""
    return "".join(c.lower() if c.isascii() else c for c in text)


def _is_day(text: str) -> bool:
    from datetime import date

    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return bool(_DATE.fullmatch(text))


def _regex(glob: str) -> str:
    """A GLOB pattern as a regular expression."""
    found, rest = "^", glob
    while rest:
        letter, rest = rest[0], rest[1:]
        if letter == "*":
            found += ".*"
        elif letter == "?":
            found += "."
        elif letter == "[":
            group = re.match(r"\^?(?:[0-9A-Za-z](?:-[0-9A-Za-z])?|[ _.,:/])+\]", rest)
            if group is None:
                raise Untranslated(f"the pattern {glob!r}")
            found, rest = found + "[" + group.group(), rest[group.end() :]
        else:
            found += letter if letter.isalnum() or letter in " _-:/,@" else "\\" + letter
            if not (letter.isalnum() or letter in " _-:/,@.+()|^${}\\"):
                raise Untranslated(f"the pattern {glob!r}")
    return found + "$"
