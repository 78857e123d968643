"""What the app's models declare, asked of the app's own image; and what of it matters."""

from __future__ import annotations

import json

from db_doctor.ask import run
from db_doctor.facts import App
from db_doctor.options import Options

#: Runs in a container of the app's image, without a network. Importing models opens no database.
_SCRIPT = """
import importlib, json, sys
from sqlalchemy import MetaData
from sqlalchemy.dialects import postgresql
found = {}
for item in list(vars(importlib.import_module(sys.argv[1])).values()):
    metadata = item if isinstance(item, MetaData) else getattr(item, "metadata", None)
    if isinstance(metadata, MetaData):
        for table in metadata.tables.values():
            name = f"{table.schema or 'public'}.{table.name}"
            found[name] = {c.name: c.type.compile(dialect=postgresql.dialect()) for c in table.columns}
print(json.dumps(found))
"""

#: Words of a type, and the family in which one stands for the other without the app noticing.
_FAMILIES = {
    "json": "json", "jsonb": "json",
    "text": "text", "varchar": "text", "character": "text", "char": "text", "citext": "text",
    "smallint": "integer", "integer": "integer", "bigint": "integer", "serial": "integer", "bigserial": "integer",
    "boolean": "boolean", "bytea": "bytea", "uuid": "uuid", "date": "date",
    "timestamp": "timestamp", "time": "time", "interval": "interval",
    "numeric": "number", "float": "number", "real": "number", "double": "number",
}  # fmt: skip


def columns(options: Options, app: App) -> tuple[dict[str, dict[str, str]], str]:
    """Table, column and declared type, as PostgreSQL would write it; and why not, if not."""
    said = run(
        "docker", "run", "--rm", "--interactive", "--network", "none", "--memory", "256m", "--env", "DB_TYPE=sqlite",
        "--pull", "never", "--entrypoint", "python", app.image, "-c", _SCRIPT, options.models,
        patience=max(options.patience, 30),
    )  # fmt: skip
    try:
        found: dict[str, dict[str, str]] = json.loads(said.out)
    except ValueError:
        return {}, (said.err.strip().splitlines() or [said.why])[-1]
    return found, ""


def family(kind: str) -> str:
    """The family of a type; empty for one that is not known here, which is never judged."""
    if kind.endswith("[]"):
        return ""
    words = kind.lower().replace("(", " ").split()
    return _FAMILIES.get(words[0], "") if words else ""
