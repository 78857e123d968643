"""What files of real apps have in them, and no textbook: each was lost, changed or refused once."""

import os
import pty
import sqlite3
import subprocess
from pathlib import Path

import psycopg
import pytest

from .corpus.oracle import judge
from .program import Program, Result, ask, fetch, sqlite


def migrated(program: Program, source: Path) -> Result:
    """It went through as it is, and a second program agrees."""
    done = program.run(source)
    assert done.code == 0, done.out
    assert judge(source, program.url, done.report) == []
    return done


def rewritten(path: Path, old: bytes, new: bytes) -> None:
    """Change the catalogue's own text, as the app's former self may have."""
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA writable_schema = ON")
    connection.execute(
        "UPDATE sqlite_schema SET sql = CAST(replace(CAST(sql AS BLOB), CAST(? AS BLOB), CAST(? AS BLOB)) AS TEXT)",
        (old, new),
    )
    connection.commit()
    connection.close()


def test_a_table_that_is_called_like_an_internal_one(program: Program, tmp_path: Path) -> None:
    source = sqlite(
        tmp_path / "s.db",
        """
        CREATE TABLE docs_content (id INTEGER PRIMARY KEY, title TEXT, owner TEXT);
        CREATE VIRTUAL TABLE docs USING fts5(title, content='docs_content', content_rowid='id');
        INSERT INTO docs_content VALUES (1, 'a', 'me'), (2, 'b', 'you');
        CREATE VIRTUAL TABLE message USING fts3(body); INSERT INTO message VALUES ('hi');
        CREATE TABLE message_stat (message INTEGER, reads INTEGER); INSERT INTO message_stat VALUES (1, 9);
        CREATE VIRTUAL TABLE spoken USING fts4(body, languageid="lid");
        INSERT INTO spoken (docid, body, lid) VALUES (1, 'a', 0), (2, 'b', 7);
        """,
    )
    assert program.run(source).code == 0
    assert ask(program.url, "SELECT owner FROM docs_content ORDER BY id") == [("me",), ("you",)]
    assert ask(program.url, "SELECT reads FROM message_stat") == [(9,)]
    assert ask(program.url, "SELECT body, lid FROM spoken ORDER BY 1") == [("a", 0), ("b", 7)]


@pytest.mark.parametrize("columns", ["t TEXT", "t TEXT, k TEXT, z TEXT"])
def test_half_a_pair_of_utf16(program: Program, tmp_path: Path, columns: str) -> None:
    """An emoji that was cut in two; what stands behind it must not make a letter of it."""
    source = sqlite(
        tmp_path / "s.db",
        f"PRAGMA encoding = 'UTF-16le'; CREATE TABLE m (id INTEGER PRIMARY KEY, {columns});"
        "INSERT INTO m (id, t) VALUES (1, CAST(x'61003dd8' AS TEXT)), (2, CAST(x'00de' AS TEXT)), (3, 'é'),"
        "(4, CAST(x'3dd84100' AS TEXT))",
    )
    assert program.run(source).findings == [("m", f"id={n}", "t") for n in (1, 2, 4)]
    mapping = tmp_path / "m.yml"
    program("plan", source, "--write-mapping", mapping)
    assert program.run(source, "--mapping", mapping).code == 0


def test_a_catalogue_that_is_not_utf8(program: Program, tmp_path: Path) -> None:
    source = sqlite(
        tmp_path / "s.db",
        "CREATE TABLE c (id INTEGER PRIMARY KEY, n TEXT DEFAULT 'N1' CHECK (n <> 'N2') /* NUMERO */);"
        "INSERT INTO c VALUES (1, 'a'); CREATE VIEW v AS SELECT n FROM c WHERE n <> 'N3'",
    )
    for old in (b"N1", b"N2", b"N3", b"NUMERO"):
        rewritten(source, old, b"N\xda")
    done = program.run(source)
    assert done.code == 0, done.out
    assert ask(program.url, "SELECT * FROM c") == [(1, "a")]
    told = {lack["kind"]: lack["reason"] for lack in done.report["uncarried"]}
    assert told.keys() == {"default", "check", "view"}
    assert all("not UTF-8" in reason for reason in told.values())
    sqlite(tmp_path / "n.db", "CREATE TABLE c (name TEXT); INSERT INTO c VALUES ('a')")
    rewritten(tmp_path / "n.db", b"name", b"n\xdame")
    named = program.check(tmp_path / "n.db")
    assert named.code == 1 and "a name that is not UTF-8" in named.error


@pytest.mark.parametrize("name", ["n°", "prix€", "ที่อยู่", "cafe\u0301", "a😀b", "y\u00a0z"])
def test_names_that_need_no_quotes_in_sqlite(program: Program, tmp_path: Path, name: str) -> None:
    source = sqlite(
        tmp_path / "s.db",
        f"CREATE TABLE p (id INTEGER PRIMARY KEY, {name} TEXT COLLATE NOCASE CHECK ({name} <> 'x'));"
        f"CREATE TABLE t (id INTEGER PRIMARY KEY, {name} INTEGER CONSTRAINT fk REFERENCES p"
        " DEFERRABLE INITIALLY DEFERRED)",
    )
    done = program.run(source, "--allow-empty")
    assert done.code == 0, done.out
    assert any("COLLATE NOCASE" in note for note in done.report["notes"])
    assert all(lack["kind"] == "check" for lack in done.report["uncarried"])
    if not done.report["uncarried"]:
        with pytest.raises(psycopg.errors.CheckViolation):
            ask(program.url, "INSERT INTO p VALUES (1, 'X')")
    found = ask(program.url, "SELECT conname, condeferred FROM pg_constraint WHERE contype = 'f'")
    assert found == [("fk", True)]


def test_any_in_a_strict_table_is_no_number(program: Program, tmp_path: Path) -> None:
    source = sqlite(
        tmp_path / "s.db",
        "CREATE TABLE s (x ANY CHECK (x <> 5)) STRICT; INSERT INTO s VALUES ('a'), ('12'), (7);"
        "CREATE TABLE u (x ANY CHECK (x <> '5')) STRICT; INSERT INTO u VALUES (1), (2)",
    )
    migrated(program, source)
    ask(program.url, "INSERT INTO s VALUES ('5')")
    ask(program.url, "INSERT INTO u VALUES (5)")


def test_values_that_contradict_their_declaration(program: Program, tmp_path: Path) -> None:
    """integrity_check complains of them; the file is sound, and nothing of it is lost."""
    source = sqlite(
        tmp_path / "s.db",
        "CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT ); INSERT INTO t VALUES (1, 'x'), (2, NULL);"
        "ALTER TABLE t ADD COLUMN c TEXT DEFAULT TRUE",
    )
    done = migrated(program, source)
    assert "SQLite's integrity_check: NUMERIC value in t.c" in done.report["notes"]
    rewritten(source, b"a TEXT ", b"a TEXT NOT NULL ")
    checked = program.check(source)
    assert checked.findings == [("t", "id=2", "a")]
    ask(program.url, "DROP TABLE t; DROP SCHEMA migrate_db CASCADE")
    aside = tmp_path / "aside.db"
    rest = program.run(source, "--on-finding", "quarantine", "--quarantine-file", aside)
    assert rest.code == 3 and fetch(aside, "SELECT id, a FROM t") == [(2, None)]
    assert not any("becomes" in note for note in rest.report["notes"] if note.startswith("t.a"))


DEFAULTS = {
    "CREATE TABLE t (a INTEGER, d DATETIME NOT NULL DEFAULT (STRFTIME('%Y-%m-%d %H:%M:%f', 'NOW')));"
    "INSERT INTO t VALUES (1, '2024-01-01 00:00:00.123')": "d > timezone('utc', now()) - interval '1 minute'",
    "CREATE TABLE t (a INTEGER, d datetime NOT NULL DEFAULT CURRENT_TIMESTAMP);"
    "INSERT INTO t VALUES (1, '2024-01-01T10:00:00'), (2, '2024-01-02 10:00:00.5')":
        "d > timezone('utc', now()) - interval '1 minute'",
    "CREATE TABLE t (a INTEGER, d INTEGER NOT NULL DEFAULT (strftime('%s', 'Now'))); INSERT INTO t VALUES (1, 2)":
        "d > 1700000000",
    "CREATE TABLE t (a INTEGER, d BOOLEAN NOT NULL DEFAULT 1000); INSERT INTO t VALUES (1, 1)": "d = 1000",
    "CREATE TABLE t (a INTEGER, d NOT NULL DEFAULT 0); INSERT INTO t VALUES (1, 1.5)": "d = 0",
    "CREATE TABLE t (a INTEGER, d INTEGER NOT NULL DEFAULT (unixepoch('now')*1000))": "d > 1700000000000",
    "CREATE TABLE t (a INTEGER, d INTEGER NOT NULL DEFAULT 5000000000)": "d = 5000000000",
    "CREATE TABLE t (a INTEGER, d boolean NOT NULL DEFAULT 'f')": "NOT d",
}  # fmt: skip


@pytest.mark.parametrize("script", DEFAULTS)
def test_defaults_of_real_apps(program: Program, tmp_path: Path, script: str) -> None:
    done = program.run(sqlite(tmp_path / "s.db", script), "--allow-empty")
    assert (done.code, done.report["uncarried"]) == (0, []), done.out
    ask(program.url, "INSERT INTO t (a) VALUES (77)")
    assert ask(program.url, f"SELECT {DEFAULTS[script]} FROM t WHERE a = 77") == [(True,)]


def test_a_wish_is_about_defaults_too(program: Program, tmp_path: Path) -> None:
    source = sqlite(
        tmp_path / "s.db",
        "CREATE TABLE t (a INTEGER, d BLOB NOT NULL DEFAULT ''); INSERT INTO t VALUES (1, x'00'), (2, 'x')",
    )
    mapping = tmp_path / "m.yml"
    mapping.write_text("tables: {t: {columns: {d: {mixed: bytes}}}}")
    done = program.run(source, "--mapping", mapping)
    assert (done.code, done.report["uncarried"]) == (0, []), done.out
    ask(program.url, "INSERT INTO t (a) VALUES (77)")
    assert ask(program.url, "SELECT d FROM t WHERE a = 77") == [(b"",)]


def test_numbers_that_were_written_by_hand(program: Program, tmp_path: Path) -> None:
    source = sqlite(
        tmp_path / "s.db",
        "CREATE TABLE a (id INTEGER PRIMARY KEY AUTOINCREMENT, x INT); INSERT INTO a VALUES (5, 1);"
        "CREATE TABLE b (id INTEGER PRIMARY KEY AUTOINCREMENT, x INT); INSERT INTO b VALUES (5, 1);"
        "UPDATE sqlite_sequence SET seq = iif(name = 'a', '100', 500.0)",
    )
    migrated(program, source)
    assert ask(program.url, "INSERT INTO a (x) VALUES (1) RETURNING id") == [(101,)]
    assert ask(program.url, "INSERT INTO b (x) VALUES (1) RETURNING id") == [(501,)]


def test_a_parent_that_sqlite_finds_in_any_case(program: Program, tmp_path: Path) -> None:
    source = sqlite(
        tmp_path / "s.db",
        "CREATE TABLE users (name TEXT PRIMARY KEY COLLATE NOCASE); INSERT INTO users VALUES ('Bob');"
        "CREATE TABLE posts (id INTEGER PRIMARY KEY, author TEXT REFERENCES users (name));"
        "INSERT INTO posts VALUES (1, 'Bob')",
    )
    notes = migrated(program, source).report["notes"]
    assert any(
        "foreign key of posts(author): SQLite finds its users.name by NOCASE" in n for n in notes
    )
    sqlite(source, "UPDATE posts SET author = 'bob'")
    found = program.check(source).report["findings"]
    assert "has another case or more spaces, or doesn't exist" in found[0]["reason"]


def test_a_text_of_utf16_that_sqlite_would_change(program: Program, tmp_path: Path) -> None:
    source = sqlite(
        tmp_path / "s.db",
        "PRAGMA encoding = 'UTF-16le'; CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT);"
        "INSERT INTO t VALUES (1, CAST(x'4100FFFF4200' AS TEXT)), (2, CAST(x'4100FEFF4200' AS TEXT)), (3, 'é')",
    )
    assert program.run(source).findings == [("t", "id=1", "a"), ("t", "id=2", "a")]
    mapping = tmp_path / "m.yml"
    program("plan", source, "--write-mapping", mapping)
    assert program.run(source, "--mapping", mapping).code == 0
    assert ask(program.url, "SELECT a FROM t WHERE id < 3") == [("A\ufffdB",)] * 2


def test_a_column_that_came_later_beside_a_large_value(program: Program, tmp_path: Path) -> None:
    source = sqlite(
        tmp_path / "s.db",
        "CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT); INSERT INTO t VALUES (1, hex(zeroblob(700000)));"
        "ALTER TABLE t ADD COLUMN c TEXT NOT NULL DEFAULT 'en'",
    )
    migrated(program, source)
    assert ask(program.url, "SELECT length(a), c FROM t") == [(1_400_000, "en")]
    assert program.verify(source).verdict == "equal"


def test_quotes_that_move_between_two_large_columns(program: Program, tmp_path: Path) -> None:
    source = sqlite(
        tmp_path / "s.db",
        "CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT, b TEXT);"
        "INSERT INTO t VALUES (1, hex(zeroblob(600000)), hex(zeroblob(600000))), (2, 'a''b', 'c')",
    )
    migrated(program, source)
    ask(program.url, "UPDATE t SET a = 'a', b = 'b''c' WHERE id = 2")
    assert program.verify(source).code == 3


def test_a_day_of_no_year(program: Program, tmp_path: Path) -> None:
    """PHP writes MySQL's 0000-00-00 so."""
    source = sqlite(
        tmp_path / "s.db",
        "CREATE TABLE p (id INTEGER PRIMARY KEY, born DATE);"
        "INSERT INTO p VALUES (1, '1990-05-05'), (2, '-0001-11-30');"
        "CREATE TABLE q (id INTEGER PRIMARY KEY, d DATE DEFAULT '-0001-11-30'); INSERT INTO q VALUES (1, '2020-01-01')",
    )
    done = migrated(program, source)
    assert ask(program.url, "SELECT born FROM p WHERE id = 2") == [("-0001-11-30",)]
    assert [(lack["kind"], lack["name"]) for lack in done.report["uncarried"]] == [
        ("default", "q.d")
    ]


def test_times_without_seconds_are_told(program: Program, tmp_path: Path) -> None:
    source = sqlite(
        tmp_path / "s.db",
        "CREATE TABLE a (t TIME); INSERT INTO a VALUES ('08:00'), ('08:00:00');"
        "CREATE TABLE b (t TIME); INSERT INTO b VALUES ('08:00:00'), ('08:00:00.000001')",
    )
    notes = migrated(program, source).report["notes"]
    assert "a.t: times are written in several ways; compared as times" in notes
    assert not any(note.startswith("b.t") for note in notes)


def test_a_default_that_a_number_never_gets(program: Program, tmp_path: Path) -> None:
    source = sqlite(
        tmp_path / "s.db",
        "CREATE TABLE w (id INTEGER NOT NULL DEFAULT '0', CONSTRAINT pk PRIMARY KEY (id)); INSERT INTO w VALUES (1)",
    )
    (lack,) = migrated(program, source).report["uncarried"]
    assert (lack["kind"], lack["name"]) == ("default", "w.id") and "never uses it" in lack["reason"]


def test_texts_and_numbers_that_become_bytes_in_utf16(program: Program, tmp_path: Path) -> None:
    """In UTF-8, as in any other file; half a letter has no such bytes, and is not made one."""
    source = sqlite(
        tmp_path / "s.db",
        "PRAGMA encoding = 'UTF-16le'; CREATE TABLE t (id INTEGER PRIMARY KEY, v);"
        "INSERT INTO t VALUES (1, x'ff'), (2, 1), (3, 'é'), (4, 2.5), (5, CAST(x'00d8' AS TEXT)),"
        " (6, CAST(x'01d8' AS TEXT))",
    )
    mapping, aside = tmp_path / "m.yml", tmp_path / "rows.db"
    program("plan", source, "--write-mapping", mapping)
    done = program.run(source, "--mapping", mapping, "--quarantine-file", aside)
    assert done.code == 3, done.out
    assert ask(program.url, "SELECT id, v FROM t ORDER BY id") == [
        (1, b"\xff"), (2, b"1"), (3, "é".encode()), (4, b"2.5")
    ]  # fmt: skip
    assert fetch(aside, "SELECT id, hex(v) FROM t") == [(5, "00D8"), (6, "01D8")]


@pytest.mark.parametrize("collation", ["NOCASE", "RTRIM"])
def test_parents_without_a_rowid_by_another_collation(
    program: Program, tmp_path: Path, collation: str
) -> None:
    """Each row's parent is found by an index, or this takes hours."""
    source = sqlite(
        tmp_path / "s.db",
        f"CREATE TABLE b (k TEXT PRIMARY KEY COLLATE {collation}) WITHOUT ROWID;"
        "CREATE TABLE c (id INTEGER PRIMARY KEY, p TEXT REFERENCES b (k));",
        ("INSERT INTO b VALUES (?)", [(f"k{n}",) for n in range(30_000)]),
        ("INSERT INTO c (p) VALUES (?)", [(f"k{n}",) for n in range(30_000)]),
    )
    done = subprocess.run(
        program.command("check", "--source", source, "--json"),
        env=program.environment, capture_output=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0


def test_a_quarantine_file_has_each_value_as_it_was(program: Program, tmp_path: Path) -> None:
    """Although the table's declaration, which came later, would store another one."""
    source = sqlite(
        tmp_path / "s.db",
        "CREATE TABLE t (id INTEGER PRIMARY KEY, n TEXT, z ZZZZZZZ_TEXT);"
        "INSERT INTO t VALUES (1, 'a', '007'), (2, CAST(x'ff' AS TEXT), '007')",
    )
    rewritten(source, b"ZZZZZZZ_TEXT", b"INTEGER")
    aside = tmp_path / "rows.db"
    done = program.run(source, "--on-finding", "quarantine", "--quarantine-file", aside)
    assert done.code == 3, done.out
    assert fetch(aside, "SELECT id, hex(n), typeof(z), z FROM t") == [(2, "FF", "text", "007")]


def test_nulls_where_none_may_be(program: Program, tmp_path: Path) -> None:
    """NOT NULL came later; the proposed mapping carries each row, and says what isn't."""
    source = sqlite(
        tmp_path / "s.db",
        "CREATE TABLE t (id INTEGER PRIMARY KEY, n TEXT /*NN*/ UNIQUE, m TEXT /*NN*/);"
        "INSERT INTO t VALUES (1, 'a', 'x'), (2, NULL, NULL), (3, 'b', NULL)",
    )
    rewritten(source, b"/*NN*/", b"NOT NULL")
    assert program.run(source).code == 1
    mapping = tmp_path / "m.yml"
    program("plan", source, "--write-mapping", mapping)
    done = program.run(source, "--mapping", mapping)
    assert done.code == 0, done.out
    assert ask(program.url, "SELECT * FROM t ORDER BY id") == [
        (1, "a", "x"), (2, None, None), (3, "b", None)
    ]  # fmt: skip
    assert "NOT NULL is not carried" in done.out
    assert program.verify(source).code == 0


def test_a_unique_that_rows_contradict_is_no_key(program: Program, tmp_path: Path) -> None:
    """Two spellings of one moment are one moment in PostgreSQL; rows are told apart by all they have."""
    source = sqlite(
        tmp_path / "s.db",
        "CREATE TABLE t (ts DATETIME NOT NULL UNIQUE, v TEXT);"
        "INSERT INTO t VALUES ('2024-01-01 10:00:00', 'a'), ('2024-01-01T10:00:00', 'b'), ('2024-01-02 10:00:00', 'c')",
        ("INSERT INTO t VALUES ('2024-01-03 10:00:00', ?)", [("x" * 1_500_000,)]),
    )
    mapping = tmp_path / "m.yml"
    program("plan", source, "--write-mapping", mapping)
    assert program.run(source, "--mapping", mapping).code == 0
    ask(program.url, "UPDATE t SET v = v")
    assert program.verify(source).code == 0
    ask(program.url, "UPDATE t SET v = 'other' WHERE v = 'b'")
    assert program.verify(source).code == 3
    assert program.run(source, "--catch-up", "--given-up").code == 0
    assert ask(program.url, "SELECT v FROM t WHERE v < 'd' ORDER BY v") == [("a",), ("b",), ("c",)]


def test_a_name_says_nothing_to_the_terminal(program: Program, tmp_path: Path) -> None:
    """Neither an escape nor a line of its own; and none of what a progress bar reads as a style."""
    name, shown = "[/x]\x1b[2J\nMIGRATED: all", r"[/x]\x1b[2J\nMIGRATED: all"
    source = sqlite(
        tmp_path / "s.db",
        f'CREATE TABLE "{name}" ("{name}" TEXT DEFAULT \'\n\x1b[2J\'); INSERT INTO "{name}" VALUES (1);'
        f'CREATE VIEW "{name}v" AS SELECT date() FROM "{name}"',
    )
    texts = [program("plan", source, url="none").text]
    words = program.command("run", "--source", source)
    terminal, ours = pty.openpty()
    done = subprocess.run(
        words,
        env=program.environment | {"TERM": "xterm"},
        stdout=subprocess.PIPE,
        stderr=ours,
        text=True,
        check=False,
    )
    os.close(ours)
    told = os.read(terminal, 1 << 16).decode()
    os.close(terminal)
    assert done.returncode == 0, told
    texts.append(done.stdout)
    for text in texts:
        assert shown in text and "\x1b" not in text
    assert '\n    "' + shown + "\" text DEFAULT '" + r"\n\x1b[2J'" in texts[0]
    assert [text.count("\nMIGRATED") for text in texts] == [0, 1]
    assert "[load]" in told and "\x1b[2J" not in told
