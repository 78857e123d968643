"""Damaged files: refused with one screen, the target untouched, every byte of the source as it was.

Never a traceback and never exit 0 with less than SQLite itself reads.
"""

import random
import sqlite3
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from .corpus.oracle import judge
from .program import Program, beside, image, sqlite

PAGE = 1024


@pytest.fixture
def source(tmp_path: Path) -> Path:
    directory = tmp_path / "app"
    directory.mkdir()
    path = sqlite(
        directory / "app.db",
        f"PRAGMA page_size = {PAGE};"
        "CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT UNIQUE, n INTEGER, long TEXT);"
        "CREATE TABLE gone (x TEXT); CREATE INDEX t_n ON t (n);"
        "WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < 400)"
        " INSERT INTO t SELECT i, 'a' || i, i % 7, substr(hex(zeroblob(900)), 1, i * 4) FROM c;"
        "INSERT INTO gone SELECT long FROM t; DELETE FROM gone",
    )
    assert sqlite3.connect(path).execute("PRAGMA freelist_count").fetchone()[0] > 10
    return path


def _root(path: Path, name: str) -> int:
    row = sqlite3.connect(path).execute("SELECT rootpage FROM sqlite_schema WHERE name = ?", [name])
    return int(row.fetchone()[0])


def _at(page: int, offset: int = 0) -> int:
    return (page - 1) * PAGE + offset


def _zero(name: str) -> Callable[[Path, bytearray], None]:
    def damage(path: Path, content: bytearray) -> None:
        start = _at(_root(path, name))
        content[start : start + PAGE] = bytes(PAGE)

    return damage


def _header(offset: int, value: bytes) -> Callable[[Path, bytearray], None]:
    def damage(path: Path, content: bytearray) -> None:
        content[offset : offset + len(value)] = value

    return damage


def _cut(length: Callable[[int], int]) -> Callable[[Path, bytearray], None]:
    def damage(path: Path, content: bytearray) -> None:
        del content[length(len(content)) :]

    return damage


def _freelist(path: Path, content: bytearray) -> None:
    (trunk,) = struct.unpack(">I", content[32:36])
    content[_at(trunk) : _at(trunk, 12)] = struct.pack(">III", 999_999, 7, _root(path, "t"))


def _index_entry(path: Path, content: bytearray) -> None:
    """Another value in one entry of an index; the table itself is sound."""
    start = _at(_root(path, "sqlite_autoindex_t_1"))
    found = content.find(b"a2", start)
    content[found : found + 2] = b"zz"


def _cell_pointers(path: Path, content: bytearray) -> None:
    start = _at(_root(path, "t"), 12)
    content[start : start + 8] = b"\xff" * 8


def _schema(path: Path, content: bytearray) -> None:
    found = content.index(b"CREATE TABLE t")
    content[found : found + 6] = b"CR\x00ATE"


DAMAGES = {
    "half of it": _cut(lambda size: size // 2),
    "no whole page": _cut(lambda size: size - 100),
    "one page": _cut(lambda size: PAGE),
    "header only": _cut(lambda size: 100),
    "zeroed table": _zero("t"),
    "zeroed index": _zero("t_n"),
    "page size 3": _header(16, b"\x00\x03"),
    "format 9": _header(18, b"\x09\x09"),
    "reserved bytes": _header(20, b"\xff"),
    "encoding 7": _header(56, struct.pack(">I", 7)),
    "schema format": _header(44, struct.pack(">I", 99)),
    "freelist points nowhere": _header(32, struct.pack(">I", 999_999)),
    "freelist has a table's page": _freelist,
    "an index entry": _index_entry,
    "cell pointers": _cell_pointers,
    "the schema": _schema,
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_refused(program: Program, source: Path, damage: str) -> None:
    content = bytearray(source.read_bytes())
    DAMAGES[damage](source, content)
    assert content != source.read_bytes()
    source.write_bytes(content)
    before, kept = beside(source), image(program.url)
    for result in (program.run(source), program.check(source)):
        assert result.code == 1, result.out
        error = result.report["error"]
        assert error[0].startswith("error: ") and error[-1].startswith("next:  "), error
        assert str(source) in result.error and len(error) <= 24
    assert beside(source) == before and image(program.url) == kept
    assert list(program.work.iterdir()) == []


def test_any_byte(program: Program, source: Path) -> None:
    """A flipped byte is either seen, or what arrives is what SQLite reads of that file."""
    good = source.read_bytes()
    dice = random.Random(7)
    done = refused = 0
    for _ in range(25):
        content = bytearray(good)
        for _ in range(3):
            content[dice.randrange(len(content))] ^= 1 << dice.randrange(8)
        source.write_bytes(content)
        result = program.run(source, "--schema", f"s{done}")
        assert source.read_bytes() == content
        if result.code == 0:
            assert judge(source, program.url, result.report, f"s{done}") == []
            done += 1
        else:
            assert result.code == 1 and (result.report["error"] or result.report["findings"])
            refused += 1
    assert done and refused


@pytest.mark.parametrize("end", ["-wal", "-journal"])
@pytest.mark.parametrize(
    "content", [b"", b"\x00" * 700, b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7", b"x" * 5000]
)
def test_rubbish_beside_it(program: Program, source: Path, end: str, content: bytes) -> None:
    """A torn -wal or -journal: SQLite's own reading of both together is what arrives."""
    if end == "-wal":
        sqlite(source, "PRAGMA journal_mode = WAL")
    source.with_name(source.name + end).write_bytes(content)
    before = beside(source)
    result = program.run(source)
    assert beside(source) == before
    if result.code == 0:
        assert judge(source, program.url, result.report) == []
    else:
        assert result.code == 1 and result.report["error"], result.out


def test_half_a_wal(program: Program, source: Path, tmp_path: Path) -> None:
    """Cut in the middle of a frame, as a crash leaves it: the transactions before it count."""
    connection = sqlite3.connect(source)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA wal_autocheckpoint = 0")
    for number in range(3):
        connection.execute(f"UPDATE t SET n = 100 + {number}")
        connection.commit()
    (tmp_path / "crashed").mkdir()
    crashed = tmp_path / "crashed" / "app.db"
    crashed.write_bytes(source.read_bytes())
    wal = source.with_name("app.db-wal").read_bytes()
    crashed.with_name("app.db-wal").write_bytes(wal[: len(wal) * 5 // 6])
    connection.close()
    before = beside(crashed)
    result = program.run(crashed)
    assert result.code == 0, result.out
    assert beside(crashed) == before
    assert judge(crashed, program.url, result.report) == []


def test_what_sqlite_takes_for_damage(program: Program, tmp_path: Path) -> None:
    """SQLite 3.40 sees a NULL where a row lies in the order of a key that isn't its first column."""
    source = sqlite(
        tmp_path / "sound.db",
        "CREATE TABLE a (x BOOL, y TEXT NOT NULL, z INT NOT NULL, k INT, PRIMARY KEY (k)) WITHOUT ROWID;"
        "CREATE TABLE a2 (x INT); INSERT INTO a VALUES (NULL, 'a', 1, 3), (1, 'b', 2, 4)",
    )
    result = program.run(source)
    assert result.code == 0, result.out
    assert judge(source, program.url, result.report) == []


def test_what_only_a_newer_sqlite_understands(program: Program, tmp_path: Path) -> None:
    """The file is sound; its reader is too old, and says what to do."""
    source = sqlite(
        tmp_path / "newer.db",
        "CREATE TABLE t (a, b); CREATE VIEW listed AS SELECT 1; PRAGMA writable_schema = ON;"
        "UPDATE sqlite_schema SET sql = 'CREATE VIEW listed AS SELECT sum(a ORDERED FROM FUTURE b) FROM t'"
        " WHERE name = 'listed'",
    )
    before = beside(source)
    result = program.run(source)
    assert result.code == 1 and "doesn't understand listed" in result.error
    assert "drop listed" in result.error
    assert beside(source) == before and image(program.url)["objects"] == []
