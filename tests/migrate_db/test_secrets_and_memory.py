"""What nobody may see, and how much memory a migration takes."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import quote

import pytest
from sample_data import fill

from ..conftest import PASSWORD
from ..postgres import PostgresContainer
from .program import Program, sqlite


def forms() -> list[str]:
    return [PASSWORD, quote(PASSWORD, safe=""), quote(PASSWORD), json.dumps(PASSWORD)[1:-1]]


def test_the_password_is_never_told(
    program: Program, tmp_path: Path, postgres_container: PostgresContainer
) -> None:
    """Not in output, reports or events, nor in the arguments of any process on the way."""
    source = tmp_path / "brainer.db"
    fill(source, exercises=3000, seed=1)
    tools = "docker exec -i -e PGUSER -e PGPASSWORD -e PGDATABASE " + postgres_container.name
    files = {name: tmp_path / name for name in ("report", "html", "events")}
    words = [word for name, path in files.items() for word in (f"--{name}", path)]
    seen, out = [], ""
    program.run(source)
    sqlite(source, "UPDATE courses SET title = 'changed'")
    for options in (["--replace", "--keep-dump", tmp_path, "--server-tools", tools], []):
        process = program.spawn("run", "--source", source, *words, *options)
        while process.poll() is None:
            seen += list(command_lines())
            time.sleep(0.01)
        out += process.communicate()[0]
    assert any(b"migrate_db" in line for line in seen)
    told = out.encode() + b"".join(path.read_bytes() for path in files.values())
    for secret in forms():
        assert secret.encode() not in told
        assert not any(secret.encode() in line for line in seen)


def command_lines() -> list[bytes]:
    lines = []
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            lines.append(process.read_bytes())
        except OSError:  # it ended just now
            continue
    return lines


# not ru_maxrss: a child begins with that of the process that started it
MEASURED = """
import sys
from migrate_db.cli import main
code = main(sys.argv[1:])
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
print("peak", int(status["VmHWM"].split()[0]) // 1024, file=sys.stderr)
sys.exit(code)
"""


def peak_of(program: Program, *words: object) -> int:
    """MiB that the whole program took."""
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, *map(str, words), "--work-dir", str(program.work)],
        env=program.environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return int(done.stderr.rsplit("peak ", 1)[1])


ROWS = """
PRAGMA synchronous = OFF;
CREATE TABLE numbered (id INTEGER PRIMARY KEY, x TEXT, f FLOAT, d DATETIME);
CREATE TABLE worded (w TEXT PRIMARY KEY, n INTEGER);
CREATE TABLE loose (a INTEGER, b TEXT);
WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < 200000)
INSERT INTO numbered SELECT n, 'row ' || n || ' of many', n / 3.0, '2024-02-29 12:00:00' FROM r;
INSERT INTO worded SELECT 'w' || (id * 7919 % 200003), id FROM numbered WHERE id <= 30000;
INSERT INTO loose SELECT id % 1000, x FROM numbered WHERE id <= 30000;
"""


def test_memory_does_not_grow_with_rows(program: Program, tmp_path: Path) -> None:
    source = sqlite(tmp_path / "rows.db", ROWS)
    assert peak_of(program, "run", "--source", source) < 64
    sqlite(source, "UPDATE numbered SET x = 'changed' WHERE id % 5 = 0")
    assert peak_of(program, "run", "--catch-up", "--source", source) < 64


def test_memory_does_not_grow_with_keys(program: Program, tmp_path: Path) -> None:
    """Catching up remembers them by their size, not by their number."""
    source = sqlite(
        tmp_path / "keys.db",
        "CREATE TABLE t (k TEXT PRIMARY KEY, n INTEGER);"
        "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < 12000)"
        " INSERT INTO t SELECT n || '-' || hex(randomblob(1000)), n FROM r",
    )
    assert program.run(source).code == 0
    sqlite(source, "UPDATE t SET n = n + 1")
    assert peak_of(program, "run", "--catch-up", "--source", source) < 64


def many(tables: int) -> str:
    """A schema as a large app has it: wide tables, CHECKs, views, and long triggers."""
    columns = ", ".join(
        f"c{n} VARCHAR(100) NOT NULL DEFAULT '' CHECK (length(c{n}) < {n}0)" if n % 2 else f"c{n} INTEGER"
        for n in range(1, 21)
    )  # fmt: skip
    rules = " ".join(
        f"SELECT RAISE(ABORT, 'rule {n} of a row') WHERE EXISTS (SELECT 1 FROM t0 WHERE c2 = NEW.c4 + {n});"
        for n in range(50)
    )
    return "".join(
        f"CREATE TABLE t{n} (id INTEGER PRIMARY KEY, {columns});"
        f"CREATE VIEW v{n} AS SELECT id, c1, c2 + {n} AS more FROM t{n} WHERE c4 IS NOT NULL;"
        f"CREATE TRIGGER r{n} BEFORE INSERT ON t{n} BEGIN {rules} END;"
        for n in range(tables)
    )


def test_memory_hardly_grows_with_tables(program: Program, tmp_path: Path) -> None:
    source = sqlite(tmp_path / "many.db", many(30))
    assert peak_of(program, "run", "--allow-empty", "--source", source) < 64


def test_memory_does_not_grow_with_a_value(program: Program, tmp_path: Path) -> None:
    source = sqlite(
        tmp_path / "film.db",
        "CREATE TABLE t (id INTEGER PRIMARY KEY, film BLOB);"
        "INSERT INTO t VALUES (1, randomblob(90000000)), (2, X'')",
    )
    assert peak_of(program, "run", "--source", source) < 64
    assert peak_of(program, "verify", "--source", source) < 64


def test_memory_does_not_grow_with_values_nobody_looked_for(
    program: Program, tmp_path: Path
) -> None:
    """A megabyte and a half, among so many rows that the table is taken as it is declared."""
    source = sqlite(
        tmp_path / "photos.db",
        "CREATE TABLE t (id INTEGER PRIMARY KEY, photo BLOB);"
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 25000)"
        " INSERT INTO t SELECT i, randomblob(CASE WHEN i % 2500 THEN 20 ELSE 1500000 END) FROM n",
    )
    assert peak_of(program, "run", "--source", source) < 64


@pytest.mark.slow
def test_a_million_rows(program: Program, tmp_path: Path) -> None:
    source = tmp_path / "brainer.db"
    fill(source, exercises=1_000_000, seed=7)
    assert peak_of(program, "run", "--source", source) < 64
    assert os.path.getsize(source) > 300_000_000
