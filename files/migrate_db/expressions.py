"""SQLite expressions in PostgreSQL, where they mean the same with certainty.

sqlglot parses; only nodes on a short list pass, because a translation that is
merely likely is worse than none. What doesn't pass is reported, not guessed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from migrate_db.plan import TablePlan

try:
    import sqlglot
    from sqlglot import exp
    from sqlglot.errors import SqlglotError

    _SIGNS = (
        (exp.EQ, "="),
        (exp.NEQ, "<>"),
        (exp.GTE, ">="),
        (exp.GT, ">"),
        (exp.LTE, "<="),
        (exp.LT, "<"),
    )
except ImportError:  # a preview on a bare host runs without third-party packages
    sqlglot = None  # type: ignore[assignment]

_NOW = ("current_timestamp", "datetime('now')", "(current_timestamp)", "(datetime('now'))")


@dataclass(frozen=True)
class Untranslated(Exception):
    """An expression that has no certain meaning in PostgreSQL."""

    reason: str


def default(plan: TablePlan, column: str, text: str) -> str:
    """A column's DEFAULT.

    Raises:
        Untranslated: it isn't a constant or the present time.
    """
    kind = plan.column(column).codec.type
    plain = " ".join(text.split())
    if plain.lower() in _NOW:
        if kind == "timestamp":
            return "timezone('utc', now())"
        if kind == "timestamptz":
            return "now()"
        if kind == "text" or kind.startswith("varchar"):
            return "to_char(timezone('utc', now()), 'YYYY-MM-DD HH24:MI:SS')"
    node = _parse(plain)
    while isinstance(node, exp.Paren):
        node = node.this
    if isinstance(node, exp.Null):
        return "NULL"
    text = _constant(node, kind)
    if kind in ("smallint", "integer", "bigint") and not re.fullmatch(r"-?\d+", text):
        raise Untranslated(f"{kind} would round it")
    return text


def condition(plan: TablePlan, text: str) -> str:
    """A CHECK, or the WHERE of a partial index.

    Raises:
        Untranslated: it uses something whose meaning may differ.
    """
    return _boolean(plan, _parse(text))


def checks(plan: TablePlan) -> list[tuple[str, str]]:
    """Name and expression of every CHECK in the table's declaration, as written."""
    if "check" not in plan.table.sql.lower():
        return []
    if sqlglot is None:
        raise Untranslated("sqlglot is not installed here")
    try:
        tree = sqlglot.parse_one(plan.table.sql, read="sqlite")
    except SqlglotError:
        raise Untranslated("the table's CHECKs can't be parsed") from None
    found = []
    for check in tree.find_all(exp.CheckColumnConstraint, exp.Check):
        parent = check.parent
        named = parent if isinstance(parent, (exp.Constraint, exp.ColumnConstraint)) else None
        label = named.this.name if named is not None and named.this else ""
        found.append((label, check.this.sql(dialect="sqlite")))
    return found


def predicate(index_sql: str) -> str:
    """The WHERE of a CREATE INDEX, as written.

    Raises:
        Untranslated: the statement can't be parsed.
    """
    where = _parse(index_sql).find(exp.Where)
    if where is None:
        raise Untranslated("the index's WHERE can't be parsed")
    return str(where.this.sql(dialect="sqlite"))


def _parse(text: str) -> exp.Expr:
    if sqlglot is None:
        raise Untranslated("sqlglot is not installed here")
    try:
        node = sqlglot.parse_one(text, read="sqlite")
    except SqlglotError:
        raise Untranslated("can't be parsed") from None
    return node


def _boolean(plan: TablePlan, node: exp.Expr) -> str:
    if isinstance(node, exp.Paren):
        return f"({_boolean(plan, node.this)})"
    if isinstance(node, (exp.And, exp.Or)):
        word = "AND" if isinstance(node, exp.And) else "OR"
        return f"{_boolean(plan, node.this)} {word} {_boolean(plan, node.expression)}"
    if isinstance(node, exp.Not):
        return f"NOT ({_boolean(plan, node.this)})"
    if isinstance(node, exp.Is) and isinstance(node.expression, exp.Null):
        return f"{_column(plan, node.this)[0]} IS NULL"
    for kind, sign in _SIGNS:
        if isinstance(node, kind):
            left, right = _pair(plan, node.this, node.expression)
            return f"{left} {sign} {right}"
    if isinstance(node, exp.Between):
        value, low = _pair(plan, node.this, node.args["low"])
        _, high = _pair(plan, node.this, node.args["high"])
        return f"{value} BETWEEN {low} AND {high}"
    if isinstance(node, exp.In) and node.expressions:
        values = [_pair(plan, node.this, item) for item in node.expressions]
        return f"{values[0][0]} IN ({', '.join(value for _, value in values)})"
    if isinstance(node, exp.Column):
        name, type_name = _column(plan, node)
        if type_name == "boolean":
            return name
    raise Untranslated(f"{node.sql(dialect='sqlite')} may mean something else in PostgreSQL")


def _pair(plan: TablePlan, left: exp.Expr, right: exp.Expr) -> tuple[str, str]:
    """Two sides of a comparison; a constant takes the type of the other side."""
    if _is_constant(plan, left):
        swapped = _pair(plan, right, left)
        return swapped[1], swapped[0]
    value, kind = _value(plan, left)
    if _is_constant(plan, right):
        return value, _constant(right, kind)
    other, other_kind = _value(plan, right)
    if _family(kind) != _family(other_kind):
        raise Untranslated("it compares two types")
    return value, other


def _value(plan: TablePlan, node: exp.Expr) -> tuple[str, str]:
    if isinstance(node, exp.Paren):
        return _value(plan, node.this)
    if isinstance(node, exp.Length):
        name, kind = _column(plan, node.this)
        if _family(kind) == "text":
            return f"length({name})", "integer"
    if isinstance(node, exp.Column):
        return _column(plan, node)
    raise Untranslated(f"{node.sql(dialect='sqlite')} may mean something else in PostgreSQL")


def _column(plan: TablePlan, node: exp.Expr) -> tuple[str, str]:
    column = plan.table.column(node.name) if isinstance(node, exp.Column) else None
    if column is None:
        raise Untranslated(f"{node.sql(dialect='sqlite')} is not a plain column")
    planned = plan.column(column.name)
    return '"' + planned.target.replace('"', '""') + '"', planned.codec.type


def _is_constant(plan: TablePlan, node: exp.Expr) -> bool:
    if isinstance(node, exp.Neg):
        return isinstance(node.this, exp.Literal)
    # SQLite reads "word" as a string where no column has that name
    stray = isinstance(node, exp.Column) and plan.table.column(node.name) is None
    return stray or isinstance(node, (exp.Literal, exp.Boolean))


def _constant(node: exp.Expr, kind: str) -> str:
    family = _family(kind)
    if isinstance(node, exp.Boolean):
        word = "true" if node.this else "false"
        return word if family == "boolean" else _number(str(int(node.this)), family)
    if isinstance(node, exp.Neg) and isinstance(node.this, exp.Literal):
        return "-" + _number(node.this.name, family)
    if isinstance(node, exp.Column) and not node.table:
        return _string(node.name, family, kind)
    if isinstance(node, exp.Literal):
        if node.is_string:
            return _string(node.name, family, kind)
        if family == "boolean" and node.name in ("0", "1"):
            return "true" if node.name == "1" else "false"
        return _number(node.name, family)
    raise Untranslated(f"{node.sql(dialect='sqlite')} is not a constant")


def _number(text: str, family: str) -> str:
    if family == "text":
        return f"'{text}'"
    if family != "number":
        raise Untranslated(f"the number {text} where a {family} is held")
    return text


def _string(text: str, family: str, kind: str) -> str:
    quoted = "'" + text.replace("'", "''") + "'"
    if family in ("text", "json"):
        return quoted
    # SQLite makes a number of it, as the column asks
    if family == "number" and re.fullmatch(r"-?\d+(\.\d+)?", text):
        return text
    if family == "boolean" and text.lower() in ("0", "1", "true", "false", "t", "f"):
        return "true" if text.lower() in ("1", "true", "t") else "false"
    raise Untranslated(f"the text {quoted} where {kind} is held")


def _family(kind: str) -> str:
    if kind == "text" or kind.startswith(("varchar", "char", "citext")):
        return "text"
    if kind in ("smallint", "integer", "bigint", "double precision", "real"):
        return "number"
    if kind.startswith("numeric"):
        return "number"
    return kind
