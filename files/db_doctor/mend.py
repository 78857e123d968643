"""The fixes that are a matter of SQL alone. All else is arranged by role doctor."""

from __future__ import annotations

from collections.abc import Callable

from db_doctor import at_data, sql
from db_doctor.errors import DoctorError, Exit
from db_doctor.facts import Facts
from db_doctor.options import Options

#: Nobody's request waits longer than that for us.
_GENTLY = "SET lock_timeout = '10s'; SET search_path = pg_catalog;\n"


def sequences(facts: Facts, options: Options) -> list[str]:
    """Set each sequence that is behind to the highest number of its column; never back."""
    rows = at_data.behind(facts)
    text = "".join(
        f"SELECT setval({_literal(row['sequence'])},"
        f" greatest((SELECT max({row['column']}) FROM {row['table']}), last_value)) FROM {row['sequence']};\n"
        for row in rows
    )
    _do(options, options.database, f"{_GENTLY}BEGIN;\n{text}COMMIT;\n")
    return [f"{row['sequence']} goes on after {row['highest']}" for row in rows]


def types(facts: Facts, options: Options) -> list[str]:
    """Give json and text columns the type that the models declare; the tables are locked meanwhile."""
    rows = [row for row in at_data.drift(facts) if at_data.mendable(row)]
    _do(options, options.database, f"{_GENTLY}BEGIN;\n{''.join(map(_change, rows))}COMMIT;\n", 3600)
    return [
        f"{row['name']}.{row['quoted']} is {row['declared']}, was {row['type']}" for row in rows
    ]


def _change(row: dict[str, str]) -> str:
    column, kind = row["quoted"], row["declared"]
    steps = [f"ALTER COLUMN {column} TYPE {kind} USING {column}::{kind}"]
    if row.get("default"):
        steps = [
            f"ALTER COLUMN {column} DROP DEFAULT", *steps,
            f"ALTER COLUMN {column} SET DEFAULT ({row['default']})::{kind}",
        ]  # fmt: skip
    return f"ALTER TABLE {row['name']} {', '.join(steps)};\n"


def collation(facts: Facts, options: Options) -> list[str]:
    """Make the indexes anew, then note the new version; each table is locked while its indexes are made."""
    done = []
    for row in facts.server.databases:
        if row["recorded"] and row["actual"] and row["recorded"] != row["actual"]:
            name = '"' + str(row["name"]).replace('"', '""') + '"'
            text = f"REINDEX DATABASE {name};\nALTER DATABASE {name} REFRESH COLLATION VERSION;\n"
            _do(options, str(row["name"]), _GENTLY + text, 86400)
            done.append(f"{row['name']}: indexes made anew, version {row['actual']} noted")
    return done


MENDS: dict[str, Callable[[Facts, Options], list[str]]] = {
    "sequences": sequences,
    "types": types,
    "collation": collation,
}


def _do(options: Options, database: str, text: str, patience: int = 60) -> None:
    said = sql.statements(options, database, text, patience)
    if said.code:
        raise DoctorError(
            "PostgreSQL refused",
            where=f"{options.container}, database {database}",
            details=[said.why],
            next="mend what it says, then run it again; what it had not finished is as it was",
            code=Exit.REFUSED,
        )


def _literal(text: object) -> str:
    return "'" + str(text).replace("'", "''") + "'"
