"""Views: translated where every part of the SELECT means the same, and then compared.

Like ``expressions``, this knows a list of what passes. What doesn't pass is
named with its reason; what passes is made after the load and must give the same
rows as in SQLite, or it is taken back.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace

from migrate_db import codec, declaration, sql
from migrate_db.calls import Calls
from migrate_db.codec import Codec
from migrate_db.errors import Untranslated
from migrate_db.names import columns as names_of_columns
from migrate_db.names import fitting
from migrate_db.parsing import bare, exp, only, query, shallow, unsure
from migrate_db.plan import Plan, TablePlan
from migrate_db.schema import Uncarried, View
from migrate_db.typed import EXACT, Typed, column, fits_double, is_moment

#: Rows in another order are the same rows; these kinds can't be told apart safely.
_UNSAFE_KEYS = ("other",)
#: The name of a column behind its table's.
_LAST_NAME = re.compile(r'"(?:[^"]|"")*"')


@dataclass(frozen=True)
class Output:
    """A column of a query."""

    name: str
    part: Typed

    @property
    def codec(self) -> Codec | None:
        """How its values are compared; None for floats that were computed."""
        plain = {
            "int": codec.integer("bigint"),
            "text": codec.text(),
            "null": codec.text(),
            "bytea": codec.BYTEA,
        }
        return self.part.codec or plain.get(self.part.kind)


@dataclass(frozen=True)
class Translated:
    """A view in PostgreSQL's words."""

    source: str  #: its name in SQLite
    name: str
    select: str
    columns: tuple[Output, ...]
    reads: frozenset[str]  #: tables of the source, through other views, too
    through: frozenset[str]  #: these views

    def create(self, schema: str) -> str:
        """The statement that makes it."""
        names = sql.names(names_of_columns(o.name for o in self.columns))
        return f"CREATE VIEW {sql.qualified(schema, self.name)} ({names}) AS {self.select}"


@dataclass
class _Source:
    """What one name in a FROM stands for."""

    alias: str
    outputs: list[Output]
    rowid: Typed | None = None
    keys: tuple[frozenset[str], ...] = ()  #: columns, in lower case, that only one row can have
    merged: set[str] = field(default_factory=set)  #: columns that a table before it shows


def translate(plan: Plan, schema: str, taken: set[str]) -> tuple[list[Translated], list[Uncarried]]:
    """All views of the source, in the order in which they can be made.

    Args:
        schema: the PostgreSQL schema that has the tables.
        taken: names that are not free there.
    """
    tables = {sql.folded(table.table.name): table for table in plan.tables}
    made: dict[str, Translated] = {}
    refused: dict[str, str] = {}
    waiting = list(plan.schema.views)
    while waiting:
        later = []
        for view in waiting:
            try:
                if fitting(view.name) in taken:
                    raise Untranslated("the target has something of that name; it stays as it is")
                made[sql.folded(view.name)] = _translate(
                    view, schema, tables, made, refused, waiting
                )
            except _Later:
                later.append(view)
            except Untranslated as reason:
                refused[sql.folded(view.name)] = reason.reason
        if len(later) == len(waiting):  # SQLite lets views refer to each other in circles
            refused |= {sql.folded(view.name): "it reads itself" for view in later}
            break
        waiting = later
    uncarried = [
        Uncarried("view", view.name, refused[sql.folded(view.name)])
        for view in plan.schema.views
        if sql.folded(view.name) in refused
    ]
    return list(made.values()), uncarried


class _Later(Exception):
    """A view that reads one that is not translated yet."""


@shallow
def _translate(
    view: View,
    schema: str,
    tables: dict[str, TablePlan],
    made: dict[str, Translated],
    refused: dict[str, str],
    waiting: list[View],
) -> Translated:
    if not view.columns:
        raise Untranslated(f"SQLite itself can't read it: {view.broken}")
    tree = query(_select_of(view.sql))

    reads: set[str] = set()
    through: set[str] = set()

    def named(name: str) -> _Source:
        lowered = sql.folded(name)
        if lowered in tables:
            reads.add(tables[lowered].table.name)
            return _table(tables[lowered], schema)
        if lowered in made:
            other = made[lowered]
            reads.update(other.reads)
            through.update({other.source}, other.through)
            return _Source(sql.qualified(schema, other.name), list(other.columns))
        if lowered in refused:
            raise Untranslated(f"it reads {name}, which is not carried")
        if any(sql.folded(other.name) == lowered for other in waiting):
            raise _Later
        raise Untranslated(f"it reads {name}, which is not carried")

    text, outputs = _query(tree, named, None)
    if len(outputs) != len(view.columns):
        raise Untranslated("its columns can't be told")
    shown = [Output(name, o.part) for name, o in zip(view.columns, outputs, strict=True)]
    given = names_of_columns(o.name for o in shown)
    columns = tuple(
        Output(o.name, _read_again(o.part, name)) for o, name in zip(shown, given, strict=True)
    )
    name = fitting(view.name)
    return Translated(view.name, name, text, columns, frozenset(reads), frozenset(through))


def _select_of(text: str) -> str:
    """What stands after ``CREATE VIEW name (columns) AS``."""
    depth = 0
    for token in declaration.tokens(text):
        depth += (token.word == "(") - (token.word == ")")
        if token.word == "AS" and depth == 0:
            return text[token.end :].rstrip().rstrip(";")
    raise Untranslated("it can't be parsed")


def _table(plan: TablePlan, schema: str) -> _Source:
    outputs = []
    by_name = {planned.source: planned for planned in plan.columns}
    for declared in plan.table.columns:
        planned = by_name.get(declared.name)
        if planned is None:
            raise Untranslated(f"{plan.table.name}.{declared.name} is not carried")
        part = column(sql.name(planned.target), planned.codec, declared)
        if plan.holds_otherwise(declared.name):
            part = Typed(part.sql, "other")
        outputs.append(Output(declared.name, part))
    rowid = next((o.part for o in outputs if o.name == plan.table.rowid_alias), None)
    return _Source(sql.qualified(schema, plan.target), outputs, rowid, tuple(_keys(plan)))


def _keys(plan: TablePlan) -> Iterator[frozenset[str]]:
    """What is unique in both databases, by the bytes of the values."""
    table = plan.table
    if plan.exists:  # its own keys need not be those of the source
        return
    if table.rowid_alias and not plan.wish.primary_key:
        yield frozenset((sql.folded(table.rowid_alias),))
    for index in table.indexes:
        columns = tuple(part.name for part in index.columns if part.name)
        wanted = index.origin != "pk" or not plan.wish.primary_key
        by_bytes = all(
            part.collation == "BINARY" and column is not None and column.collation == "BINARY"
            for part in index.columns
            for column in [table.column(part.name or "")]
        )
        if (
            index.unique and wanted and by_bytes
            and not index.partial and columns not in plan.contradicted
        ):  # fmt: skip
            yield frozenset(sql.folded(column) for column in columns)


Named = Callable[[str], _Source]


def _query(node: exp.Expr, named: Named, outer: _Scope | None) -> tuple[str, list[Output]]:
    """A SELECT, or several with UNION and the like between them."""
    if isinstance(node, exp.Subquery):
        only(node, "this")
        return _query(node.this, named, outer)
    named, prefix = _with(node, named, outer)
    if isinstance(node, exp.SetOperation):
        return _set_operation(node, named, outer, prefix)
    if not isinstance(node, exp.Select):
        raise unsure(node)
    return _select(node, named, outer, prefix)


def _with(node: exp.Expr, named: Named, outer: _Scope | None) -> tuple[Named, str]:
    clause = node.args.get("with_")
    if clause is None:
        return named, ""
    only(clause, "expressions")
    ours: dict[str, _Source] = {}

    def find(name: str) -> _Source:
        source = ours.get(sql.folded(name))
        return replace(source) if source else named(name)

    parts = []
    later = [sql.folded(cte.alias) for cte in clause.expressions]
    for cte in clause.expressions:
        only(cte, "this", "alias")
        if any(sql.folded(table.name) in later for table in cte.find_all(exp.Table)):
            raise unsure(cte)  # itself, or one that follows
        later.remove(sql.folded(cte.alias))
        text, outputs = _query(cte.this, find, outer)
        wanted = [c.name for c in cte.args["alias"].args.get("columns") or []]
        names = wanted or [o.name for o in outputs]
        columns = _renamed(outputs, names)
        ours[sql.folded(cte.alias)] = _Source(sql.name(cte.alias), columns)
        listed = sql.names(names_of_columns(names))
        parts.append(f"{sql.name(cte.alias)} ({listed}) AS ({text})")
    return find, f"WITH {', '.join(parts)} "


def _renamed(outputs: list[Output], names: list[str]) -> list[Output]:
    if len(set(names)) != len(names) or len(names) != len(outputs):
        raise Untranslated("two columns of a subquery have the same name")
    return [
        Output(name, _read_again(o.part, given))
        for name, given, o in zip(names, names_of_columns(names), outputs, strict=True)
    ]


def _read_again(part: Typed, name: str) -> Typed:
    """A result as a column of what reads it: it brings a collation then, BINARY if it has none of its own."""
    collation = part.collation or "BINARY"
    return replace(part, sql=sql.name(name), constant=None, explicit=False, collation=collation)


def _set_operation(
    node: exp.Expr, named: Named, outer: _Scope | None, prefix: str
) -> tuple[str, list[Output]]:
    only(node, "this", "expression", "distinct", "with_", "order", "limit", "offset")
    words = {exp.Union: "UNION", exp.Except: "EXCEPT", exp.Intersect: "INTERSECT"}
    word = next(w for kind, w in words.items() if isinstance(node, kind))
    every = not node.args.get("distinct")
    if every and word != "UNION":
        raise unsure(node)
    left, lefts = _query(node.this, named, outer)
    right, rights = _query(node.expression, named, outer)
    if len(lefts) != len(rights):
        raise unsure(node)
    outputs = []
    left_casts: dict[int, str] = {}
    right_casts: dict[int, str] = {}
    for at, (one, other) in enumerate(zip(lefts, rights, strict=True)):
        first = _alike(one.part, other.part, left_casts, right_casts, at)
        if first is None:
            told = f"{one.part.kind} and {other.part.kind}"
            raise Untranslated(f"column {one.name} of its SELECTs is {told}")
        if not every:
            _demand_plain(one.part, other.part)
            if {one.part.kind, other.part.kind} == {"loose", "text"}:  # 1 and '1'
                raise Untranslated(f"column {one.name} of its SELECTs is loose and text")
        outputs.append(Output(one.name, first))
    left, right = _cast(left, lefts, left_casts), _cast(right, rights, right_casts)
    text = f"{prefix}({left}) {word}{' ALL' if every else ''} ({right})"
    return _ordered_outside(node, text, outputs, named), outputs


def _alike(
    one: Typed, other: Typed, left_casts: dict[int, str], right_casts: dict[int, str], at: int
) -> Typed | None:
    """What a column of two SELECTs is; None if it can't be told."""
    if "other" in (one.kind, other.kind):
        return None
    if "null" in (one.kind, other.kind):
        return replace(other if one.kind == "null" else one, constant=None)
    for part, casts in ((one, left_casts), (other, right_casts)):
        if part.kind == "bool" and one.kind != other.kind:
            casts[at] = "integer"
        elif part.kind == "int" and "loose" in (one.kind, other.kind):
            casts[at] = "text"
    kinds = {"int" if part.kind == "bool" and one.kind != other.kind else part.kind
             for part in (one, other)}  # fmt: skip
    if kinds <= {"int", "loose", "text"} and "loose" in kinds:
        return Typed(one.sql, "loose", codec=codec.TEXT_OR_NUMBER)
    if len(kinds) != 1:
        return None
    (kind,) = kinds
    same = one.codec if one.codec == other.codec else codec.text() if kind == "text" else None
    if same is None and kind not in ("int", "text", "real", "mixed", "null"):
        return None
    collations = {part.collation or "BINARY" for part in (one, other)}
    if kind == "text" and len(collations) > 1:
        kind = "other"  # what a comparison makes of it depends on which of them SQLite takes
    affinity = one.affinity if one.affinity == other.affinity else ""
    return Typed(one.sql, kind, affinity, one.collation, codec=same)


def _cast(text: str, outputs: list[Output], casts: dict[int, str]) -> str:
    if not casts:
        return text
    names = [f"c{at}" for at in range(len(outputs))]
    given = names_of_columns(output.name for output in outputs)
    cells = ", ".join(
        f"{sql.name(name)}{'::' + casts[at] if at in casts else ''} AS {sql.name(shown)}"
        for at, (name, shown) in enumerate(zip(names, given, strict=True))
    )
    return f"SELECT {cells} FROM ({text}) AS rows ({sql.names(names)})"


def _ordered_outside(node: exp.Expr, text: str, outputs: list[Output], named: Named) -> str:
    """ORDER BY of rows that are told apart, where PostgreSQL takes names only."""
    if node.args.get("order") is None:
        return text + _limit(node)
    columns = _renamed(outputs, [o.name for o in outputs])
    _name_what_is_selected(node, outputs)
    scope = _Scope([_Source("", columns)], None, {}, named)
    order = _order(node, scope, columns)
    return f"SELECT * FROM ({text}) AS rows{order}{_limit(node)}"


def _name_what_is_selected(node: exp.Expr, outputs: list[Output]) -> None:
    """An expression of ORDER BY that is selected, too, becomes the name of that column."""
    selected = [one.unalias() for one in node.expressions]
    if len(selected) != len(outputs):  # with a star among them
        return
    for ordered in node.args["order"].expressions:
        if ordered.this in selected:
            name = outputs[selected.index(ordered.this)].name
            ordered.set("this", exp.column(exp.to_identifier(name, quoted=True)))


def _demand_plain(*parts: Typed) -> None:
    """What tells rows apart must do so by their bytes."""
    for part in parts:
        folded = part.collation not in ("", "BINARY")
        # without such an affinity there may be both 1 and '1', or -0.0 and 0.0
        alike = part.kind == "loose" and part.affinity not in EXACT
        if part.kind in _UNSAFE_KEYS or alike or (part.kind in ("text", "loose") and folded):
            raise Untranslated("it tells rows apart by values that PostgreSQL compares otherwise")


class _Scope(Calls):
    """The expressions of one SELECT."""

    def __init__(
        self,
        sources: list[_Source],
        outer: _Scope | None,
        merged: dict[str, Typed],
        named: Named,
    ) -> None:
        super().__init__(self._find)
        self.sources = sources
        self.outer = outer
        self.merged = merged  #: columns of USING
        self.named = named
        self.aliases: dict[str, Typed] = {}
        self.aggregates = 0
        self.allow_aggregates = False

    def _find(self, table: str, name: str) -> Typed | None:
        lowered = sql.folded(name)
        if not table and lowered in self.merged:
            return self.merged[lowered]
        found = self._own(table, name)
        if len(found) > 1:
            raise Untranslated(f"{name} is in several tables")
        if found:
            return found[0]
        if not table and lowered in self.aliases:
            return self.aliases[lowered]
        return self.outer._find(table, name) if self.outer is not None else None

    def called(self, table: str) -> list[_Source]:
        """What has this name, or all there is without one."""
        wanted = sql.folded(table)
        return [s for s in self.sources if not table or sql.folded(s.alias) == wanted]

    def _own(self, table: str, name: str) -> list[Typed]:
        """The columns of that name, but for those of the queries around."""
        found = (_in(source, sql.folded(name)) for source in self.called(table))
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
        text, outputs = _query(query, self.named, self)
        if len(outputs) != 1:
            raise unsure(node)
        inner = outputs[0].part
        _demand_plain(value, inner)
        if value.kind != inner.kind or (
            value.kind not in ("int", "text") and value.codec != inner.codec
        ):
            raise Untranslated(f"it looks for {value.kind} among {inner.kind}")
        return Typed(f"({value.sql} IN ({text}))", "cond")

    def _exists(self, node: exp.Expr) -> Typed:
        only(node, "this")
        text, _ = _query(node.this, self.named, self)
        return Typed(f"EXISTS ({text})", "cond")

    def _scalar(self, node: exp.Expr) -> Typed:
        only(node, "this")
        inner = node.this
        one_row = isinstance(inner, exp.Select) and (
            _has_aggregate(inner) and inner.args.get("group") is None
        )
        first = inner.args.get("limit")
        one_row = one_row or _is_looked_up(inner, self.named)
        if not one_row and not (first is not None and first.expression.name == "1"):
            raise Untranslated("a subquery that may give several rows")
        text, outputs = _query(inner, self.named, self)
        if len(outputs) != 1:
            raise unsure(node)
        return replace(outputs[0].part, sql=f"({text})", constant=None, collation="", affinity="")

    # --- aggregates ----------------------------------------------------------------------

    def _argument(self, node: exp.Expr) -> tuple[Typed, str]:
        """What is aggregated, and DISTINCT if it is said."""
        if not self.allow_aggregates:
            raise unsure(node)
        only(node, "this")
        self.aggregates += 1
        inner, word = node.this, ""
        if isinstance(inner, exp.Distinct):
            only(inner, "expressions")
            if len(inner.expressions) != 1:
                raise unsure(node)
            inner, word = inner.expressions[0], "DISTINCT "
        outside = any(not self._own(c.table, c.name) for c in inner.find_all(exp.Column))
        if self.outer is not None and outside:
            raise unsure(node)  # it may be an aggregate of the query around
        self.allow_aggregates = False
        part = self.number(self.part(inner))
        self.allow_aggregates = True
        if word:
            _demand_plain(part)
        return part, word

    def _count(self, node: exp.Expr) -> Typed:
        if isinstance(node.this, exp.Star) or node.this is None:
            if not self.allow_aggregates:
                raise unsure(node)
            only(node, "this")
            self.aggregates += 1
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
        _demand_plain(part)
        if part.kind == "text":
            return Typed(f'{word}({part.sql} COLLATE "C")', "text")
        if part.kind in ("int", "real", "mixed", "date", "timestamp"):
            return Typed(f"{word}({part.sql})", part.kind, codec=part.codec)
        raise unsure(node)


def _in(source: _Source, lowered: str) -> Typed | None:
    for output in source.outputs:
        if sql.folded(output.name) == lowered:
            place = f"{sql.name(source.alias)}." if source.alias else ""
            return replace(output.part, sql=place + output.part.sql)
    if source.rowid is not None and lowered in sql.ROWID:
        return replace(source.rowid, sql=f"{sql.name(source.alias)}.{source.rowid.sql}")
    return None


def _has_aggregate(node: exp.Expr) -> bool:
    return any(
        part.find_ancestor(exp.Select) is node
        for item in node.expressions
        for part in item.find_all(exp.AggFunc)
    )


def _is_looked_up(node: exp.Expr, named: Named) -> bool:
    """Whether a SELECT finds a row of one table by its whole key, so one at most."""
    clause, where = node.args.get("from_"), node.args.get("where")
    if clause is None or where is None or node.args.get("joins"):
        return False
    if not isinstance(clause.this, exp.Table):
        return False
    source, alias = named(clause.this.name), sql.folded(clause.this.alias_or_name)
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


def _select(
    node: exp.Expr, named: Named, outer: _Scope | None, prefix: str
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
        _demand_plain(*(o.part for o in outputs))
        distinct = "DISTINCT "
    given = names_of_columns(o.name for o in outputs)
    listed = ", ".join(
        f"{bare(o.part.sql)} AS {sql.name(name)}" for o, name in zip(outputs, given, strict=True)
    )
    text = f"{prefix}SELECT {distinct}{listed}{origin}"
    where = node.args.get("where")
    if where is not None:
        text += f" WHERE {bare(scope.condition(where.this))}"
    text += _group(node, scope, outputs)
    having = node.args.get("having")
    if having is not None:
        scope.allow_aggregates = True
        text += f" HAVING {bare(scope.condition(having.this))}"
    if distinct:
        return _ordered_outside(node, text, outputs, named), outputs
    if node.args.get("order") is not None:
        scope.allow_aggregates = bool(node.args.get("group")) or _has_aggregate(node)
        text += _order(node, scope, outputs)
    return text + _limit(node), outputs


def _shown(scope: _Scope, part: Typed) -> Typed:
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


def _items(item: exp.Expr, scope: _Scope) -> Iterable[Output]:
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
                part = _in(source, sql.folded(output.name))
                assert part is not None
                yield Output(output.name, part)
        return
    if isinstance(item, exp.Alias):
        yield Output(item.alias, scope.part(item.this))
    else:
        part = scope.part(item)
        name = item.name if isinstance(item, exp.Column) else item.sql(dialect="sqlite")
        yield Output(name, part)


def _from(node: exp.Expr, named: Named, outer: _Scope | None) -> tuple[_Scope, str]:
    scope = _Scope([], outer, {}, named)
    clause = node.args.get("from_")
    if clause is None:
        return scope, ""
    only(clause, "this")
    text = f" FROM {_source(clause.this, scope)}"
    for join in node.args.get("joins") or []:
        text += _join(join, scope)
    return scope, text


def _join(join: exp.Expr, scope: _Scope) -> str:
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


def _merge(name: str, before: list[_Source], scope: _Scope) -> str:
    lowered = sql.folded(name)
    left = [found for s in before for found in [_in(s, lowered)] if found is not None]
    right = _in(scope.sources[-1], lowered)
    if right is None or (len(left) != 1 and lowered not in scope.merged):
        raise Untranslated(f"USING ({name})")
    first = scope.merged.get(lowered) or left[0]
    _demand_plain(first, right)
    column_names = {str(_LAST_NAME.findall(part.sql)[-1]) for part in (*left, right)}
    if first.kind != right.kind or len(column_names) != 1:
        raise Untranslated(f"USING ({name})")
    scope.merged[lowered] = first
    scope.sources[-1].merged.add(lowered)
    return column_names.pop()


def _source(node: exp.Expr, scope: _Scope) -> str:
    if isinstance(node, exp.Table):
        only(node, "this", "db", "alias", "indexed")
        if sql.folded(node.db) not in ("", "main"):
            raise unsure(node)
        found = scope.named(node.name)
        alias = node.alias or node.name
        if node.args.get("alias") is not None:
            only(node.args["alias"], "this")
        scope.sources.append(_Source(alias, found.outputs, found.rowid, found.keys))
        return f"{found.alias} AS {sql.name(alias)}"
    if isinstance(node, exp.Subquery) and isinstance(node.this, (exp.Select, exp.SetOperation)):
        only(node, "this", "alias")
        text, outputs = _query(node.this, scope.named, None)
        alias = node.alias or f"subquery_{len(scope.sources)}"
        columns = _renamed(outputs, [o.name for o in outputs])
        scope.sources.append(_Source(alias, columns))
        return f"({text}) AS {sql.name(alias)}"
    if isinstance(node, exp.Subquery) and isinstance(node.this, exp.Table):
        only(node, "this")
        inner = node.this.copy()
        joins = inner.args.pop("joins", None) or []
        text = _source(inner, scope)
        return f"({text}{''.join(_join(join, scope) for join in joins)})"
    raise unsure(node)


def _group(node: exp.Expr, scope: _Scope, outputs: list[Output]) -> str:
    group = node.args.get("group")
    if group is None:
        return ""
    only(group, "expressions")
    parts = [_clause_part(item, scope, outputs, first_alias=False) for item in group.expressions]
    _demand_plain(*parts)
    return f" GROUP BY {', '.join(bare(part.sql) for part in parts)}"


def _clause_part(item: exp.Expr, scope: _Scope, outputs: list[Output], first_alias: bool) -> Typed:
    """A member of GROUP BY or ORDER BY: a position, a new name, or an expression."""
    if isinstance(item, exp.Literal) and not item.is_string:
        position = int(item.name) if item.name.isdigit() else 0
        if not 1 <= position <= len(outputs):
            raise unsure(item)
        return outputs[position - 1].part
    if first_alias and isinstance(item, exp.Column) and not item.table:
        alias = scope.aliases.get(sql.folded(item.name))
        if alias is not None:
            return alias
    part = scope.part(item)
    if part.constant is not None:  # PostgreSQL would take it for a position
        raise unsure(item)
    return part


def _order(node: exp.Expr, scope: _Scope, outputs: list[Output]) -> str:
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


def _limit(node: exp.Expr) -> str:
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
