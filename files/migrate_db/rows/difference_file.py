"""Every row that differs, as JSON lines: what one side would lose if the other one won."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pg_tools.files import private, sync

from migrate_db.planning.plan import TablePlan
from migrate_db.rows.difference import Change, Row
from migrate_db.rows.proof import Told


@contextmanager
def written(path: Path | None) -> Iterator[Told | None]:
    """Write aside, mode 0600; renamed into place when all was compared."""
    if path is None:
        yield None
        return
    aside = path.with_name(f"{path.name}.partial")
    aside.unlink(missing_ok=True)
    try:
        with open(aside, "x", encoding="utf-8", opener=private) as file:

            def tell(plan: TablePlan, change: Change) -> None:
                file.write(json.dumps(_plain(plan, change), ensure_ascii=False) + "\n")

            yield tell
            file.flush()
            os.fsync(file.fileno())
        aside.rename(path)
    finally:
        aside.unlink(missing_ok=True)
    sync(path.parent)


def _plain(plan: TablePlan, change: Change) -> dict[str, object]:
    one = _named(plan, change.source) or _named(plan, change.target) or {}
    return {
        "table": change.table,
        "kind": change.kind,
        "key": {column: one[column] for column in plan.key},
        "source": _named(plan, change.source),
        "target": _named(plan, change.target),
    }


def _named(plan: TablePlan, row: Row | None) -> dict[str, str] | None:
    """The values in canonical text, by the source's column names."""
    if row is None:
        return None
    return {column.source: text for column, text in zip(plan.columns, row, strict=True)}
