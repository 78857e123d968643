"""Virtual tables: a module of SQLite's keeps their rows in shadow tables of its own.

What holds data is carried: a full-text table without ``content=`` is the only
place where its texts are, and so is an R-tree. They become plain tables.
"""

from __future__ import annotations

import re
import sqlite3
from dataclasses import dataclass

from migrate_db import sql
from migrate_db.sqlite import declaration
from migrate_db.visible import decoded

_TEXT_SEARCH = ("fts3", "fts4", "fts5")
_TREES = ("rtree", "rtree_i32", "geopoly")
#: What each module's tables end with, and the columns that they have; the content's are the user's.
_TREE = {"node": "nodeno data", "parent": "nodeno parentnode", "rowid": "rowid nodeno"}
_FTS = {
    "content": "docid", "segments": "blockid block",
    "segdir": "level idx start_block leaves_end_block end_block root", "stat": "id value",
}  # fmt: skip
_SHADOWS: dict[str, dict[str, str]] = {
    "fts3": _FTS,
    "fts4": {**_FTS, "docsize": "docid size"},
    "fts5": {
        "data": "id block", "idx": "segid term pgno", "content": "id", "docsize": "id sz", "config": "k v",
    },
    **dict.fromkeys(_TREES, _TREE),
}  # fmt: skip
_INSTEAD = {
    **dict.fromkeys(_TEXT_SEARCH, "search with a tsvector column and a GIN index"),
    **dict.fromkeys(_TREES, "search with a GiST index on box, a range type or PostGIS's geometry"),
    "spellfix1": "search with pg_trgm's similarity",
    "vec0": "search with pgvector",
    "vss0": "search with pgvector",
    "csv": "read the file with COPY or file_fdw",
    "dbstat": "see pg_stat_user_tables and pg_table_size()",
}


@dataclass(frozen=True)
class Virtual:
    """A virtual table, and what becomes of it."""

    name: str
    module: str
    columns: tuple[tuple[str, str], ...]  #: name and type, if it holds rows itself
    key: str | None  #: the column that numbers its rows
    reason: str  #: why it, or its module, is not carried
    keeps_content: bool  #: its rows can only be had from the shadow table with its content
    elsewhere: bool = False  #: its texts are in another table, or nowhere

    def owns(self, other: str, columns: tuple[str, ...]) -> bool:
        """Whether a table is this one's shadow: by its name, and by its columns, as a name alone proves nothing."""
        for end, wanted in _SHADOWS.get(self.module, {}).items():
            if sql.folded(other) == sql.folded(f"{self.name}_{end}"):
                first = tuple(wanted.split())
                own = end != "content" or not self.elsewhere
                return own and tuple(map(sql.folded, columns[: len(first)])) == first
        return False

    def is_content(self, other: str) -> bool:
        """Whether a shadow table has the rows that the virtual table doesn't give."""
        return self.keeps_content and sql.folded(other) == sql.folded(f"{self.name}_content")


def examine(connection: sqlite3.Connection, name: str, text: str) -> Virtual:
    """Decide what becomes of one virtual table.

    Args:
        text: its CREATE VIRTUAL TABLE.
    """
    module, arguments = declaration.arguments(text)
    instead = _INSTEAD.get(module, "")
    if module.startswith("virtual") or module in ("spatialindex", "knn2"):
        instead = "it is SpatiaLite's; PostGIS has its own"
    advice = f"{module or 'its module'} exists only in SQLite" + (f"; {instead}" if instead else "")
    if module not in (*_TEXT_SEARCH, *_TREES):
        return Virtual(name, module, (), None, advice, False)
    elsewhere = content(arguments) if module in _TEXT_SEARCH else None
    if elsewhere is not None:
        where = f"its texts are in table {elsewhere}" if elsewhere else "it holds no texts"
        return Virtual(name, module, (), None, f"{advice} ({where})", False, elsewhere=True)
    try:
        connection.execute(f"SELECT * FROM main.{sql.name(name)} LIMIT 1").fetchone()
        columns, key = _columns(connection, name, module, _option(arguments, "languageid"))
    except sqlite3.Error as error:
        kept = module in _TEXT_SEARCH
        lost = f"its rows are carried as table {name}_content"
        if not kept:
            lost = "ITS ROWS ARE NOT CARRIED: open it with a SQLite that has the module"
        reason = f"{advice}. It can't be read here ({error}); {lost}"
        return Virtual(name, module, (), None, reason, kept)
    if module == "fts5" and _option(arguments, "locale") not in (None, "0"):
        located = f"{advice}. Its rows are carried, and in table {name}_content with the locale of each text"
        return Virtual(name, module, columns, key, located, True)
    return Virtual(name, module, columns, key, f"{advice}. Its rows are carried", False)


def content(arguments: tuple[str, ...]) -> str | None:
    """The table that ``content=`` names, empty for none at all, None where it isn't said."""
    return _option(arguments, "content")


def _option(arguments: tuple[str, ...], name: str) -> str | None:
    """What an argument like ``name=word`` says, without its quotes."""
    for argument in arguments:
        match = re.fullmatch(
            rf"""\s*{name}\s*=\s*["'`\[]?(.*?)["'`\]]?\s*""", argument, re.I | re.S
        )
        if match:
            return match.group(1)
    return None


def _columns(
    connection: sqlite3.Connection, name: str, module: str, language: str | None
) -> tuple[tuple[tuple[str, str], ...], str | None]:
    rows = connection.execute(f"PRAGMA main.table_xinfo({sql.name(name)})").fetchall()
    columns = [(decoded(row[1]), decoded(row[2])) for row in rows if row[6] == 0]
    if language:  # a hidden one
        columns.append((language, "INTEGER"))
    if module in ("rtree", "rtree_i32"):  # its first column is the number
        return ((columns[0][0], "INTEGER"), *columns[1:]), columns[0][0]
    taken = {sql.folded(column) for column, _ in columns}
    key = next((n for n in sql.ROWID if n not in taken), None)
    return ((key, "INTEGER"), *columns) if key else tuple(columns), key
