"""Make SQLite files that can't be migrated: sources.py DIRECTORY."""

import sqlite3
import sys
from pathlib import Path

SCHEMA = """
CREATE TABLE courses (id INTEGER PRIMARY KEY, title VARCHAR(200) NOT NULL);
CREATE TABLE parts (id INTEGER PRIMARY KEY, course_id INTEGER NOT NULL REFERENCES courses(id));
INSERT INTO courses VALUES (1, 'one'), (2, 'two');
INSERT INTO parts VALUES (7, 1);
"""


def make(path: Path, more: str = "") -> None:
    connection = sqlite3.connect(path)
    connection.executescript(SCHEMA + more)
    connection.close()


directory = Path(sys.argv[1])
directory.mkdir()
make(directory / "orphan.db", "INSERT INTO parts VALUES (8, 99);")
make(directory / "nul.db", "INSERT INTO courses VALUES (3, 'a' || char(0) || 'b');")
(directory / "link.db").symlink_to("nul.db")
(directory / "text.db").write_text("id,title\n1,one\n" * 100)

# a page of a table is overwritten, as by a bad disk
torn = directory / "torn.db"
make(
    torn,
    "WITH RECURSIVE n(i) AS (SELECT 10 UNION ALL SELECT i + 1 FROM n WHERE i < 500)"
    " INSERT INTO courses SELECT i, hex(randomblob(90)) FROM n;",
)
with torn.open("r+b") as file:
    file.seek(4096 * 5)
    file.write(b"\xff" * 4096)
