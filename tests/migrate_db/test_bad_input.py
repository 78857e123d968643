"""Bad input: one screen that says what, where and what to do; the target stays as it was."""

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from ..postgres import PostgresContainer, docker
from .program import Program, Result, ask, beside, image, sqlite

KEPT = "CREATE TABLE bystander (x int); INSERT INTO bystander VALUES (1)"


@pytest.fixture
def refused(program: Program) -> Iterator[Callable[..., Result]]:
    """Run, demand a refusal of one screen, and that neither side was touched."""
    ask(program.url, KEPT)
    before = image(program.url)

    def call(source: Path, *words: object, code: int = 1, url: str = "", says: str = "") -> Result:
        ours = beside(source) if source.is_file() and os.access(source, os.R_OK) else None
        result = program.run(source, *words, url=url)
        assert result.code == code, result.out
        assert result.report["changed"] is False
        error = result.report["error"]
        assert error[0].startswith("error: ") and error[-1].startswith("next:  ")
        assert len(error) <= 24 and says in result.error, result.error
        if ours is not None:
            assert beside(source) == ours
        assert list(program.work.iterdir()) == []
        return result

    yield call
    assert image(program.url) == before


def test_missing(refused: Callable[..., Result], tmp_path: Path) -> None:
    refused(tmp_path / "none.db", says="does not exist")
    refused(tmp_path / "none" / "none.db", says="does not exist")


def test_not_a_database(refused: Callable[..., Result], tmp_path: Path) -> None:
    for name, content, says in (
        ("empty.db", b"", "empty"),
        ("text.db", b"id,name\n1,x\n" * 50, "not a SQLite database"),
        ("short.db", b"SQLite format 3\x00", "SQLite can't read"),
        ("zeros.db", bytes(8192), "not a SQLite database"),
    ):
        (tmp_path / name).write_bytes(content)
        refused(tmp_path / name, says=says)
    refused(tmp_path, says="not a regular file")
    os.mkfifo(tmp_path / "pipe")
    refused(tmp_path / "pipe", says="not a regular file")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_unreadable(program: Program, brainer: Path, tmp_path: Path) -> None:
    for directory in [tmp_path, *tmp_path.parents]:
        if directory.owner() == "root" and not directory.stat().st_mode & 0o001:
            directory.chmod(directory.stat().st_mode | 0o011)
    brainer.chmod(0o600)
    program.work.chmod(0o777)
    nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    done = subprocess.run(
        [*nobody, *program.command("run", "--source", brainer)],
        env=program.environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    assert "can't be read: Permission denied" in done.stdout and "next:" in done.stdout
    assert image(program.url)["objects"] == []


def test_corrupt(refused: Callable[..., Result], brainer: Path) -> None:
    content = bytearray(brainer.read_bytes())
    pages = len(content) // 4096
    content[(pages // 2) * 4096 : (pages // 2 + 2) * 4096] = b"\xa5" * 8192
    brainer.write_bytes(content)
    refused(brainer, says="damaged (integrity_check)")


def test_truncated(refused: Callable[..., Result], brainer: Path) -> None:
    brainer.write_bytes(brainer.read_bytes()[:20000])
    refused(brainer)


@pytest.mark.parametrize(
    ("column", "values", "count"),
    [
        ("TEXT", ["fine", "NUL\0here", "\0"], 2),
        ("JSON", ["{}", "{'single': 1}", "", "nul", '{"a": 1}\0', "[1,]"], 5),
        ("VARCHAR(9)", ["NUL\0"], 1),
        ("DATETIME", ["2024-02-29 00:00:00\0"], 1),
    ],
)
def test_values_that_nothing_holds(
    refused: Callable[..., Result],
    tmp_path: Path,
    column: str,
    values: list[str],
    count: int,
    program: Program,
) -> None:
    """All of them at once, each with its key; in a JSON column that the app's models made, too."""
    source = sqlite(
        tmp_path / "bad.db",
        f"CREATE TABLE t (id INTEGER PRIMARY KEY, c {column})",
        ("INSERT INTO t (c) VALUES (?)", [(value,) for value in values]),
    )
    if column == "JSON":  # without a table of the app's, such a column becomes text
        ask(program.url, "CREATE TABLE t (id int PRIMARY KEY, c json)")
        result = program.run(source)
        ask(program.url, "DROP TABLE t")
    else:
        result = refused(source)
    assert result.code == 1
    assert len(result.findings) == count, result.findings
    assert all(table == "t" and key.startswith("id=") and col == "c"
               for table, key, col in result.findings)  # fmt: skip
    assert all(f["value"].isprintable() and f["resolve"] for f in result.report["findings"])


def test_invalid_utf8(refused: Callable[..., Result], tmp_path: Path) -> None:
    source = sqlite(
        tmp_path / "latin.db",
        "CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT, b TEXT);"
        "INSERT INTO t VALUES (1, 'fine', 'é'), (2, CAST(X'e9' AS TEXT), 'x'),"
        " (3, CAST(X'eda080' AS TEXT), CAST(X'c3' AS TEXT)), (4, CAST(X'c3' AS TEXT), '')",
    )
    result = refused(source, says="can't be carried")
    assert sorted(result.findings) == [
        ("t", "id=2", "a"), ("t", "id=3", "a"), ("t", "id=3", "b"), ("t", "id=4", "a"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "kind", ["DECIMAL(4)", "REAL", "BOOLEAN", "DATETIME", "JSON", "UUID", "INTERVAL", ""]
)
def test_invalid_utf8_where_no_text_belongs(
    refused: Callable[..., Result], tmp_path: Path, program: Program, kind: str
) -> None:
    source = sqlite(
        tmp_path / "latin.db",
        f"CREATE TABLE t (id INTEGER PRIMARY KEY, a {kind});"
        "INSERT INTO t VALUES (1, 1), (2, CAST(X'e9' AS TEXT))",
    )
    assert refused(source, says="can't be carried").findings == [("t", "id=2", "a")]
    for held in ("real", "interval", "date", "time", "uuid", "text[]"):
        ask(program.url, f"CREATE TABLE t (id int PRIMARY KEY, a {held})")
        result = program.run(source)
        ask(program.url, "DROP TABLE t")
        assert result.code == 1 and ("t", "id=2", "a") in result.findings, (held, result.out)


def test_orphans(refused: Callable[..., Result], brainer: Path) -> None:
    sqlite(brainer, "PRAGMA foreign_keys = OFF; DELETE FROM parts WHERE id = 1")
    result = refused(brainer, says="can't be carried")
    assert {finding[0] for finding in result.findings} == {"chapters"}
    first = result.report["findings"][0]
    assert "parts" in first["reason"] and first["column"] == "part_id" and first["value"] == "1"


def test_orphans_without_a_rowid(refused: Callable[..., Result], tmp_path: Path) -> None:
    source = sqlite(
        tmp_path / "t.db",
        'CREATE TABLE p (id INTEGER PRIMARY KEY); CREATE TABLE "it\'s"'
        ' ("k\'" TEXT PRIMARY KEY, p REFERENCES p, x TEXT) WITHOUT ROWID;'
        "INSERT INTO \"it's\" VALUES ('a', 1, char(0))",
    )
    result = refused(source)
    assert len(result.findings) == 2
    assert not any("DELETE" in f["resolve"] for f in result.report["findings"])


def test_an_enum_or_a_domain_of_the_app(program: Program, tmp_path: Path) -> None:
    """SQLAlchemy's Enum is a type of its own in PostgreSQL, and a VARCHAR in SQLite."""
    source = sqlite(tmp_path / "e.db",
                    "CREATE TABLE t (id INTEGER PRIMARY KEY, mood VARCHAR(5), n INTEGER)",
                    ("INSERT INTO t VALUES (?, ?, ?)",
                     [(1, "ok", 7), (2, "OK", 8), (3, "so-so", None), (4, None, 9), (5, "", 3)]))  # fmt: skip
    ask(program.url, "CREATE TYPE mood AS ENUM ('ok', 'so-so');"
        "CREATE DOMAIN small AS int NOT NULL; CREATE DOMAIN smaller AS small CHECK (VALUE < 100);"
        "CREATE TABLE t (id int PRIMARY KEY, mood mood, n smaller)")  # fmt: skip
    refused = program.run(source)
    assert refused.code == 1 and refused.report["changed"] is False
    assert refused.findings == [("t", "id=2", "mood"), ("t", "id=5", "mood"), ("t", "id=3", "n")]
    mapping = tmp_path / "m.yml"
    assert program("plan", source, "--write-mapping", mapping).code == 1
    done = program.run(source, "--mapping", mapping)
    assert (done.code, done.report["quarantined_rows"]) == (3, 1), done.out
    rows = ask(program.url, "SELECT id, mood::text, n FROM t ORDER BY id")
    assert rows == [(1, "ok", 7), (2, None, 8), (4, None, 9), (5, None, 3)]
    assert program.verify(source).code == 3


def test_overlong_for_a_column_that_exists(program: Program, tmp_path: Path) -> None:
    source = sqlite(
        tmp_path / "t.db",
        "CREATE TABLE t (id INTEGER PRIMARY KEY, v VARCHAR(3), n INTEGER, x TEXT)",
        ("INSERT INTO t VALUES (?, ?, ?, ?)",
         [(1, "äöü", 1, "a"), (2, "long", 1, "a"), (3, "x", 2**40, None)]),
    )  # fmt: skip
    ask(program.url, "CREATE TABLE t (id int PRIMARY KEY, v varchar(3), n int, x text NOT NULL)")
    before = image(program.url)
    for result in (program.run(source), program.check(source, url=program.url)):
        assert result.code == 1
        assert sorted(result.findings) == [
            ("t", "id=2", "v"), ("t", "id=3", "n"), ("t", "id=3", "x"),
        ]  # fmt: skip
    verified = program.verify(source)
    assert verified.code == 3 and len(verified.findings) == 3
    assert image(program.url) == before
    ask(program.url, "DROP TABLE t")
    assert program.run(source).code == 0, "without that table, the columns become wide enough"


def test_columns_that_do_not_line_up(program: Program, tmp_path: Path) -> None:
    source = sqlite(
        tmp_path / "t.db",
        "CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT); INSERT INTO t VALUES (1, 'x')",
    )
    for columns, missing in (
        ("id int PRIMARY KEY", ["a"]),
        ("a text", ["id"]),
        ("z int", ["id", "a"]),
        ("id int PRIMARY KEY, a text, must text NOT NULL", ["must"]),
    ):
        ask(program.url, f"CREATE TABLE t ({columns})")
        for result in (program.run(source), program.verify(source)):
            assert result.code in (1, 3)
            assert [column for _, _, column in result.findings] == missing, columns
        ask(program.url, "DROP TABLE t")


def test_connecting(refused: Callable[..., Result], program: Program, brainer: Path) -> None:
    words = conninfo_to_dict(program.url)
    user, password, port, name = (words[k] for k in ("user", "password", "port", "dbname"))
    secret = quote(str(password), safe="")
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        closed = unused.getsockname()[1]
        for url, says in (
            (f"postgresql://{user}:wrong-word@127.0.0.1:{port}/{name}", "the password is wrong"),
            (f"postgresql://{user}:{secret}@127.0.0.1:{closed}/{name}", "nothing listens there"),
            (f"postgresql://{user}:{secret}@no-such-host.invalid:{port}/{name}", "host name"),
            (f"postgresql://{user}:{secret}@127.0.0.1:{port}/no_such_db", "is missing"),
            (f"postgresql://{user}@127.0.0.1:{port}/{name}?passfile=/dev/null", "password"),
        ):
            result = refused(brainer, url=url, says=says)
            assert "wrong-word" not in result.out and str(password) not in result.out


def test_a_silent_server(refused: Callable[..., Result], brainer: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        url = f"postgresql://u:p@127.0.0.1:{port}/d?connect_timeout=2"
        refused(brainer, url=url, says="did not answer in time")


@pytest.mark.parametrize(
    "url",
    [
        "mysql://u:hidden@h/d",
        "postgresql://u:%zzhidden@h/d",
        "postgresql://u:p@hidden@127.0.0.1/d",
        "postgresql://u:p/hidden@127.0.0.1/d",
        "postgresql://u:hidden/x@127.0.0.1/d",
        "postgresql://u:hidden@127.0.0.1:port/d",
    ],
)
def test_malformed_url(refused: Callable[..., Result], brainer: Path, url: str) -> None:
    result = refused(brainer, url=url, code=2, says="not a PostgreSQL URL")
    assert "hidden" not in result.out


def test_no_target(program: Program, brainer: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DATABASE_URL", raising=False)
    for command in ("run", "verify"):
        result = program(command, brainer, url="none")
        assert result.code == 2 and "DATABASE_URL" in result.error
    with pytest.raises(SystemExit) as usage:
        program.run(brainer, "--no-such-option")
    assert usage.value.code == 2


def test_wrong_encoding(program: Program, brainer: Path, admin_url: str) -> None:
    name = "latin_" + str(conninfo_to_dict(program.url)["dbname"])
    with psycopg.connect(admin_url, autocommit=True) as admin:
        admin.execute(
            f"CREATE DATABASE {name} ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0".encode()
        )
        try:
            result = program.run(brainer, url=f"{program.url}_x".replace(
                f"{conninfo_to_dict(program.url)['dbname']}_x", name))  # fmt: skip
            assert result.code == 1 and "LATIN1" in result.error
        finally:
            admin.execute(f"DROP DATABASE {name}".encode())


def test_the_clients_encoding_is_ours(
    program: Program, brainer: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGCLIENTENCODING", "LATIN1")
    assert program.run(brainer).code == 0
    monkeypatch.delenv("PGCLIENTENCODING")
    assert ask(
        program.url, "SELECT count(*) FROM exercises WHERE question = '日本語の練習問題'"
    ) != [(0,)]


def test_disk_too_small(program: Program, tmp_path: Path) -> None:
    source = sqlite(tmp_path / "huge.db", "CREATE TABLE t (x); INSERT INTO t VALUES (1)")
    os.truncate(source, 1 << 43)  # sparse; nobody has 20 terabytes free
    before = source.stat()
    for words, says in (
        (("--target-disk", tmp_path), "disk is too small"),
        ((), "no room for the snapshot"),
    ):
        result = program.run(source, *words)
        assert result.code == 1 and says in result.error and "MB" in result.error
    assert source.stat().st_mtime_ns == before.st_mtime_ns
    assert image(program.url)["objects"] == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount")
def test_work_dir_runs_full(program: Program, brainer: Path, tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    size = brainer.stat().st_size
    options = f"size={size + 16384}"
    if subprocess.run(["mount", "-t", "tmpfs", "-o", options, "small", small]).returncode:
        pytest.skip("this machine can't mount a tmpfs")
    try:
        filler = small / "filler"
        filler.write_bytes(bytes(size // 2))
        small_program = Program(small, program.url)
        result = small_program.run(brainer)
        assert result.code == 1 and "no room for the snapshot" in result.error
        assert list(small.iterdir()) == [filler]
        # it fits when it's asked, and not when it's written
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("migrate_db.sqlite.source._size", lambda path: 0)
            result = small_program.run(brainer)
        assert result.code == 1 and "no room for the snapshot" in result.error
        assert list(small.iterdir()) == [filler]
    finally:
        subprocess.run(["umount", small], check=True)
    assert image(program.url)["objects"] == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount")
def test_no_room_for_what_stays_behind(program: Program, tmp_path: Path) -> None:
    """Rows that can't be kept aside are not left out: nothing is loaded at all."""
    source = sqlite(
        tmp_path / "bad.db",
        "CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT)",
        ("INSERT INTO t VALUES (?, ?)", [(n, "x\0" + "y" * 3000) for n in range(300)]),
    )
    small = tmp_path / "small"
    small.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=200k", "small", small]).returncode:
        pytest.skip("this machine can't mount a tmpfs")
    try:
        result = program.run(
            source, "--on-finding", "quarantine", "--quarantine-file", small / "aside.db"
        )
        assert result.code == 1 and result.report["changed"] is False, result.out
        assert "next:" in result.error
        assert list(small.iterdir()) == []
    finally:
        subprocess.run(["umount", small], check=True)
    assert image(program.url)["objects"] == []


def test_work_dir_missing(refused: Callable[..., Result], brainer: Path, tmp_path: Path) -> None:
    refused(brainer, "--work-dir", tmp_path / "none", says="working directory")


def test_work_dir_of_others(program: Program, brainer: Path, tmp_path: Path) -> None:
    """Nothing in a directory that everybody may write to leads us astray."""
    precious = tmp_path / "precious"
    precious.write_text("precious")
    (program.work / "migrate_db-file").write_text("a file")
    (program.work / "migrate_db-link").symlink_to(tmp_path)
    trap = program.work / "migrate_db-trap"
    trap.mkdir()
    (trap / "lock").symlink_to(precious)
    os.utime(trap, (0, 0))
    assert program.run(brainer).code == 0
    assert precious.read_text() == "precious"
    assert (program.work / "migrate_db-link").is_symlink()


def test_lock_held(program: Program, brainer: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("migrate_db.postgresql.target._LOCK_WAIT", 0.3)
    from migrate_db.postgresql.target import _LOCK

    with psycopg.connect(program.url, autocommit=True) as other:
        other.execute("SELECT pg_advisory_lock(%s)", [_LOCK])
        result = program.run(brainer)
        assert result.code == 4 and "another run" in result.error
        assert image(program.url)["objects"] == []
    assert program.run(brainer).code == 0


def test_source_locked_for_good(
    refused: Callable[..., Result], brainer: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("migrate_db.sqlite.source._BUSY_SECONDS", 0.5)
    holder = subprocess.Popen([sys.executable, "-c", _HOLDER, str(brainer)], stdout=subprocess.PIPE)
    assert holder.stdout is not None and holder.stdout.readline()
    try:
        refused(brainer, says="locked")
    finally:
        holder.kill()
        holder.wait()


_HOLDER = """
import sqlite3, sys, time
connection = sqlite3.connect(sys.argv[1])
connection.execute("PRAGMA locking_mode = EXCLUSIVE")
connection.execute("BEGIN EXCLUSIVE")
print("locked", flush=True)
time.sleep(60)
"""


def test_tables_in_use(program: Program, brainer: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from migrate_db.postgresql.target import _SESSION as session

    monkeypatch.setattr(
        "migrate_db.postgresql.target._SESSION", session.replace("'10s'", "'300ms'")
    )
    ask(program.url, "CREATE TABLE courses (id int PRIMARY KEY, slug text, title text,"
        " description text, price float8, is_published bool, content json, created_at timestamp,"
        " updated_at timestamp)")  # fmt: skip
    with psycopg.connect(program.url) as app:
        app.execute("SELECT * FROM courses")
        result = program.run(brainer)
        assert result.code == 1 and "somebody is using the tables" in result.error


def test_unwritable_events_and_report(refused: Callable[..., Result], brainer: Path) -> None:
    refused(brainer, "--events", "/nowhere/events", code=2, says="--events")


def test_a_journal_that_runs_full(refused: Callable[..., Result], brainer: Path) -> None:
    refused(brainer, "--events", "/dev/full")


def test_no_right_to_the_table(program: Program, admin: psycopg.Connection, brainer: Path) -> None:
    admin.execute("CREATE TABLE courses (id int)")
    for command in ("run", "verify", "check"):
        result = program(command, brainer)
        assert result.code == 1 and "permission denied" in result.error, result.error
        assert "next:" in result.error


def test_more_tables_than_locks(program: Program, tmp_path: Path) -> None:
    """Some messengers have a table for each chat, and one transaction makes them all."""
    tables = (
        f"CREATE TABLE chat_{n} (id INTEGER PRIMARY KEY, at INTEGER, sender INTEGER, size INTEGER);"
        f"CREATE INDEX at_{n} ON chat_{n} (at); CREATE INDEX by_{n} ON chat_{n} (sender);"
        f"CREATE INDEX size_{n} ON chat_{n} (size);"
        for n in range(100)
    )
    source = sqlite(
        tmp_path / "chats.db", "".join(tables) + "INSERT INTO chat_1 VALUES (1, 2, 3, 4)"
    )
    server = PostgresContainer(
        ("fsync=off", "max_connections=10", "max_locks_per_transaction=10", "max_wal_senders=0")
    )
    try:
        server.run()
        refused = program.run(source, url=server.url)
    finally:
        server.remove()
    assert refused.code == 1 and "max_locks_per_transaction" in refused.error, refused.out
    assert "500 tables and indexes, and some 210 locks" in refused.error  # before rows are loaded


def test_a_standby(program: Program, brainer: Path) -> None:
    """It takes no writes, and may not know yet what the leader knows; looking is allowed."""
    server = PostgresContainer()
    try:
        server.run()
        assert program.run(brainer, url=server.url).code == 0
        docker("exec", server.name, "sh", "-c", 'touch "$PGDATA/standby.signal"')
        server.stop()
        server.start()
        for command, source in (("run", brainer), ("close", None), ("open", None)):
            refused = program(command, source, url=server.url)
            assert refused.code == 1 and "is a standby" in refused.error, refused.out
        assert program("verify", brainer, url=server.url).verdict == "equal"
        assert program("status", None, url=server.url).report["state"]["held"] is False
    finally:
        server.remove()
