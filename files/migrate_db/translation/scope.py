"""The expressions of one SELECT: its columns, subqueries and aggregates."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from migrate_db import sql
from migrate_db.errors import Untranslated
from migrate_db.translation.calls import Calls
from migrate_db.translation.parsing import exp, only, unsure
from migrate_db.translation.relations import Named, Output, Relation, found_in
from migrate_db.translation.typed import EXACT, Typed, fits_double

#: Rows in another order are the same rows; these kinds can't be told apart safely.
_UNSAFE_KEYS = ("other",)


def demand_plain(*parts: Typed) -> None:
    """What tells rows apart must do so by their bytes."""
    for part in parts:
        folded = part.collation not in ("", "BINARY")
        # without such an affinity there may be both 1 and '1', or -0.0 and 0.0
        alike = part.kind == "loose" and part.affinity not in EXACT
        if part.kind in _UNSAFE_KEYS or alike or (part.kind in ("text", "loose") and folded):
            raise Untranslated("it tells rows apart by values that PostgreSQL compares otherwise")


if TYPE_CHECKING:  # without its parser a preview goes on
    Query = Callable[[exp.Expr, Named, "Scope | None"], tuple[str, list[Output]]]


class Scope(Calls):
    """The expressions of one SELECT."""

    def __init__(
        self,
        sources: list[Relation],
        outer: Scope | None,
        named: Named,
        query: Query,
    ) -> None:
        super().__init__(self._find, utf8=named.utf8)
        self.sources = sources
        self.outer = outer
        self.merged: dict[str, Typed] = {}  #: columns of USING
        self.named = named
        self.query = query  #: what translates a subquery
        self.aliases: dict[str, Typed] = {}
        self.allow_aggregates = False

    def _find(self, table: str, name: str) -> Typed | None:
        lowered = sql.folded(name)
        if not table and lowered in self.merged:
            return self.merged[lowered]
        found = self.own(table, name)
        if len(found) > 1:
            raise Untranslated(f"{name} is in several tables")
        if found:
            return found[0]
        if not table and lowered in self.aliases:
            return self.aliases[lowered]
        return self.outer._find(table, name) if self.outer is not None else None

    def called(self, table: str) -> list[Relation]:
        """What has this name, or all there is without one."""
        wanted = sql.folded(table)
        return [s for s in self.sources if not table or sql.folded(s.alias) == wanted]

    def own(self, table: str, name: str) -> list[Typed]:
        """The columns of that name, but for those of the queries around."""
        found = (found_in(source, sql.folded(name)) for source in self.called(table))
        return [part for part in found if part is not None]

    def handlers(self) -> dict[type, Callable[[exp.Expr], Typed]]:
        """What a view may have besides what any expression may."""
        return {
            **super().handlers(),
            exp.In: self._in_query,
            exp.Exists: self._exists,
            exp.Subquery: self._scalar,
            exp.Count: self._count,
            exp.Sum: self._sum,
            exp.Avg: self._avg,
            exp.Min: self._extreme,
            exp.Max: self._extreme,
            exp.Filter: self._filtered,
        }

    def _in_query(self, node: exp.Expr) -> Typed:
        query = node.args.get("query")
        if query is None:
            return self._in(node)
        only(node, "this", "query")
        value = self.part(node.this)
        text, outputs = self.query(query, self.named, self)
        if len(outputs) != 1:
            raise unsure(node)
        inner = outputs[0].part
        demand_plain(value, inner)
        if value.kind != inner.kind or (
            value.kind not in ("int", "text") and value.codec != inner.codec
        ):
            raise Untranslated(f"it looks for {value.kind} among {inner.kind}")
        return Typed(f"({value.sql} IN ({text}))", "cond")

    def _exists(self, node: exp.Expr) -> Typed:
        only(node, "this")
        text, _ = self.query(node.this, self.named, self)
        return Typed(f"EXISTS ({text})", "cond")

    def _scalar(self, node: exp.Expr) -> Typed:
        only(node, "this")
        inner = node.this
        one_row = isinstance(inner, exp.Select) and (
            has_aggregate(inner) and inner.args.get("group") is None
        )
        first = inner.args.get("limit")
        one_row = one_row or _is_looked_up(inner, self.named)
        if not one_row and not (first is not None and first.expression.name == "1"):
            raise Untranslated("a subquery that may give several rows")
        text, outputs = self.query(inner, self.named, self)
        if len(outputs) != 1:
            raise unsure(node)
        return replace(outputs[0].part, sql=f"({text})", constant=None, collation="", affinity="")

    # --- aggregates ----------------------------------------------------------------------

    def _argument(self, node: exp.Expr) -> tuple[Typed, str]:
        """What is aggregated, and DISTINCT if it is said."""
        if not self.allow_aggregates:
            raise unsure(node)
        only(node, "this")
        inner, word = node.this, ""
        if isinstance(inner, exp.Distinct):
            only(inner, "expressions")
            if len(inner.expressions) != 1:
                raise unsure(node)
            inner, word = inner.expressions[0], "DISTINCT "
        outside = any(not self.own(c.table, c.name) for c in inner.find_all(exp.Column))
        if self.outer is not None and outside:
            raise unsure(node)  # it may be an aggregate of the query around
        self.allow_aggregates = False
        part = self.number(self.part(inner))
        self.allow_aggregates = True
        if word:
            demand_plain(part)
        return part, word

    def _count(self, node: exp.Expr) -> Typed:
        if isinstance(node.this, exp.Star) or node.this is None:
            if not self.allow_aggregates:
                raise unsure(node)
            only(node, "this")
            return Typed("count(*)", "int")
        part, word = self._argument(node)
        return Typed(f"count({word}{part.sql})", "int")

    def _sum(self, node: exp.Expr) -> Typed:
        part, word = self._argument(node)
        if part.kind == "int":
            return Typed(f"sum({word}{part.sql})::bigint", "int")
        if part.kind in ("real", "mixed") and fits_double(part):
            return Typed(f"sum({word}{part.sql}::double precision)", "mixed")
        raise unsure(node)

    def _avg(self, node: exp.Expr) -> Typed:
        part, word = self._argument(node)
        if part.kind not in ("int", "real", "mixed"):
            raise unsure(node)
        return Typed(f"avg({word}{part.sql}::double precision)", "real")

    def _named(self, node: exp.Expr) -> Typed:
        if node.name.lower() != "total" or len(node.expressions) != 1:
            return super()._named(node)
        part, word = self._argument(exp.Sum(this=node.expressions[0]))
        if part.kind not in ("int", "real", "mixed"):
            raise unsure(node)
        return Typed(f"coalesce(sum({word}{part.sql}::double precision), 0)", "real")

    def _filtered(self, node: exp.Expr) -> Typed:
        """An aggregate of the rows where something is true: of the others it sees a NULL."""
        only(node, "this", "expression")
        only(node.expression, "this")
        aggregate = node.this.copy()
        if not isinstance(aggregate, (exp.Count, exp.Sum, exp.Avg, exp.Min, exp.Max)):
            raise unsure(node)
        value = exp.Literal.number(1) if isinstance(aggregate.this, exp.Star) else aggregate.this
        if isinstance(value, exp.Distinct) or value.find(exp.AggFunc):
            raise unsure(node)
        if self.part(value).collation not in ("", "BINARY"):
            raise unsure(node)  # which a CASE would forget
        aggregate.set("this", exp.If(this=node.expression.this.copy(), true=value.copy()))
        return self.part(aggregate)

    def _extreme(self, node: exp.Expr) -> Typed:
        word = "min" if isinstance(node, exp.Min) else "max"
        part, _ = self._argument(node)
        demand_plain(part)
        if part.kind == "text":
            return Typed(f"{word}({self.by_bytes(part.sql)})", "text")
        if part.kind in ("int", "real", "mixed", "date", "timestamp"):
            return Typed(f"{word}({part.sql})", part.kind, codec=part.codec)
        raise unsure(node)


def has_aggregate(node: exp.Expr) -> bool:
    """Whether a SELECT shows an aggregate of its own, not of one within it."""
    return any(
        part.find_ancestor(exp.Select) is node
        for item in node.expressions
        for part in item.find_all(exp.AggFunc, exp.Anonymous)
        if not isinstance(part, exp.Anonymous) or part.name.lower() == "total"
    )


def _is_looked_up(node: exp.Expr, named: Named) -> bool:
    """Whether a SELECT finds a row of one table by its whole key, so one at most."""
    clause, where = node.args.get("from_"), node.args.get("where")
    if clause is None or where is None or node.args.get("joins"):
        return False
    if not isinstance(clause.this, exp.Table):
        return False
    source, alias = named.find(clause.this.name), sql.folded(clause.this.alias_or_name)
    kinds = {sql.folded(output.name): output.part.kind for output in source.outputs}

    def is_ours(part: exp.Column) -> bool:
        name = sql.folded(part.name)
        return sql.folded(part.table) == alias or (not part.table and name in {*kinds, *sql.ROWID})

    asked: set[str] = set()
    for test in where.this.flatten() if isinstance(where.this, exp.And) else [where.this]:
        if not isinstance(test, exp.EQ) or test.find(exp.Collate, exp.Query):
            continue
        for own, other in ((test.this, test.expression), (test.expression, test.this)):
            name = sql.folded(own.name) if isinstance(own, exp.Column) and is_ours(own) else ""
            # the collation of what stands on the left rules how texts compare
            certain = own is test.this or kinds.get(name) == "int"
            if name and certain and not any(is_ours(part) for part in other.find_all(exp.Column)):
                asked.add(name)
    return any(key <= asked for key in source.keys)
