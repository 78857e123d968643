"""Operators of SQLite in PostgreSQL, where they mean the same with certainty.

Only nodes on a short list pass, because a translation that is
merely likely is worse than none. What doesn't pass is reported, not guessed.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import date

from migrate_db import sql
from migrate_db.errors import Untranslated
from migrate_db.sqlite.collations import KNOWN
from migrate_db.translation.parsing import (
    ARITHMETIC,
    BITS,
    SIGNS,
    binds_otherwise,
    exp,
    only,
    unsure,
)
from migrate_db.translation.typed import (
    EXACT,
    NUMBERS,
    NUMERIC,
    Typed,
    double,
    fits_double,
    is_double,
    literal,
    wide,
)

_DATE = re.compile(r"\d{4}-(?:0\d|1[0-2])-(?:[01]\d|2\d|3[01])")
_MOMENT = re.compile(_DATE.pattern + r"(?: [0-2]\d:[0-5]\d:[0-5]\d)?")
#: Not so long that SQLite would round it.
_NUMBER = re.compile(r"[+-]?(?:\d{1,15}|(?=[\d.]{3,16}$)\d+\.\d+)")
_MIRRORED = {"<": ">", ">": "<", "<=": ">=", ">=": "<="}


class Translator:
    """Translates one expression after another in one scope.

    Args:
        find: the column of this table (or "") and name, None if there is none.
        exact_folding: how ``lower()`` and NOCASE fold: exactly as SQLite does, ASCII only,
            or as people write it in PostgreSQL, with the database's own collation.
        utf8: see ``schema.Table``.
    """

    def __init__(
        self,
        find: Callable[[str, str], Typed | None],
        exact_folding: bool = True,
        utf8: bool = True,
    ):
        self.find = find
        self.exact_folding = exact_folding
        self.utf8 = utf8

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
        if binds_otherwise(node):
            raise unsure(node)
        handle = self.handlers().get(type(node))  # not of a subclass: lower(hex()) is a hex()
        if handle is None:
            raise unsure(node)
        found = handle(node)
        # said somewhere inside, COLLATE rules the whole text
        if found.kind == "text" and not found.explicit and node.find(exp.Collate):
            raise unsure(node)
        return found

    def handlers(self) -> dict[type, Callable[[exp.Expr], Typed]]:
        """What is on the list."""
        return {
            exp.Column: self._column,
            exp.Literal: self._literal,
            exp.Boolean: lambda n: literal("int", str(int(n.this))),
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
            **dict.fromkeys(SIGNS, self._comparison),
            **dict.fromkeys(ARITHMETIC, self._arithmetic),
            **dict.fromkeys(BITS, self._bits),
        }

    def truth(self, part: Typed) -> str:
        """A part where SQLite asks whether it is true."""
        if part.kind in ("cond", "bool"):
            return part.sql
        if part.kind in NUMBERS:
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
        truths = isinstance(node.this, exp.Boolean) or isinstance(node.expression, exp.Boolean)
        if truths and isinstance(node, (exp.NullSafeEQ, exp.NullSafeNEQ)):
            raise unsure(node)  # a test of truth
        left, right = self.part(node.this), self.part(node.expression)
        return self.compare(left, SIGNS[type(node)], right)

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
            if left.explicit and right.explicit and left.collation != right.collation:
                return None  # the one on the left counts
            swapped = self._sides(right, _MIRRORED.get(sign, sign), left)
            return None if swapped is None else (swapped[1], swapped[0])
        if (
            left.kind == "bool"
            and right.constant in ("0", "1")
            and (right.kind == "int" or left.affinity in NUMERIC)
        ):  # a text is a number beside a column only
            return left.sql, "true" if right.constant == "1" else "false"
        if (left.kind, right.kind) == ("bool", "bool"):
            return left.sql, right.sql
        left, right = self.number(left), self.number(right)
        if left.kind in NUMBERS and right.kind in NUMBERS:
            parts = (left, right)
            rounds = any(map(is_double, parts)) and not all(
                is_double(part) or fits_double(part) for part in parts
            )
            return None if rounds else (left.sql, right.sql)
        if left.kind == "text" and right.kind == "text":
            return self._texts(left, sign, right)
        if right.constant is not None:
            return self._with_constant(left, sign, right, right.constant)
        if "loose" in (left.kind, right.kind) and sign in ("=", "<>"):
            # each side is kept as a number where it can be one, so digits tell
            numeric = all(p.kind == "int" or p.affinity in EXACT for p in (left, right))
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
        if left.kind in NUMBERS and right.kind == "text":
            numeric = left.affinity in NUMERIC
            return (left.sql, constant) if numeric and _NUMBER.fullmatch(constant) else None
        if left.kind == "loose" and left.affinity in EXACT and sign in ("=", "<>"):
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
            return self._texts(left, sign, literal("text", str(int(constant))))
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
        first_text = self._by(collation, texts[0]) if ordering else texts[0]
        return first_text, texts[1]

    def by_bytes(self, text: str) -> str:
        """A text in SQLite's order: bytes decide there, the database's language in PostgreSQL."""
        if not self.utf8:
            raise Untranslated("it sorts texts by their bytes, which are UTF-16 in this file")
        return f'{text} COLLATE "C"'

    def _by(self, collation: str, text: str) -> str:
        # the others turn texts into UTF-8 first
        return self.by_bytes(text) if collation == "BINARY" else f'{text} COLLATE "C"'

    def collated(self, part: Typed, collation: str, ordering: bool) -> str:
        """A text that compares in PostgreSQL as it does under this collation in SQLite."""
        text = part.sql if part.constant is None else sql.string(part.constant)
        if collation == "NOCASE" and part.constant is not None:
            text = sql.string(sql.folded(part.constant))
        elif collation == "NOCASE":
            text = f'lower({text} COLLATE "C")' if self.exact_folding else f"lower({text})"
        elif collation == "RTRIM":
            text = f"rtrim({text}, ' ')"
        elif collation != "BINARY":
            raise Untranslated(f"the collation {collation} is the app's own")
        return self._by(collation, text) if ordering else text

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
        if escape and re.sub(re.escape(escape) + ".", "", pattern.constant).endswith(escape):
            raise unsure(node)  # PostgreSQL refuses it
        if "\\" in pattern.constant and not escape:
            escape_clause = " ESCAPE ''"
        else:
            escape_clause = f" ESCAPE {sql.string(escape)}" if escape else ""
        word = "NOT LIKE" if node.args.get("negate") else "LIKE"
        # it folds A to Z, whatever the column's collation
        folded = f'lower({self.text(value)} COLLATE "C")'
        return Typed(
            f"({folded} {word} {sql.string(sql.folded(pattern.constant))}{escape_clause})", "cond"
        )

    def _glob(self, node: exp.Expr) -> Typed:
        only(node, "this", "expression")
        value, pattern = self.part(node.this), self.part(node.expression)
        if pattern.constant is None or pattern.kind != "text" or value.kind != "text":
            raise unsure(node)
        return Typed(f'({value.sql} COLLATE "C" ~ {sql.string(_regex(pattern.constant))})', "cond")

    def _column(self, node: exp.Expr) -> Typed:
        assert isinstance(node, exp.Column)
        found = self.find(node.table, node.name)
        if found is not None:
            return found
        number = sql.folded(node.name) in sql.ROWID
        if (
            node.this.quoted and not node.table and not number
        ):  # SQLite reads "word" as a string then
            return literal("text", node.name)
        raise Untranslated(f"{node.sql(dialect='sqlite')} is not a column")

    def _literal(self, node: exp.Expr) -> Typed:
        if node.is_string:
            return literal("text", node.name)
        whole = re.fullmatch(r"\d+", node.name)
        if whole and int(node.name) >= 2**63:
            raise unsure(node)
        if not whole and len(re.sub(r"[eE].*|\D", "", node.name).strip("0")) > 15:
            raise Untranslated("a float of so many digits")
        if math.isinf(float(node.name)):
            raise Untranslated("an infinite number")
        return literal("int" if whole else "real", node.name)

    def _negative(self, node: exp.Expr) -> Typed:
        inner = self.part(node.this)
        if inner.constant is not None and inner.kind in ("int", "real"):
            zero = float(inner.constant) == 0
            turned = inner.constant[1:] if inner.constant[:1] == "-" else "-" + inner.constant
            return literal(inner.kind, inner.constant.lstrip("-") if zero else turned)
        inner = self.number(inner)
        if inner.kind not in ("int", "real"):
            raise unsure(node)
        # SQLite subtracts, too: -(0.0) is 0.0
        return Typed(f"(0 - {wide(inner)})", inner.kind)

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
        sign = ARITHMETIC[type(node)]
        if (left.kind, right.kind) == ("int", "int"):
            return Typed(f"({wide(left)} {sign} {right.sql})", "int")
        if left.kind in NUMBERS and right.kind in NUMBERS:
            if "real" not in (left.kind, right.kind) and not (
                fits_double(left) and fits_double(right)
            ):
                raise Untranslated(
                    "it computes with numbers that may have more digits than a float, 15"
                    " (`type: numeric(15,2)` in a mapping says that none has)"
                )
            kind = "real" if "real" in (left.kind, right.kind) else "mixed"
            return Typed(f"({double(left)} {sign} {double(right)})", kind)
        raise unsure(node)

    def _bits(self, node: exp.Expr) -> Typed:
        only(node, "this", "expression")
        left, right = self.number(self.part(node.this)), self.number(self.part(node.expression))
        if (left.kind, right.kind) != ("int", "int"):
            raise unsure(node)
        return Typed(f"({wide(left)} {BITS[type(node)]} {wide(right)})", "int")

    def _division(self, node: exp.Expr) -> Typed:
        only(node, "this", "expression")
        left, right = self.number(self.part(node.this)), self.number(self.part(node.expression))
        whole = (left.kind, right.kind) == ("int", "int")
        real = "real" in (left.kind, right.kind) and {left.kind, right.kind} <= {*NUMBERS}
        if not whole and (not real or isinstance(node, exp.Mod)):
            raise unsure(node)
        by = wide(right) if whole else double(right)
        if right.constant is None or float(right.constant) == 0:
            by = f"nullif({by}, 0)"  # SQLite gives NULL
        sign = "%" if isinstance(node, exp.Mod) else "/"
        return Typed(f"({wide(left) if whole else double(left)} {sign} {by})",
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
        # what a function is given has no affinity
        sides = [replace(part, affinity="") for part in (value, self.part(node.expression))]
        same = self.compare(sides[0], "=", sides[1]).sql
        (value,) = self.alike([value])
        return replace(value, sql=f"CASE WHEN {same} THEN NULL ELSE {value.sql} END")

    def alike(self, parts: list[Typed]) -> list[Typed]:
        """Several results of one expression as one kind, without affinity or collation."""
        kinds = {part.kind for part in parts} - {"null"}
        if kinds & {"cond", "bool"} and kinds != {"bool"}:
            parts = [self.number(part) for part in parts]
            kinds = {part.kind for part in parts} - {"null"}
        if len(kinds) > 1 and kinds <= {*NUMBERS}:
            if not all(map(fits_double, parts)):
                raise Untranslated("its results are large integers and floats")
            parts = [
                p if p.kind == "null" else Typed(double(p), "mixed", constant=None) for p in parts
            ]
            kinds = {"mixed"}
        codecs = {part.codec for part in parts if part.kind != "null"}
        if len(kinds) != 1 or "other" in kinds:
            raise Untranslated("its results are of several types")
        (kind,) = kinds
        same = next(iter(codecs)) if len(codecs) == 1 else None
        if kind not in ("text", "bool", *NUMBERS) and same is None:
            raise Untranslated("its results are of several types")
        return [Typed(part.sql, kind, codec=same) for part in parts]


def _is_day(text: str) -> bool:
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
            reversed_ = group and any(a > b for a, b in re.findall(r"(\w)-(\w)", group.group()))
            if group is None or reversed_:
                raise Untranslated(f"the pattern {glob!r}")
            found, rest = found + "[" + group.group(), rest[group.end() :]
        else:
            found += letter if letter.isalnum() or letter in " _-:/,@" else "\\" + letter
            if not (letter.isalnum() or letter in " _-:/,@.+()|^${}\\"):
                raise Untranslated(f"the pattern {glob!r}")
    return found + "$"
