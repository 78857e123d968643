"""The second judge sees each single thing that is missing, changed or added."""

import shutil
import sqlite3
from pathlib import Path

import pytest

from .corpus.oracle import judge
from .program import Program, beside, sqlite

SOURCE = """
CREATE TABLE parent (id INTEGER PRIMARY KEY AUTOINCREMENT, code TEXT NOT NULL UNIQUE);
CREATE TABLE child (a INTEGER, b TEXT, n NUMERIC(8,2) DEFAULT 1.5, r REAL, x BLOB, t DATETIME, f BOOLEAN,
  p INTEGER REFERENCES parent (id) ON DELETE CASCADE, CHECK (a > 0), PRIMARY KEY (a, b));
CREATE TABLE loose (v);
CREATE INDEX child_p ON child (p);
CREATE UNIQUE INDEX child_n ON child (n) WHERE r > 1;
CREATE VIEW few AS SELECT id, code FROM parent WHERE id < 3;
CREATE TRIGGER told AFTER DELETE ON child BEGIN SELECT 1; END;
INSERT INTO parent VALUES (1, 'a'), (2, 'b'), (9, 'c');
DELETE FROM parent WHERE id = 9;
INSERT INTO child VALUES (1, 'x', 1.25, 0.1, x'00ff', '2024-02-29 10:00:00', 1, 1),
  (1, 'y', 2, 1e300, x'', '2024-02-29 10:00:00.5', 0, NULL);
INSERT INTO loose VALUES ('same'), ('same'), (NULL);
"""
DAMAGE = [
    "DELETE FROM loose WHERE ctid = (SELECT min(ctid) FROM loose)",
    "INSERT INTO loose VALUES ('same')",
    "UPDATE loose SET v = '' WHERE v IS NULL",
    "UPDATE parent SET code = 'A' WHERE id = 1",
    "UPDATE child SET n = 2.01 WHERE b = 'y'",
    "UPDATE child SET r = 0.10000000000000002 WHERE b = 'x'",
    "UPDATE child SET x = '' WHERE b = 'x'",
    "UPDATE child SET x = NULL WHERE b = 'y'",
    "UPDATE child SET t = t + interval '1 microsecond' WHERE b = 'x'",
    "UPDATE child SET f = NOT f WHERE b = 'x'",
    "ALTER TABLE child DROP CONSTRAINT child_pkey",
    "ALTER TABLE child DROP CONSTRAINT child_p_fkey",
    "ALTER TABLE child DROP CONSTRAINT child_a_check",
    "ALTER TABLE child DROP CONSTRAINT child_p_fkey, ADD FOREIGN KEY (p) REFERENCES parent (id)",
    "ALTER TABLE child ALTER COLUMN n DROP DEFAULT",
    "ALTER TABLE child ALTER COLUMN n SET DEFAULT 2",
    "ALTER TABLE parent ALTER COLUMN code DROP NOT NULL",
    "DELETE FROM loose WHERE v IS NULL; ALTER TABLE loose ALTER COLUMN v SET NOT NULL",
    "ALTER TABLE child ALTER COLUMN r SET NOT NULL",
    "ALTER TABLE parent ALTER COLUMN id DROP IDENTITY",
    "ALTER TABLE parent ALTER COLUMN id RESTART WITH 9",
    "ALTER TABLE parent DROP CONSTRAINT parent_code_key",
    "ALTER TABLE loose RENAME COLUMN v TO w",
    "ALTER TABLE child DROP COLUMN x",
    "ALTER TABLE loose ADD COLUMN w int",
    "DROP INDEX child_p",
    "DROP INDEX child_n; CREATE INDEX child_n ON child (n) WHERE r > 1",
    "DROP INDEX child_n; CREATE UNIQUE INDEX child_n ON child (n)",
    "DROP TABLE loose",
    "CREATE TABLE more (x int)",
]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sqlite(tmp_path_factory.mktemp("oracle") / "source.db", SOURCE)


def test_it_sees_each_damage(program: Program, source: Path) -> None:
    done = program.run(source)
    assert done.code == 0, done.out
    assert judge(source, program.url, done.report) == []
    seen = {d: judge(source, program.url, done.report, damage=d) for d in DAMAGE}
    assert [damage for damage, found in seen.items() if not found] == []


def test_it_wants_to_be_told(program: Program, source: Path) -> None:
    """What the report leaves out is missed: an object, a note, a row count."""
    report = program.run(source).report
    assert any(u["kind"] == "trigger" for u in report["uncarried"])
    report["uncarried"] = []
    assert any("trigger told" in problem for problem in judge(source, program.url, report))
    report["tables"][0]["rows"] += 1
    assert any("rows of" in problem for problem in judge(source, program.url, report))
    report["tables"] = report["tables"][1:]
    assert any("neither carried nor named" in p for p in judge(source, program.url, report))


def test_it_reads_what_lies_beside(program: Program, source: Path, tmp_path: Path) -> None:
    """Rows that are only in the -wal are rows; the file that is judged stays as it is."""
    live = Path(shutil.copyfile(source, tmp_path / "live.db"))
    connection = sqlite3.connect(live)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("INSERT INTO loose VALUES ('late')")
    connection.commit()
    before = beside(live)
    report = program.run(live).report
    assert judge(live, program.url, report) == []
    assert judge(source, program.url, report) != []
    assert beside(live) == before
    connection.close()
