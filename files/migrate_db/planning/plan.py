"""The plan: which table goes where, and with which codec per column."""

from __future__ import annotations

from dataclasses import dataclass, field

from migrate_db import sql
from migrate_db.codecs.codec import Codec
from migrate_db.errors import Untranslated
from migrate_db.planning.mapping import Mapping, TableWish
from migrate_db.planning.quarantine import Quarantine
from migrate_db.planning.reading import all_rows
from migrate_db.sqlite.parents import Keys
from migrate_db.sqlite.schema import ForeignKey, Schema, Table, Uncarried


@dataclass(frozen=True, slots=True)
class ColumnPlan:
    """One column on its way."""

    source: str
    target: str
    codec: Codec
    not_null: bool
    cell: str  #: SQLite's SQL of the value that is carried: the column, or its conversion
    computed: str = ""  #: what PostgreSQL computes it from; such a column is compared, not loaded
    required: bool = False  #: the target takes no NULL there
    bulky: int = 0  #: where its values of megabytes are noted, see ``bulky``; 0: it has none


@dataclass(frozen=True)
class TablePlan:
    """One table on its way."""

    table: Table
    target: str
    exists: bool  #: the target already has it, and its types rule
    rows: int  #: that are carried
    target_rows: int
    columns: tuple[ColumnPlan, ...]
    key: tuple[str, ...]  #: source names of the key columns; empty: rows are a multiset
    highest: int  #: the highest rowid ever given to a row, as far as SQLite knows
    relation: str  #: SQLite's SQL of the rows that are carried, after FROM
    parents: tuple[Keys, ...] = ()  #: by which references to nothing are cut
    wish: TableWish = field(default_factory=TableWish)
    #: columns of UNIQUEs that rows contradict, where a plain index is wanted instead
    contradicted: frozenset[tuple[str, ...]] = frozenset()
    assumed: bool = False  #: nobody has looked at every value

    @property
    def is_whole(self) -> bool:
        """Whether every row is carried, and every value as it is stored."""
        as_stored = all(column.cell == sql.name(column.source) for column in self.columns)
        return as_stored and self.relation == all_rows(self.table).relation

    def column(self, source_name: str) -> ColumnPlan:
        """The plan of a column, by its name in the source.

        Raises:
            Untranslated: the column is left out.
        """
        for column in self.columns:
            if column.source == source_name:
                return column
        raise Untranslated(f"column {source_name} is left out")

    def holds_otherwise(self, source_name: str) -> bool:
        """Whether a column becomes another sort of values: moments of numbers, bytes of texts."""
        wish = self.wish.column(source_name)
        return bool(wish.epoch or wish.mixed)

    def keeps_orphans(self, key: ForeignKey) -> bool:
        """Whether rows without a parent are to stay, and the key is not validated."""
        return self.wish.keeps_orphans(key.columns)


@dataclass(frozen=True)
class Plan:
    """Everything that is decided before anything is written."""

    schema: Schema
    tables: tuple[TablePlan, ...]  #: parents first
    notes: tuple[str, ...]  #: what is carried in another shape, and why
    uncarried: tuple[Uncarried, ...]
    blocking: int = 0  #: findings that nothing resolves yet
    quarantine: Quarantine | None = None  #: the rows that stay behind
    mapping: Mapping = field(default_factory=Mapping)
    #: some values weren't looked at: the load or the proof finds what is not as declared
    assumed: bool = False

    def table(self, source_name: str) -> TablePlan:
        """The plan of a table, by its name in the source."""
        return next(table for table in self.tables if table.table.name == source_name)
