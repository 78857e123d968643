"""Functions of SQLite's in PostgreSQL, and CAST."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from migrate_db import sql
from migrate_db.codecs import times
from migrate_db.translation import to_char
from migrate_db.translation.parsing import exp, only, unsure
from migrate_db.translation.translator import Translator
from migrate_db.translation.typed import NUMBERS, Typed, double, is_moment, wide

#: What these say of a number of seconds, between the years 1 and 9999.
_EPOCHS = {"date": to_char.DAY, "time": to_char.CLOCK, "datetime": to_char.MOMENT}
_FIRST_MOMENT, _LAST_MOMENT = -62135596800, 253402300799
_TODAY = Typed("(timezone('utc', now()))::date", "date", codec=times.DATE)


class Calls(Translator):
    """Operators and functions."""

    def handlers(self) -> dict[type, Callable[[exp.Expr], Typed]]:
        """What is on the list besides."""
        return {
            **super().handlers(),
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
            exp.LowerHex: self._hex,
            exp.Anonymous: self._named,
            exp.Cast: self._cast,
        }

    def _length(self, node: exp.Expr) -> Typed:
        only(node, "this")
        part = self.part(node.this)
        if part.kind == "bytea":
            return Typed(f"octet_length({part.sql})", "int")
        if part.kind not in ("text", "int"):  # floats are spelt in another way
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
            return Typed(f"CASE WHEN {part.sql} < 0 THEN -({part.sql}) ELSE {part.sql} END", "real")
        return Typed(f"abs({wide(part)})", "int")

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
        values = [self.by_bytes(p.sql) if kind == "text" else p.sql for p in parts]
        word = "greatest" if isinstance(node, exp.Greatest) else "least"
        there = f"num_nulls({', '.join(p.sql for p in parts)}) = 0"
        return replace(parts[0], sql=f"CASE WHEN {there} THEN {word}({', '.join(values)}) END")

    def _named(self, node: exp.Expr) -> Typed:
        """Functions that the parser has no class for."""
        name, arguments = node.name.lower(), node.expressions
        if name == "json_valid" and len(arguments) == 1:
            part = self.part(arguments[0])
            if part.codec and part.codec.type in ("json", "jsonb"):  # it holds nothing else
                return Typed(f"(CASE WHEN {part.sql} IS NOT NULL THEN true END)", "cond")
            if part.kind == "text":
                return Typed(f"({part.sql} IS JSON)", "cond")  # from PostgreSQL 16 on
        counted = len(arguments) == 2 and arguments[1] == exp.Literal.string("unixepoch")
        if name in _EPOCHS and counted:
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
        if is_moment(part):
            return Typed(f"({part.sql})::date", "date", codec=times.DATE)
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
        known = isinstance(wanted, exp.Literal) and "%f" not in wanted.name  # which SQLite rounds
        if not (is_moment(part) or part.kind == "date") or not known:
            raise unsure(node)
        # of a date it would depend on the session's time zone
        return Typed(
            f"to_char({part.sql}::timestamp, {sql.string(to_char.form(wanted.name))})", "text"
        )

    def _hex(self, node: exp.Expr) -> Typed:
        only(node, "this")
        part = self.part(node.this)
        if part.kind != "bytea":
            raise unsure(node)
        digits = f"coalesce(encode({part.sql}, 'hex'), '')"
        return Typed(f"upper({digits})" if type(node) is exp.Hex else digits, "text")

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
            return replace(part, sql=wide(part), affinity="INTEGER", constant=None)
        if wanted.this in (exp.DataType.Type.FLOAT, exp.DataType.Type.DOUBLE) and (
            part.kind in NUMBERS
        ):
            return Typed(double(part), "real", affinity="REAL")
        raise unsure(node)
