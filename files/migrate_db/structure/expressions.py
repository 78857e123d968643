"""Expressions of a table's declaration in PostgreSQL: CHECKs, indexes, generated columns."""

from __future__ import annotations

from migrate_db import sql
from migrate_db.errors import Untranslated
from migrate_db.planning.plan import TablePlan
from migrate_db.sqlite.collations import KNOWN
from migrate_db.sqlite.schema import Index
from migrate_db.translation.calls import Calls
from migrate_db.translation.parsing import bare, is_worked_out, parse, shallow
from migrate_db.translation.translator import Translator
from migrate_db.translation.typed import NUMERIC, Typed, column, kind_of


def of_table(plan: TablePlan, exact_folding: bool = True) -> Translator:
    """For expressions inside one table's declaration."""

    def find(table: str, name: str) -> Typed | None:
        if table and sql.folded(table) != sql.folded(plan.table.name):
            return None
        declared = plan.table.column(name)
        if declared is None:
            return None
        planned = next((c for c in plan.columns if c.source == declared.name), None)
        if planned is None:
            raise Untranslated(f"{declared.name} is not carried")
        if plan.holds_otherwise(declared.name):
            raise Untranslated(f"values of {declared.name} are converted")
        return column(sql.name(planned.target), planned.codec, declared)

    return Calls(find, exact_folding, plan.table.utf8)


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
        if bare(value.sql) in [sql.name(c.target) for c in plan.columns]:
            raise Untranslated("PostgreSQL would take it for the column itself")
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
    if any(is_worked_out(part) for part in node.walk()):
        # PostgreSQL does so while it makes the table, and stumbles over collations
        raise Untranslated("a part of it has no column")
    value = of_table(plan).part(node)
    wanted = kind_of(planned.codec)
    if wanted == "text" and declared.affinity in NUMERIC:  # which makes 7 of '007'
        raise Untranslated("a text that may become a number")
    if " IS JSON)" in value.sql:
        raise Untranslated("PostgreSQL has no json_valid() before 16")
    if "to_char(" in value.sql:
        raise Untranslated("PostgreSQL computes no times as text in a column")
    if wanted == "bool" and value.kind == "cond":
        return bare(value.sql)
    if value.kind == "cond":
        value = Typed(f"({value.sql})::integer", "int")
    if value.kind != wanted or wanted in ("other", "mixed"):
        raise Untranslated(f"it gives {value.kind} where {planned.codec.type} is held")
    if wanted not in ("int", "real", "text") and value.codec != planned.codec:
        raise Untranslated(f"it gives {value.kind} where {planned.codec.type} is held")
    return bare(value.sql)
