"""GROUP BY, ORDER BY and LIMIT."""

from __future__ import annotations

from dataclasses import replace

from migrate_db import sql
from migrate_db.errors import Untranslated
from migrate_db.sqlite.collations import KNOWN
from migrate_db.translation.parsing import bare, exp, only, unsure
from migrate_db.translation.relations import Output
from migrate_db.translation.scope import Scope, demand_plain
from migrate_db.translation.typed import Typed, is_moment


def group_by(node: exp.Expr, scope: Scope, outputs: list[Output]) -> str:
    """The clause, or nothing where there is none."""
    group = node.args.get("group")
    if group is None:
        return ""
    only(group, "expressions")
    parts = [_clause_part(item, scope, outputs, first_alias=False) for item in group.expressions]
    demand_plain(*parts)
    return f" GROUP BY {', '.join(bare(part.sql) for part in parts)}"


def _clause_part(item: exp.Expr, scope: Scope, outputs: list[Output], first_alias: bool) -> Typed:
    """A member of GROUP BY or ORDER BY: a position, a new name, or an expression."""
    if isinstance(item, exp.Literal) and not item.is_string:
        position = int(item.name) if item.name.isdigit() else 0
        if not 1 <= position <= len(outputs):
            raise unsure(item)
        return outputs[position - 1].part
    inner, said = item, ""
    while isinstance(inner, (exp.Paren, exp.Collate)):  # SQLite looks for the new name within them
        if isinstance(inner, exp.Collate) and not said:
            said = inner.expression.name.upper()
        inner = inner.this
    if first_alias and isinstance(inner, exp.Column) and not inner.table:
        alias = scope.aliases.get(sql.folded(inner.name))
        if alias is not None and said not in ("", *KNOWN):
            raise unsure(item)
        if alias is not None:
            return replace(alias, collation=said, explicit=True) if said else alias
    part = scope.part(item)
    if part.constant is not None:  # PostgreSQL would take it for a position
        raise unsure(item)
    return part


def order_by(node: exp.Expr, scope: Scope, outputs: list[Output]) -> str:
    """The clause, with the place of NULLs and the collation that SQLite means."""
    parts = []
    order = node.args["order"]
    only(order, "expressions")
    for ordered in order.expressions:
        only(ordered, "this", "desc", "nulls_first")
        part = _clause_part(ordered.this, scope, outputs, first_alias=True)
        limited = node.args.get("limit") is not None
        # times in several spellings are put in their own order; which of them come first is another matter
        if part.kind == "loose" or (part.kind == "other" and (limited or not is_moment(part))):
            raise Untranslated("it sorts values that have another order there")
        collated = isinstance(ordered.this, exp.Collate)
        text = part.sql
        if part.kind == "text" or collated:
            text = scope.collated(part, part.collation or "BINARY", True)
        direction = " DESC" if ordered.args.get("desc") else ""
        nulls = "FIRST" if ordered.args.get("nulls_first") else "LAST"
        parts.append(f"{text}{direction} NULLS {nulls}")
    return f" ORDER BY {', '.join(parts)}"


def limit(node: exp.Expr) -> str:
    """LIMIT and OFFSET, where an order says which rows they take."""
    text = ""
    for key, word in (("limit", "LIMIT"), ("offset", "OFFSET")):
        clause = node.args.get(key)
        if clause is None:
            continue
        only(clause, "expression")
        if node.args.get("order") is None:
            raise Untranslated("LIMIT without ORDER BY: any rows")
        if not (isinstance(clause.expression, exp.Literal) and clause.expression.name.isdigit()):
            raise unsure(clause)
        text += f" {word} {clause.expression.name}"
    return text
