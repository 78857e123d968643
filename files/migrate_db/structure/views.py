"""Views: translated where every part of the SELECT means the same, and then compared.

Like ``expressions``, this knows a list of what passes. What doesn't pass is
named with its reason; what passes is made after the load and must give the same
rows as in SQLite, or it is taken back.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from migrate_db import sql
from migrate_db.errors import Untranslated
from migrate_db.planning.plan import Plan, TablePlan
from migrate_db.postgresql.names import columns as names_of_columns
from migrate_db.postgresql.names import fitting
from migrate_db.sqlite import declaration
from migrate_db.sqlite.schema import Uncarried, View
from migrate_db.translation import parsing
from migrate_db.translation.parsing import shallow
from migrate_db.translation.queries import query
from migrate_db.translation.relations import Named, Output, Relation, missing, read_again
from migrate_db.translation.typed import Typed, column


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
                made[sql.folded(view.name)] = _translate(view, schema, tables, made, waiting)
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
    waiting: list[View],
) -> Translated:
    if not view.columns:
        raise Untranslated(f"SQLite itself can't read it: {view.broken}")
    tree = parsing.query(_select_of(view.sql))

    reads: set[str] = set()
    through: set[str] = set()

    def find(name: str) -> Relation:
        lowered = sql.folded(name)
        if lowered in tables:
            reads.add(tables[lowered].table.name)
            return _table(tables[lowered], schema)
        if lowered in made:
            other = made[lowered]
            reads.update(other.reads)
            through.update({other.source}, other.through)
            return Relation(sql.qualified(schema, other.name), list(other.columns))
        if any(sql.folded(other.name) == lowered for other in waiting):
            raise _Later
        raise Untranslated(f"it reads {name}, which is not carried")

    utf8 = all(plan.table.utf8 for plan in tables.values())
    text, outputs = query(tree, Named(find, utf8), None)
    if len(outputs) != len(view.columns):
        raise Untranslated("its columns can't be told")
    shown = [Output(name, o.part) for name, o in zip(view.columns, outputs, strict=True)]
    given = names_of_columns(o.name for o in shown)
    columns = tuple(
        Output(o.name, read_again(o.part, name)) for o, name in zip(shown, given, strict=True)
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


def _table(plan: TablePlan, schema: str) -> Relation:
    outputs = []
    by_name = {planned.source: planned for planned in plan.columns}
    for declared in plan.table.columns:
        planned = by_name.get(declared.name)
        if planned is None:
            outputs.append(Output(declared.name, missing(plan.table.name, declared.name)))
            continue
        part = column(sql.name(planned.target), planned.codec, declared)
        if plan.holds_otherwise(declared.name):
            part = Typed(part.sql, "other")
        outputs.append(Output(declared.name, part))
    rowid = next((o.part for o in outputs if o.name == plan.table.rowid_alias), None)
    return Relation(sql.qualified(schema, plan.target), outputs, rowid, tuple(_keys(plan)))


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
