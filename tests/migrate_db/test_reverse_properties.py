"""Any schema, any rows, anything written to PostgreSQL: back as a file that another judge finds equal.

Or findings that say what SQLite can't hold; nothing between. What was not touched is the same
row in the same place, byte for byte.
"""

import random
from contextlib import suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, Phase, given, note, settings
from hypothesis import strategies as st

from .corpus.oracle import judge
from .home import stored
from .program import Program, ask, fetch
from .test_properties import Example, _fresh, build, examples

LITERALS = {
    "integer": ["0", "1", "-1", "2147483647", "77"],
    "bigint": ["0", "9223372036854775807", "-9223372036854775808", "1700000000000"],
    "smallint": ["0", "32767"],
    "boolean": ["true", "false"],
    "double precision": ["0.1", "20", "1e300", "'Infinity'", "-0.0", "'NaN'"],
    "real": ["0.5", "20"],
    "numeric": ["0", "1.10", "20", "1e20", "0.1", "-3"],
    "text": ["''", "'a'", "'A'", "'17'", "'1.0'", "'017'", "' 5'", "'it''s, \"x\"'", "'日本🙂'", "'1e5'"],
    "bytea": ["''", "'\\x00ff'", "'a'"],
    "json": ["'{\"b\":1,\"a\": 2}'", "'17'", "'\"17\"'", "'null'", "'[1.50]'"],
    "date": ["'2024-02-29'", "'0001-01-01'", "'infinity'"],
    "timestamp without time zone": ["'2024-02-29 01:02:03'", "'2024-02-29 01:02:03.000001'", "'9999-12-31'"],
    "timestamp with time zone": ["'2024-02-29 01:02:03+05'", "'2024-02-29 01:02:03.25Z'"],
    "time without time zone": ["'01:02:03'", "'23:59:59.999999'"],
    "uuid": ["'0f8fad5b-d9cb-469f-a165-70867728950e'"],
}  # fmt: skip
_COLUMNS = """
    SELECT c.relname, a.attname, format_type(a.atttypid, NULL) FROM pg_class c
    JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND a.attgenerated = ''
    ORDER BY 1, a.attnum
"""


def literal(chance: random.Random, kind: str) -> str:
    if chance.random() < 0.15:
        return "NULL"
    return chance.choice(LITERALS.get(kind, LITERALS["text"]))


def write_anything(url: str, chance: random.Random) -> None:
    """As an app might; what the rules of the database refuse is not written."""
    tables: dict[str, list[tuple[str, str]]] = {}
    for table, column, kind in ask(url, _COLUMNS):
        tables.setdefault(_quoted(table), []).append(
            (_quoted(column), kind.replace("character varying", "text"))
        )
    for table, columns in tables.items():
        for _ in range(chance.randint(0, 6)):
            row = f"(SELECT ctid FROM {table} ORDER BY ctid OFFSET {chance.randint(0, 4)} LIMIT 1)"
            column, kind = chance.choice(columns)
            names = ", ".join(name for name, _ in columns)
            values = ", ".join(literal(chance, k) for _, k in columns)
            statement = chance.choice([
                f"DELETE FROM {table} WHERE ctid = {row}",
                f"UPDATE {table} SET {column} = {literal(chance, kind)} WHERE ctid = {row}",
                f"UPDATE {table} SET {column} = {literal(chance, kind)} WHERE ctid = {row}",
                f"UPDATE {table} SET {column} = (SELECT {column} FROM {table} ORDER BY ctid LIMIT 1)"
                f" WHERE ctid = {row}",
                f"INSERT INTO {table} ({names}) OVERRIDING SYSTEM VALUE VALUES ({values})",
                f"INSERT INTO {table} ({names}) OVERRIDING SYSTEM VALUE VALUES ({values})",
            ])  # fmt: skip
            with suppress(psycopg.Error):
                ask(url, statement)
                note(statement)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def demand(program: Program, tmp_path: Path, example: Example, seed: int) -> str:
    source, kept, into = (tmp_path / name for name in ("any.db", "kept.db", "back.db"))
    if not build(example, source):
        return "none"
    for path in (kept, into, tmp_path / "aside.db"):
        path.unlink(missing_ok=True)
    for statement in example.script:
        note(statement)
    note(repr(example.rows))
    _fresh(program.url)
    words = (
        "--allow-empty",
        "--on-finding",
        "quarantine",
        "--quarantine-file",
        tmp_path / "aside.db",
    )
    moved = program.run(source, "--hold", "--keep-snapshot", kept, *words)
    assert moved.code in (0, 3), moved.out
    if not moved.report["proof"]:
        return "none"
    assert program("open", None).code == 0
    before = judge(kept, program.url, moved.report)
    write_anything(program.url, random.Random(seed))
    assert program("close", None).code == 0
    back = program("reverse", kept, "--into", into)
    assert list(program.work.iterdir()) == []
    assert program("open", None).code == 0
    if back.code == 1:
        note(back.error)
        known = (
            "hide all names",
            "only the app knows",
            "beside what the kept file",
            "rows would point",
        )
        told = back.report["reversal"]["uncarried"]
        assert told or any(words in back.error for words in known), back.out
        assert all(f["reason"] and f["resolve"] for f in told) and not into.exists()
        return "refused"
    assert back.code == 0, back.out
    told = {t["table"]: t for t in back.report["reversal"]["tables"]}
    for table in moved.report["tables"]:
        counts = told[table["name"]]
        table["rows"] = counts["unchanged"] + counts["added"] + counts["changed"]
    # numbers that were written by hand are ahead of the sequence: the app's own doing; that a
    # column without values makes a number of '17' could not be said when it was migrated
    said = ("number", "nothing says so")
    found = [
        problem
        for problem in judge(into, program.url, moved.report)
        if problem not in before and not any(word in problem for word in said)
    ]
    assert found == [], back.out
    # SQLite 3.40 takes columns of WITHOUT ROWID tables for each other
    wrong = [row for row in fetch(into, "PRAGMA integrity_check") if " value in " not in row[0]]
    assert wrong in ([("ok",)], [])
    for counts in told.values():
        demand_untouched(kept, into, counts)
    return "reversed"


def demand_untouched(kept: Path, into: Path, told: dict[str, Any]) -> None:
    table = str(told["table"]).replace('"', '""')
    try:
        before, after = stored(kept, table, "_rowid_"), stored(into, table, "_rowid_")
    except Exception:  # no rowid
        return
    other = set(before.items()) ^ set(after.items())
    assert len(other) <= told["added"] + 2 * told["changed"] + told["removed"], told


_SETTINGS = {
    "deadline": None,
    "database": None,
    "phases": [Phase.generate],  # making a failing example small takes minutes
    "suppress_health_check": [HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
}


@given(examples(), st.integers(0, 2**32))
@settings(max_examples=25, derandomize=True, **_SETTINGS)  # type: ignore[arg-type]
def test_anything_comes_back(program: Program, tmp_path: Path, example: Example, seed: int) -> None:
    demand(program, tmp_path, example, seed)


@pytest.mark.slow
@given(examples(), st.integers(0, 2**32))
@settings(max_examples=400, **_SETTINGS)  # type: ignore[arg-type]
def test_anything_for_longer(program: Program, tmp_path: Path, example: Example, seed: int) -> None:
    demand(program, tmp_path, example, seed)
