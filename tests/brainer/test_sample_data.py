"""sample_data: the same rows every time, valid for the app, and hard to migrate."""

import sqlite3
import subprocess
import sys
from pathlib import Path

from .server import APP, running_brainer

TABLES = ("courses", "parts", "chapters", "exercises")


def generate(path: Path, *more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "sample_data", "--sqlite", str(path), *more],
        cwd=APP,
        capture_output=True,
        text=True,
    )


def dump(path: Path) -> list[str]:
    return list(sqlite3.connect(path).iterdump())


def test_the_same_arguments_give_the_same_rows_another_seed_gives_others(tmp_path: Path) -> None:
    dumps = []
    for name, seed in (("a", "7"), ("b", "7"), ("c", "8")):
        generated = generate(tmp_path / name, "--exercises", "300", "--seed", seed)
        assert generated.returncode == 0, generated.stderr
        dumps.append(dump(tmp_path / name))
    assert dumps[0] == dumps[1] != dumps[2]


def test_an_existing_file_is_never_touched(tmp_path: Path) -> None:
    path = tmp_path / "brainer.db"
    path.write_text("precious")
    refused = generate(path)
    assert (refused.returncode, path.read_text()) == (1, "precious")
    assert "exists" in refused.stderr
    assert list(tmp_path.iterdir()) == [path]


def test_the_app_serves_every_generated_row(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    path = tmp_path / "data" / "brainer.db"
    assert generate(path, "--exercises", "1500").returncode == 0
    rows = sqlite3.connect(path)
    with running_brainer(tmp_path) as client:
        for table in TABLES:
            served = []
            while page := client.get(
                f"/api/{table}", params={"skip": len(served), "limit": 1000}
            ).json():
                served += page
            assert len(served) == rows.execute(f"SELECT count(*) FROM {table}").fetchone()[0] > 0


def test_the_awkward_values_are_there(tmp_path: Path) -> None:
    path = tmp_path / "brainer.db"
    generate(path, "--exercises", "2000")
    rows = sqlite3.connect(path)

    def has(condition: str) -> bool:
        return bool(rows.execute(f"SELECT 1 FROM exercises WHERE {condition}").fetchone())

    for condition in (
        "hint IS NULL", "hint = ''", "content IS NULL", "content = 'null'",
        # a bare number: SQLite gives a column called JSON numeric affinity
        "typeof(content) = 'integer'", "typeof(content) = 'real'", "content LIKE '%-0.0%'",
        "instr(question, char(9))", "instr(question, char(10))", "instr(question, char(92))",
        "instr(question, char(39))", "question LIKE '%🧠%'", "difficulty = 0.1",
        "difficulty = 1e300", "difficulty = 5e-324", "difficulty IS NULL", "due_at IS NULL",
        "due_at LIKE '0001-%'", "due_at LIKE '9999-%.999999'", "points = 2147483647",
        "is_active = 0", "length(question) > 3000",
    ):  # fmt: skip
        assert has(condition), condition
    (sequence,) = rows.execute(
        "SELECT seq FROM sqlite_sequence WHERE name = 'exercises'"
    ).fetchone()
    (highest,) = rows.execute("SELECT max(id) FROM exercises").fetchone()
    assert sequence > highest > 2000, "ids have gaps, and the last one was deleted"
