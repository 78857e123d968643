"""A SELECT in PostgreSQL's words, with the type of each of its columns."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace

from migrate_db import sql
from migrate_db.errors import Untranslated
from migrate_db.postgresql.names import columns as names_of_columns
from migrate_db.translation.clauses import group_by, limit, order_by
from migrate_db.translation.compound import alike, cast
from migrate_db.translation.parsing import bare, exp, only, unsure
from migrate_db.translation.relations import Named, Output, Relation, found_in, renamed
from migrate_db.translation.scope import Scope, demand_plain, has_aggregate
from migrate_db.translation.typed import Typed

#: The name of a column behind its table's.
_LAST_NAME = re.compile(r'"(?:[^"]|"")*"')


def query(node: exp.Expr, named: Named, outer: Scope | None) -> tuple[str, list[Output]]:
    """Translate a SELECT, or several with UNION and the like between them.

    Args:
        named: what a name in a FROM stands for.
        outer: the query around it, if it may use its columns.

    Returns:
        The SELECT, and its columns.

    Raises:
        Untranslated: if a part of it may mean something else there.
    """
    if isinstance(node, exp.Subquery):
        only(node, "this")
        return query(node.this, named, outer)
    named, prefix = _with(node, named, outer)
    if isinstance(node, exp.SetOperation):
        return _set_operation(node, named, outer, prefix)
    if not isinstance(node, exp.Select):
        raise unsure(node)
    return _select(node, named, outer, prefix)


def _with(node: exp.Expr, named: Named, outer: Scope | None) -> tuple[Named, str]:
    clause = node.args.get("with_")
    if clause is None:
        return named, ""
    only(clause, "expressions")
    ours: dict[str, Relation] = {}

    def find(name: str) -> Relation:
        source = ours.get(sql.folded(name))
        return replace(source) if source else named.find(name)

    parts = []
    later = [sql.folded(cte.alias) for cte in clause.expressions]
    for cte in clause.expressions:
        only(cte, "this", "alias")
        if any(sql.folded(table.name) in later for table in cte.find_all(exp.Table)):
            raise unsure(cte)  # itself, or one that follows
        later.remove(sql.folded(cte.alias))
        text, outputs = query(
            cte.this, replace(named, find=find, ctes=named.ctes | ours.keys()), outer
        )
        wanted = [c.name for c in cte.args["alias"].args.get("columns") or []]
        names = wanted or [o.name for o in outputs]
        columns = renamed(outputs, names)
        ours[sql.folded(cte.alias)] = Relation(sql.name(cte.alias), columns)
        listed = sql.names(names_of_columns(names))
        parts.append(f"{sql.name(cte.alias)} ({listed}) AS ({text})")
    return replace(named, find=find, ctes=named.ctes | ours.keys()), f"WITH {', '.join(parts)} "


def _set_operation(
    node: exp.Expr, named: Named, outer: Scope | None, prefix: str
) -> tuple[str, list[Output]]:
    only(node, "this", "expression", "distinct", "with_", "order", "limit", "offset")
    words = {exp.Union: "UNION", exp.Except: "EXCEPT", exp.Intersect: "INTERSECT"}
    word = next(w for kind, w in words.items() if isinstance(node, kind))
    every = not node.args.get("distinct")
    if every and word != "UNION":
        raise unsure(node)
    left, lefts = query(node.this, named, outer)
    right, rights = query(node.expression, named, outer)
    if len(lefts) != len(rights):
        raise unsure(node)
    outputs = []
    left_casts: dict[int, str] = {}
    right_casts: dict[int, str] = {}
    for at, (one, other) in enumerate(zip(lefts, rights, strict=True)):
        first = alike(one.part, other.part, left_casts, right_casts, at)
        if first is None:
            told = f"{one.part.kind} and {other.part.kind}"
            raise Untranslated(f"column {one.name} of its SELECTs is {told}")
        if not every:
            demand_plain(one.part, other.part)
            if {one.part.kind, other.part.kind} == {"loose", "text"}:  # 1 and '1'
                raise Untranslated(f"column {one.name} of its SELECTs is loose and text")
        outputs.append(Output(one.name, first))
    left, right = cast(left, lefts, left_casts), cast(right, rights, right_casts)
    text = f"{prefix}({left}) {word}{' ALL' if every else ''} ({right})"
    return _ordered_outside(node, text, outputs, named), outputs


def _ordered_outside(node: exp.Expr, text: str, outputs: list[Output], named: Named) -> str:
    """ORDER BY of rows that are told apart, where PostgreSQL takes names only."""
    if node.args.get("order") is None:
        return text + limit(node)
    columns = renamed(outputs, [o.name for o in outputs])
    _name_what_is_selected(node, outputs)
    scope = Scope([Relation("", columns)], None, named, query)
    order = order_by(node, scope, columns)
    return f"SELECT * FROM ({text}) AS rows{order}{limit(node)}"


def _name_what_is_selected(node: exp.Expr, outputs: list[Output]) -> None:
    """An expression of ORDER BY that is selected, too, becomes the name of that column."""
    selected = [one.unalias() for one in node.expressions]
    if len(selected) != len(outputs):  # with a star among them
        return
    for ordered in node.args["order"].expressions:
        if ordered.this in selected:
            name = outputs[selected.index(ordered.this)].name
            ordered.set("this", exp.column(exp.to_identifier(name, quoted=True)))


def _demand_own_names(node: exp.Expr, scope: Scope, outputs: list[Output]) -> None:
    """Within an expression of ORDER BY a name is a column's, and not that of what is selected."""
    order = node.args.get("order")
    selected = [one.unalias() for one in node.expressions]
    shown = {sql.folded(o.name): o.part.sql for o in reversed(outputs)}
    for ordered in order.expressions if order is not None else ():
        inner = ordered.this
        while isinstance(inner, (exp.Paren, exp.Collate)):
            inner = inner.this
        for column in inner.find_all(exp.Column):
            name = sql.folded(column.name)
            if inner is column and not column.table:  # the new name goes first
                if name in scope.aliases and ordered.this in selected:
                    same = outputs[selected.index(ordered.this)].part.sql
                    if shown[name] != same:
                        raise unsure(ordered)
            elif ordered.this not in selected and name in shown:
                own = scope.own(column.table, column.name)
                if own and bare(own[0].sql) != bare(shown[name]):
                    raise unsure(ordered)


def _select(
    node: exp.Expr, named: Named, outer: Scope | None, prefix: str
) -> tuple[str, list[Output]]:
    only(node, "expressions", "distinct", "from_", "joins", "where", "group", "having", "order",
         "limit", "offset", "with_")  # fmt: skip
    scope, origin = _from(node, named, outer)
    scope.allow_aggregates = True
    outputs: list[Output] = []
    aliases: dict[str, Typed] = {}
    for item in node.expressions:
        found = [Output(o.name, _shown(scope, o.part)) for o in _items(item, scope)]
        if isinstance(item, exp.Alias):  # SQLite lets other clauses use the new name
            aliases.setdefault(sql.folded(item.alias), found[0].part)
        outputs += found
    scope.allow_aggregates = False
    scope.aliases |= aliases
    distinct = ""
    if node.args.get("distinct") is not None:
        only(node.args["distinct"])
        demand_plain(*(o.part for o in outputs))
        distinct = "DISTINCT "
    given = names_of_columns(o.name for o in outputs)
    listed = ", ".join(
        f"{bare(o.part.sql)} AS {sql.name(name)}" for o, name in zip(outputs, given, strict=True)
    )
    text = f"{prefix}SELECT {distinct}{listed}{origin}"
    where = node.args.get("where")
    if where is not None:
        text += f" WHERE {bare(scope.condition(where.this))}"
    text += group_by(node, scope, outputs)
    having = node.args.get("having")
    if having is not None:
        scope.allow_aggregates = True
        text += f" HAVING {bare(scope.condition(having.this))}"
    if distinct:
        _demand_own_names(node, scope, outputs)
        return _ordered_outside(node, text, outputs, named), outputs
    if node.args.get("order") is not None:
        scope.allow_aggregates = bool(node.args.get("group")) or has_aggregate(node)
        text += order_by(node, scope, outputs)
    return text + limit(node), outputs


def _shown(scope: Scope, part: Typed) -> Typed:
    """A value that a query gives out: truth values of PostgreSQL's become 0 and 1."""
    if part.kind == "cond":
        return scope.number(part)
    if part.kind == "null":
        return Typed("NULL", "null")
    if part.constant is not None and part.kind == "int":
        return Typed(f"{part.sql}::bigint", "int", constant=None)
    if part.constant is not None and part.kind == "real":
        return Typed(f"{part.sql}::double precision", "real", constant=None)
    return replace(part, constant=None)


def _items(item: exp.Expr, scope: Scope) -> Iterable[Output]:
    star = isinstance(item, exp.Star)
    if star or (isinstance(item, exp.Column) and isinstance(item.this, exp.Star)):
        table = "" if star else item.table  # type: ignore[attr-defined]
        if star:
            only(item)
        found = scope.called(table)
        if not found:
            raise unsure(item)
        for source in found:
            for output in source.outputs:
                if star and sql.folded(output.name) in source.merged:
                    continue
                part = found_in(source, sql.folded(output.name))
                assert part is not None
                yield Output(output.name, part)
        return
    if isinstance(item, exp.Alias):
        yield Output(item.alias, scope.part(item.this))
    else:
        part = scope.part(item)
        name = item.name if isinstance(item, exp.Column) else item.sql(dialect="sqlite")
        yield Output(name, part)


def _from(node: exp.Expr, named: Named, outer: Scope | None) -> tuple[Scope, str]:
    scope = Scope([], outer, named, query)
    clause = node.args.get("from_")
    if clause is None:
        return scope, ""
    only(clause, "this")
    text = f" FROM {_source(clause.this, scope)}"
    for join in node.args.get("joins") or []:
        text += _join(join, scope)
    return scope, text


def _join(join: exp.Expr, scope: Scope) -> str:
    only(join, "this", "side", "kind", "on", "using", "method")
    side, kind = str(join.args.get("side") or ""), str(join.args.get("kind") or "")
    if side not in ("", "LEFT", "RIGHT", "FULL") or kind not in ("", "INNER", "OUTER", "CROSS"):
        raise unsure(join)
    before = list(scope.sources)
    text = _source(join.this, scope)
    using, on = [name.name for name in join.args.get("using") or []], join.args.get("on")
    if join.args.get("method"):
        if join.args["method"] != "NATURAL" or using or on is not None:
            raise unsure(join)
        known = {sql.folded(output.name) for source in before for output in source.outputs}
        using = [o.name for o in scope.sources[-1].outputs if sql.folded(o.name) in known]
    if using:
        if side in ("RIGHT", "FULL"):
            raise unsure(join)
        names = [_merge(name, before, scope) for name in using]
        return f" {side} JOIN {text} USING ({', '.join(names)})"
    if on is None:
        return f" CROSS JOIN {text}" if not side else f" {side} JOIN {text} ON true"
    return f" {side} JOIN {text} ON {bare(scope.condition(on))}"


def _merge(name: str, before: list[Relation], scope: Scope) -> str:
    lowered = sql.folded(name)
    left = [found for s in before for found in [found_in(s, lowered)] if found is not None]
    right = found_in(scope.sources[-1], lowered)
    if right is None or (len(left) != 1 and lowered not in scope.merged):
        raise Untranslated(f"USING ({name})")
    first = scope.merged.get(lowered) or left[0]
    demand_plain(first, right)
    column_names = {str(_LAST_NAME.findall(part.sql)[-1]) for part in (*left, right)}
    cast = any("::" in part.sql for part in (*left, right))  # which USING would forget
    if first.kind != right.kind or len(column_names) != 1 or cast:
        raise Untranslated(f"USING ({name})")
    scope.merged[lowered] = first
    scope.sources[-1].merged.add(lowered)
    return column_names.pop()


def _source(node: exp.Expr, scope: Scope) -> str:
    if isinstance(node, exp.Table):
        only(node, "this", "db", "alias", "indexed")
        if sql.folded(node.db) not in ("", "main"):
            raise unsure(node)
        if node.db and sql.folded(node.name) in scope.named.ctes:  # which main.name goes past
            raise unsure(node)
        found = scope.named.find(node.name)
        alias = node.alias or node.name
        if node.args.get("alias") is not None:
            only(node.args["alias"], "this")
        scope.sources.append(Relation(alias, found.outputs, found.rowid, found.keys))
        return f"{found.alias} AS {sql.name(alias)}"
    if isinstance(node, exp.Subquery) and isinstance(node.this, (exp.Select, exp.SetOperation)):
        only(node, "this", "alias")
        text, outputs = query(node.this, scope.named, None)
        alias = node.alias or f"subquery_{len(scope.sources)}"
        columns = renamed(outputs, [o.name for o in outputs])
        scope.sources.append(Relation(alias, columns))
        return f"({text}) AS {sql.name(alias)}"
    if isinstance(node, exp.Subquery) and isinstance(node.this, exp.Table):
        only(node, "this")
        inner = node.this.copy()
        joins = inner.args.pop("joins", None) or []
        text = _source(inner, scope)
        return f"({text}{''.join(_join(join, scope) for join in joins)})"
    raise unsure(node)
