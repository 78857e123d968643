"""What the report says of a real server, and what it still says when it can't see."""

import json
import threading
import time
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from ..postgres import PostgresContainer
from .program import Program

BUSY = """
CREATE TABLE course (id int PRIMARY KEY, title text, level int);
INSERT INTO course SELECT g, 'course ' || g, g % 5 FROM generate_series(1, 30000) g;
CREATE INDEX course_level ON course (level); CREATE TABLE part (id int PRIMARY KEY); ANALYZE;
"""


def flush(connection: psycopg.Connection) -> None:
    """Statistics of this session are there for others."""
    connection.execute("SELECT pg_stat_force_next_flush()")
    connection.execute("SELECT 1")


def test_a_server_at_peace(program: Program, counted_anew: None, admin: psycopg.Connection) -> None:
    """Each section of the issue has its numbers, and nothing is crossed, and nothing unseen."""
    admin.execute(BUSY.encode())
    admin.execute("SELECT count(*) AS parts_of_the_test FROM part")
    flush(admin)
    result = program("report")
    assert (result.code, result.report["verdict"]) == (0, "fine"), result.text
    found = result.report
    assert found["unseen"] == [] and found["down"] == ""
    assert found["connections"]["used"] == 1 and found["server"]["usable_connections"] == 17
    (mine,) = [row for row in found["databases"] if row["name"] == found["server"]["database"]]
    row = admin.execute(
        "SELECT pg_database_size(current_database()), pg_total_relation_size('course')"
    ).fetchone()
    assert [row["name"] for row in found["tables"]] == ["course", "part"]
    assert row == (mine["bytes"], found["tables"][0]["bytes"])
    assert any("parts_of_the_test" in row["query"] for row in found["statements"])
    assert not any("db_status" in row["query"] for row in found["statements"])
    assert found["checkpoints"]["timed"] >= 0 and found["wal"]["bytes"] > 0
    assert found["memory"]["bytes"] > 0 and found["disks"]
    (ours,) = [row for row in found["containers"] if row["name"] == program.container]
    assert ours["state"] == "running" and ours["memory"] > 1e7
    for title in ("TABLES", "SLOWEST STATEMENTS", "CHECKPOINTS AND WAL", "CONTAINERS", "DATABASES"):
        assert title in result.text


def test_rows_and_indexes(program: Program, admin: psycopg.Connection) -> None:
    admin.execute(BUSY.encode())
    admin.execute("UPDATE course SET level = level + 1")
    for _ in range(60):
        admin.execute("SELECT count(*) FROM course WHERE title LIKE '%9'")
    flush(admin)
    result = program("report", unused_index_mb=0)
    assert result.code == 0, "hints and warnings wake nobody"
    ((level, evidence, next_),) = result.crossed("dead rows")
    assert level == "warning" and "public.course: 30,000 dead of 60,000 (50 %)" in evidence
    assert next_ == "VACUUM (ANALYZE) public.course"
    ((level, evidence, _),) = result.crossed("missing index")
    assert level == "hint" and "public.course (30,000 rows) was read whole" in evidence
    assert [row["name"] for row in result.report["indexes"]] == ["course_level"], "not the key"
    admin.execute(next_.encode())
    flush(admin)
    assert program("report").crossed("dead rows") == [], "the command it named helps"


def test_somebody_waits_behind_an_open_transaction(
    program: Program, superuser: str, admin: psycopg.Connection
) -> None:
    """The table's size would have to wait, too: then its last known one is told, at once."""
    admin.execute(BUSY.encode())
    with psycopg.connect(superuser, application_name="the app") as holder:
        holder.execute("LOCK TABLE course IN ACCESS EXCLUSIVE MODE")
        pid = holder.info.backend_pid
        waiter = psycopg.connect(superuser, autocommit=True)
        thread = threading.Thread(target=waiter.execute, args=["SELECT count(*) FROM course"])
        thread.start()
        time.sleep(1.2)
        begun = time.monotonic()
        result = program("report", lock_warning=1, lock_critical=3600, transaction_critical=0)
        assert time.monotonic() - begun < 8, "the answer does not wait for the lock"
        holder.rollback()
        thread.join()
        waiter.close()
    assert result.code == 3
    ((level, evidence, next_),) = result.crossed("lock")
    assert level == "warning" and "AccessShareLock on public.course" in evidence
    assert f"pg_cancel_backend({pid})" in next_
    open_ = [evidence for _, evidence, _ in result.crossed("long transaction")]
    assert any(
        e.startswith("postgres in the app, open for") and "LOCK TABLE course" in e for e in open_
    )
    (course,) = [row for row in result.report["tables"] if row["name"] == "course"]
    assert course["held"] and course["bytes"] > 0
    assert result.report["unseen"] == []


def test_no_connection_is_left(program: Program, superuser: str) -> None:
    """The role that looks gets none either: that is the answer, not a failure to answer."""
    open_ = []
    try:
        while True:
            open_.append(psycopg.connect(superuser))
    except psycopg.OperationalError:
        result = program("report")
    finally:
        for connection in open_:
            connection.close()
    assert result.code == 3
    ((level, evidence, _),) = result.crossed("connections")
    assert level == "critical" and "the server has none left" in evidence
    assert result.report["disks"] and result.report["containers"]


def test_connections_near_the_limit(program: Program, superuser: str) -> None:
    with psycopg.connect(superuser), psycopg.connect(superuser):
        result = program("report", connections_warning=5, connections_critical=10)
    ((level, evidence, _),) = result.crossed("connections")
    assert (result.code, level) == (3, "critical") and "2 of 17 in use (12 %)" in evidence


def test_a_slot_that_nobody_reads(program: Program, admin: psycopg.Connection) -> None:
    admin.execute("SELECT pg_create_physical_replication_slot('forgotten', true)")
    try:
        result = program("report")
        ((level, evidence, next_),) = result.crossed("replication slot")
        assert level == "hint" and "forgotten is not active" in evidence
        admin.execute(
            "CREATE TABLE filler AS SELECT repeat('x', 800) FROM generate_series(1, 4000)"
        )
        result = program("report", slot_critical_mb=1)
        assert result.code == 3
        ((level, evidence, next_),) = result.crossed("replication slot")
        assert level == "critical"
        admin.execute(next_.partition(": ")[2].encode())
        assert program("report").crossed("replication slot") == []
    finally:
        admin.execute("SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots")


def test_old_transaction_ids(program: Program, admin: psycopg.Connection) -> None:
    result = program("report", xid_warning=0, xid_critical=1000)
    assert result.code == 0
    assert {level for level, _, _ in result.crossed("transaction ids")} == {"warning"}


def test_the_server_is_down(program: Program, server: PostgresContainer) -> None:
    """It says so, with the container's state, and tells the rest."""
    server.stop()
    try:
        result = program("report")
        sampled = program("sample")
    finally:
        server.start()
    assert result.code == 3 and result.report["verdict"] == "critical"
    ((level, evidence, next_),) = result.crossed("server")
    assert level == "critical" and "refused" in evidence and f"docker start {server.name}" in next_
    assert result.report["disks"] and result.report["memory"] and result.report["containers"]
    assert (sampled.code, sampled.report["verdict"]) == (0, "down")
    again = program("report")
    assert again.code == 0 and again.report["samples"] == 1, "it is up again"


def test_killed_while_it_looks(program: Program, server: PostgresContainer) -> None:
    """The server goes away between two questions."""
    process = program.spawn("report")
    server.kill()
    out, _ = process.communicate(timeout=60)
    server.start()
    found = json.loads(out)
    assert process.returncode in (0, 3) and found["disks"]


def test_no_permission(program: Program, superuser: str, admin: psycopg.Connection) -> None:
    """A role without pg_monitor sees its own; a role without CONNECT sees the server, not the database."""
    admin.execute("DROP ROLE IF EXISTS small; CREATE ROLE small LOGIN PASSWORD 'x'")
    name = admin.info.dbname
    url = make_conninfo(superuser, user="small", password="x")
    try:
        result = program("report", database=url)
        assert result.code == 1
        ((why, next_),) = result.unseen("the database")
        assert "permission denied" in why and "db_status prepare" in next_
        assert result.report["databases"], "of the server it sees what everybody may see"
        admin.execute(f"GRANT CONNECT ON DATABASE {name} TO small".encode())
        result = program("report", database=url)
        assert result.code == 1 and result.unseen("statements and states of other roles")
        assert result.unseen("size of the WAL")
        assert result.report["tables"] == [] and result.report["server"]["user"] == "small"
        wrong = program("report", database=make_conninfo(url, password="y"))
        assert wrong.code == 1 and "authentication failed" in wrong.unseen("the database")[0][0]
    finally:
        admin.execute("DROP OWNED BY small; DROP ROLE small")


def test_nothing_counts_statements(tmp_path: Path, admin_url: str) -> None:
    """A server without the library: a hint, with what brings it."""
    result = Program(admin_url, "", tmp_path)("report")
    ((level, evidence, next_),) = result.crossed("slowest statements")
    assert level == "hint" and "pg_stat_statements" in evidence and next_


def test_a_table_without_statistics(program: Program, admin: psycopg.Connection) -> None:
    admin.execute('SET track_counts = off; CREATE TABLE "O\'Hara ""x" (a int)')
    admin.execute("SELECT pg_stat_reset()")
    result = program("report")
    (row,) = result.report["tables"]
    assert row["name"] == "O'Hara \"x" and row["last_analyze"] is None and result.code == 0


def test_backups(program: Program, tmp_path: Path) -> None:
    """What db_backup says is asked of db_backup."""
    says = tmp_path / "db_backup"
    limits = [
        {"name": "newest backup", "ok": False, "text": "b-1, 40 h old", "value": 40, "limit": 26},
        {"name": "drill", "ok": False, "text": "never", "value": -1, "limit": 8},
    ]
    says.write_text(f"#!/bin/sh\ncat <<'E'\n{json.dumps({'limits': limits})}\nE\nexit 1\n")
    says.chmod(0o755)
    words = [*program.words("report")[:-1], "--backup-command", str(says)]
    result = _main(words)
    assert result[0] == 3
    found = {one["name"]: one["level"] for one in result[1]["crossed"]}
    assert found == {"backup: newest backup": "critical", "backup: drill": "warning"}
    code, report = _main([*words[:-1], "no-such-program"])
    assert code == 1 and report["unseen"][0]["what"] == "backups"


def _main(words: list[str]) -> tuple[int, dict[str, list[dict[str, str]]]]:
    import contextlib
    import io

    from db_status import cli

    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        code = cli.main(words)
    return code, json.loads(out.getvalue())


def test_a_migration_that_was_cut_short(
    program: Program, admin: psycopg.Connection, tmp_path: Path
) -> None:
    """As `migrate_db run --hold` leaves it: the app's role may only read."""
    assert program("report").report["server"]["migration"] == "none"
    name = admin.info.dbname
    admin.execute("CREATE SCHEMA migrate_db; CREATE ROLE app_of_test")
    try:
        assert program("report").crossed("migration") == []
        setting = (
            f"ALTER ROLE app_of_test IN DATABASE {name} SET default_transaction_read_only = on"
        )
        admin.execute(setting.encode())
        ((level, _, _),) = program("report").crossed("migration")
        assert level == "warning"
        metrics = tmp_path / "db_status.prom"
        assert program("sample", metrics=metrics).code == 0
        assert 'db_status_migration{state="held"} 1' in metrics.read_text()
        assert metrics.stat().st_mode & 0o777 == 0o644
    finally:
        admin.execute("DROP ROLE app_of_test")


def test_a_full_disk(program: Program) -> None:
    result = program("report", disk_floor_mb=10**9)
    assert result.code == 3
    assert {level for level, _, _ in result.crossed("disk")} == {"critical"}


def test_no_secret_is_told(program: Program, superuser: str) -> None:
    url = make_conninfo(superuser, password="wrong secret")
    result = program("report", database=url)
    assert result.code == 1 and "wrong secret" not in json.dumps(result.report)


@pytest.mark.parametrize(
    ("text", "words"),
    [('{"conections_warning": 1}', "unknown settings"), ("[", "not JSON"),
     ('{"disks": "/"}', "disks must be a list")],
)  # fmt: skip
def test_settings_that_are_no_good(program: Program, tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "bad.json"
    path.write_text(text)
    result = program("report", config=path)
    assert result.code == 2 and words in result.error
