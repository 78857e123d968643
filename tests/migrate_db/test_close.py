"""The app's way out of PostgreSQL: nothing of it can write any more, and it can be let in again."""

import json
import threading
import time
from pathlib import Path
from typing import Any

import psycopg
import pytest
from migrate_db.postgresql.target import connect
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from .program import Program, ask, sqlite


def home(program: Program, brainer: Path) -> None:
    """The app lives on PostgreSQL."""
    assert program.run(brainer, "--hold").code == 0
    assert program("open", None).verdict == "opened"


def writes(url: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute("INSERT INTO courses (slug, title, is_published, content, created_at)"
                           " VALUES ('x', 'x', true, '{}', now())")  # fmt: skip


def test_closed_and_opened_again(program: Program, brainer: Path) -> None:
    never = program("close", None)
    assert never.code == 1 and "nothing was migrated" in never.error
    home(program, brainer)
    lived = program("status", None).report["state"]["opened_at"]
    with psycopg.connect(program.url) as idle, psycopg.connect(program.url) as writing:
        idle.execute("SELECT 1")
        idle.commit()
        writing.execute("DELETE FROM exercises")
        begun = time.monotonic()
        closed = program("close", None)
        assert (closed.code, closed.verdict, closed.report["changed"]) == (0, "closed", True)
        assert time.monotonic() - begun < 15
        for session in (idle, writing):
            with pytest.raises(psycopg.OperationalError):
                session.execute("DELETE FROM exercises")
    assert ask(program.url, "SELECT count(*) > 0 FROM exercises") == [(True,)]
    with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        writes(program.url)
    again = program("close", None)
    assert (again.code, again.report["changed"]) == (0, False)
    status = program("status", None)
    assert (status.verdict, status.report["state"]["held"]) == ("loaded", True)
    assert status.report["state"]["lived_since"] == lived

    assert program("open", None).report["changed"]
    writes(program.url)
    assert program("status", None).report["state"]["opened_at"] == lived


def test_what_the_app_wrote_is_not_caught_up_away(program: Program, brainer: Path) -> None:
    """Closed, but not led back yet: nowhere else is what it wrote."""
    kept = brainer.with_name("kept.db")
    assert program.run(brainer, "--hold", "--keep-snapshot", kept).code == 0
    program("open", None)
    writes(program.url)
    program("close", None)
    for words in ((), ("--catch-up",)):
        refused = program.run(brainer, *words)
        assert refused.code == 1 and "migrate_db reverse" in refused.error
    assert ask(program.url, "SELECT count(*) FROM courses WHERE slug = 'x'") == [(1,)]
    assert program("reverse", kept, "--into", brainer).code == 0
    sqlite(brainer, "UPDATE courses SET title = 'back' WHERE slug = 'x'")
    assert program.run(brainer, "--catch-up", "--hold").verdict == "caught up"
    program("open", None)
    program("close", None)
    sqlite(brainer, "DELETE FROM courses WHERE slug = 'x'")
    assert program.run(brainer, "--catch-up").code == 1
    assert program.run(brainer, "--catch-up", "--given-up").verdict == "caught up"


def test_sessions_from_before_a_held_load_end(program: Program, brainer: Path) -> None:
    """They were not told that the database is read-only."""
    with psycopg.connect(program.url, autocommit=True) as older:
        older.execute("SELECT 1")
        assert program.run(brainer, "--hold").code == 0
        with pytest.raises(psycopg.OperationalError):
            older.execute("DELETE FROM exercises")


def test_a_database_that_is_read_only_by_itself(program: Program, brainer: Path) -> None:
    assert program.run(brainer, "--hold").code == 0
    with psycopg.connect(program.url, autocommit=True) as connection:
        name = sql.Identifier(connection.info.dbname)
        connection.execute("SET default_transaction_read_only = off")
        connection.execute(
            sql.SQL("ALTER DATABASE {} SET default_transaction_read_only = on").format(name)
        )
    opened = program("open", None)
    assert any("take no writes" in note for note in opened.report["notes"])


def test_who_else_may_write_is_told(program: Program, brainer: Path, admin_url: str) -> None:
    home(program, brainer)
    with psycopg.connect(admin_url, autocommit=True) as admin:
        admin.execute("CREATE ROLE other_app LOGIN")
        try:
            ask(program.url, "GRANT INSERT ON courses TO other_app")
            closed = program("close", None)
            assert any("other_app may write" in note for note in closed.report["notes"])
            ask(program.url, "REVOKE ALL ON courses FROM other_app")
        finally:
            admin.execute("DROP ROLE other_app")


def test_a_publication_of_all_tables(program: Program, brainer: Path, admin_url: str) -> None:
    """Whose tables need an identity to be changed, ours too."""
    words = conninfo_to_dict(program.url)
    with psycopg.connect(
        make_conninfo(admin_url, dbname=words["dbname"]), autocommit=True
    ) as admin:
        admin.execute("CREATE PUBLICATION everything FOR ALL TABLES")
    home(program, brainer)
    assert program("close", None).verdict == "closed"


def test_what_is_at_work_may_finish(program: Program, brainer: Path) -> None:
    home(program, brainer)
    seen: list[str] = []

    def work() -> None:
        with psycopg.connect(program.url, autocommit=True) as connection:
            connection.execute("SELECT pg_sleep(1)")
            seen.append("slept")
            try:
                connection.execute("SELECT pg_sleep(60)")
            except psycopg.OperationalError:
                seen.append("ended")

    thread = threading.Thread(target=work)
    thread.start()
    time.sleep(0.3)
    assert program("close", None).code == 0
    thread.join(20)
    assert seen == ["slept", "ended"]


def test_killed_between_the_hold_and_the_end(
    program: Program, brainer: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second one ends what the first one left."""
    from migrate_db.postgresql import sessions

    home(program, brainer)
    with psycopg.connect(program.url) as writing:
        writing.execute("SELECT 1")
        monkeypatch.setattr(sessions, "end_writing", lambda target, closed: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            program("close", None)
        monkeypatch.undo()
        assert program("close", None).report["changed"]
        with pytest.raises(psycopg.OperationalError):
            writing.execute("DELETE FROM exercises")


def test_a_superuser_closes_for_the_app(
    program: Program, brainer: Path, admin_url: str, database_url: str
) -> None:
    home(program, brainer)
    superuser = admin_url.rpartition("/")[0] + "/" + database_url.rpartition("/")[2]
    with psycopg.connect(program.url) as writing:
        writing.execute("SELECT 1")
        assert program("close", None, url=superuser).verdict == "closed"
        with pytest.raises(psycopg.OperationalError):
            writing.execute("DELETE FROM exercises")
    with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        writes(program.url)
    assert program("open", None).report["changed"]
    writes(program.url)


def test_a_copy_of_the_database(
    program: Program, brainer: Path, admin_url: str, database_url: str
) -> None:
    """One that was restored from a backup has the record, and not the setting of the role."""
    kept = brainer.with_name("kept.db")
    assert program.run(brainer, "--hold", "--keep-snapshot", kept).code == 0
    name = database_url.rpartition("/")[2]
    copy = f"{name}__rollback"
    ask(admin_url, f"CREATE DATABASE {copy} TEMPLATE {name} OWNER brainer_tests")
    url = database_url.replace(name, copy)
    try:
        into = brainer.with_name("back.db")
        refused = program("reverse", kept, "--into", into, url=url)
        assert refused.code == 1 and "migrate_db close" in refused.error
        with psycopg.connect(admin_url.rpartition("/")[0] + "/" + copy) as other:
            other.execute("SELECT 1")
            closed = program("close", None, url=url)
        assert closed.report["changed"] and "postgres: 1 sessions" in closed.text
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            writes(url)
        assert program("reverse", kept, "--into", into, url=url).verdict == "reversed"
    finally:
        ask(admin_url, f"DROP DATABASE {copy} WITH (FORCE)")


def settled(program: Program, wanted: dict[str, int]) -> dict[str, Any]:
    """The server adds up its statistics a little later."""
    deadline = time.monotonic() + 10
    while True:
        found: dict[str, Any] = program("status", None).report["activity"]
        if {k: found[k] for k in wanted} == wanted or time.monotonic() > deadline:
            return found
        time.sleep(0.2)


def test_what_was_written_since(program: Program, brainer: Path) -> None:
    assert program("status", None).report["activity"] is None
    home(program, brainer)
    none = {"inserted": 0, "updated": 0, "deleted": 0}
    found = settled(program, none)
    since = program("status", None).report["state"]["opened_at"]
    assert found == {"since": since, **none}
    writes(program.url)
    ask(program.url, "UPDATE exercises SET points = 3 WHERE id IN (1, 2)")
    ask(program.url, "DELETE FROM exercises WHERE id = 3")
    some = {"inserted": 1, "updated": 2, "deleted": 1}
    assert settled(program, some) == {"since": since, **some}
    program("close", None)
    assert settled(program, some) == {"since": since, **some}, "after it was closed"
    program("open", None)
    assert settled(program, some) == {"since": since, **some}, "after that was undone"


def test_statistics_that_were_reset_say_nothing(
    program: Program, brainer: Path, admin_url: str, database_url: str
) -> None:
    home(program, brainer)
    settled(program, {"inserted": 0})
    superuser = admin_url.rpartition("/")[0] + "/" + database_url.rpartition("/")[2]
    ask(superuser, "SELECT pg_stat_reset()")
    assert program("status", None).report["activity"] is None


def test_every_row_that_differs(program: Program, brainer: Path, tmp_path: Path) -> None:
    home(program, brainer)
    ask(program.url, "UPDATE courses SET title = 'it''s' WHERE id = 1")
    ask(program.url, "DELETE FROM exercises WHERE id = 3")
    writes(program.url)
    path = tmp_path / "rows.jsonl"
    result = program.verify(brainer, "--rows", path)
    assert (result.code, result.verdict) == (3, "different")
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    kinds = {(row["table"], row["kind"], row["key"]["id"]): row for row in rows}
    (new,) = ask(program.url, "SELECT max(id)::text FROM courses")[0]
    assert sorted(kinds) == sorted(
        [("courses", "different", "1"), ("courses", "extra", new), ("exercises", "missing", "3")]
    )
    changed = kinds["courses", "different", "1"]
    assert changed["target"]["title"] == "'it''s'" != changed["source"]["title"]
    assert kinds["courses", "extra", new]["source"] is None
    assert kinds["exercises", "missing", "3"]["target"] is None
    assert path.stat().st_mode & 0o777 == 0o600
    assert [p.name for p in tmp_path.iterdir() if "partial" in p.name] == []


def test_what_was_proved_on_another_server_is_not_opened(program: Program, brainer: Path) -> None:
    """A failover between proof and switch: the new leader may lack what the old one had."""
    assert program.run(brainer, "--hold").code == 0
    (proved,) = ask(program.url, "SELECT proved_on FROM migrate_db.state")[0]
    assert "timeline 1" in proved
    with psycopg.connect(program.url, autocommit=True) as connection:
        connection.execute("SET default_transaction_read_only = off")
        connection.execute("UPDATE migrate_db.state SET proved_on = 'cluster 7, timeline 1'")
    refused = program("open", None)
    assert refused.code == 3 and "a failover?" in refused.error and "--catch-up" in refused.error
    assert program("status", None).verdict == "loaded"
    with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        writes(program.url)

    assert program.run(brainer, "--catch-up", "--hold").verdict == "equal"
    assert program("open", None).verdict == "opened"


def test_what_was_proved_is_on_the_disk_whatever_the_server_is_content_with(
    program: Program,
) -> None:
    assert ask(program.url, "SHOW synchronous_commit") == [("off",)]
    with connect(program.url, "public").connection as connection:
        assert connection.execute("SHOW synchronous_commit").fetchone() == ("on",)
