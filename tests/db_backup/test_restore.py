"""What comes back is what was backed up, or the live database stays as it was."""

import json
import threading
import time
from collections.abc import Iterator

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from ..postgres import PostgresContainer
from .program import Program, ask, image
from .test_backup import enlarge


def contents(program: Program) -> list[dict[str, object]]:
    """Tables of the database as it is now, by a backup of it."""
    return list(program.manifest(program.backup())["contents"]["tables"])


def databases(program: Program) -> set[str]:
    """Those that a restore made or put away."""
    name = str(conninfo_to_dict(program.url)["dbname"])
    return {
        found
        for (found,) in ask(program.url, "SELECT datname::text FROM pg_database")
        if found.startswith(f"{name}__")
    }


@pytest.fixture(autouse=True)
def _tidy(program: Program, admin_url: str) -> Iterator[None]:
    """What restores put away goes with the test."""
    yield
    for name in databases(program):
        ask(admin_url, f'DROP DATABASE "{name}" WITH (FORCE)')


def spoil(program: Program, how: str) -> None:
    """Make the live database one that a restore must cope with."""
    owned = {
        "empty": "DROP SCHEMA public CASCADE; CREATE SCHEMA public",
        "partial": 'DROP TABLE part, "T t" CASCADE; DELETE FROM course WHERE id > 9',
        "drifted": "ALTER TABLE part ADD extra int DEFAULT 7; UPDATE course SET title = 'x';"
        " CREATE TABLE later (id int); DROP FUNCTION twice",
    }
    if how in owned:
        ask(program.url, owned[how])
    elif how == "other owner":
        ask(program.url, "CREATE ROLE somebody")
        name = conninfo_to_dict(program.url)["dbname"]
        ask(program.url, f'ALTER DATABASE "{name}" OWNER TO somebody')


@pytest.mark.parametrize("how", ["empty", "partial", "drifted", "other owner", "as it was"])
def test_into_a_database_that_is(program: Program, how: str) -> None:
    name = program.backup()
    before = program.manifest(name)["contents"]["tables"]
    spoil(program, how)
    live = image(program.url)
    refused = program("restore", name)
    if how != "empty":
        assert refused.code == 1 and f"restore {name} --replace" in refused.error
        assert image(program.url) == live
        done = program("restore", name, "--replace")
    else:
        done = refused
    assert done.code == 0, done.error
    assert contents(program) == before
    owner = ask(
        program.url,
        "SELECT pg_get_userbyid(datdba)::text FROM pg_database WHERE datname = current_database()",
    )
    assert owner == [(program.manifest(name)["database"]["owner"],)]
    # and it is the app's to use: a new row gets a new number
    ask(program.url, "INSERT INTO course (title) VALUES ('new')")
    assert ask(program.url, "SELECT nextval('counter'), twice(4)") == [(3, 8)]

    undone = program("restore", "--undo")
    assert undone.code == 0
    assert image(program.url) == live, "the former database, row by row"
    assert program("restore", "--forget").code == 0
    if how == "other owner":
        ask(program.url, "REASSIGN OWNED BY somebody TO postgres; DROP ROLE somebody")
    assert databases(program) == set()


def test_into_a_busy_one(program: Program, database_url: str) -> None:
    """The app's sessions end, its pool comes back, and finds the restored one."""
    name = program.backup()
    ask(program.url, "UPDATE course SET title = 'overwritten'")
    over, seen, failures = threading.Event(), [], []

    def app() -> None:
        while not over.is_set():
            try:
                with psycopg.connect(database_url, autocommit=True) as connection:
                    while not over.is_set():
                        row = connection.execute("SELECT min(title) FROM course").fetchone()
                        seen.append(row[0] if row else None)
                        time.sleep(0.01)
            except psycopg.OperationalError as error:
                failures.append(str(error))

    pool = [threading.Thread(target=app) for _ in range(5)]
    for thread in pool:
        thread.start()
    try:
        done = program("restore", name, "--replace")
        assert done.code == 0, done.error
        time.sleep(0.5)
    finally:
        over.set()
        for thread in pool:
            thread.join()
    assert "overwritten" in seen and seen[-1] == "Kurs ü 1"
    assert failures, "its sessions were ended"


def test_rights_and_settings_of_the_database_come_back(program: Program) -> None:
    name = conninfo_to_dict(program.url)["dbname"]
    ask(program.url, f'REVOKE CONNECT ON DATABASE "{name}" FROM PUBLIC')
    ask(program.url, f'ALTER DATABASE "{name}" SET search_path = \'$user\', public, "odd one"')
    ask(program.url, f"ALTER ROLE brainer_tests IN DATABASE \"{name}\" SET work_mem = '7MB'")
    before = program.manifest(program.backup())["database"]
    assert program("restore", "--replace").code == 0
    after = program.manifest(program.backup())["database"]
    for part in ("owner", "acl", "settings", "encoding", "collate", "ctype", "provider", "locale"):
        assert after[part] == before[part], part
    assert ask(program.url, "SHOW search_path") == [('"$user", public, "odd one"',)]


def test_into_a_virgin_server(program: Program, database_url: str) -> None:
    """Roles, passwords, owners and grants are made there, and the server's own superuser keeps his."""
    ask(program.url, "CREATE ROLE reader; GRANT reader TO brainer_tests")
    ask(program.url, "GRANT SELECT ON course TO reader; CREATE ROLE unrelated")
    name = program.backup()
    virgin = PostgresContainer()
    try:
        virgin.run()
        database = str(conninfo_to_dict(program.url)["dbname"])
        there = Program(program.directory, make_conninfo(virgin.url, dbname=database), virgin.name)
        done = there("restore", name)
        assert done.code == 0, done.error
        assert {"brainer_tests", "reader"} <= set(done.report["roles_made"])
        assert done.report["kept"] == ""
        words = conninfo_to_dict(database_url) | {"port": str(virgin.port)}
        app = make_conninfo("", **words)
        assert ask(app, "SELECT count(*) FROM course") == [(300,)]
        ask(app, "INSERT INTO course (title) VALUES ('by the app')")
        assert ask(app, "SELECT pg_has_role('reader', 'member')") == [(True,)]
        assert ask(there.url, "SELECT has_table_privilege('reader', 'course', 'select')") == [
            (True,)
        ]
    finally:
        virgin.remove()
        ask(program.url, "DROP OWNED BY reader; DROP ROLE reader; DROP ROLE unrelated")


def forge(program: Program, name: str, table: str, **news: object) -> None:
    """Change what a set says of a table, with sums that fit: as if the dump had other rows."""
    from db_backup import store
    from db_backup.manifest import DUMP, GLOBALS, MANIFEST, SUMS

    directory = program.directory / name
    found = program.manifest(name)
    for entry in found["contents"]["tables"]:
        if entry["name"] == table:
            entry.update(news)
    (directory / MANIFEST).write_text(json.dumps(found))
    digests = {file: store.sha256(directory / file) for file in (DUMP, GLOBALS, MANIFEST)}
    (directory / SUMS).write_text(store.sums(digests))


@pytest.mark.parametrize(
    ("news", "words"),
    [
        ({"rows": 699}, "has 700 rows, not 699"),
        ({"digest": "1:2"}, "has as many rows, but not the same ones"),
    ],
)
def test_what_comes_out_is_compared(program: Program, news: dict[str, object], words: str) -> None:
    name = program.backup()
    forge(program, name, "part", **news)
    assert program("verify", name).code == 0
    live = image(program.url)
    result = program("restore", name, "--replace")
    assert result.code == 3 and f"table public.part {words}" in " ".join(result.error.split())
    assert image(program.url) == live and databases(program) == set()


def test_a_damaged_set_is_refused(program: Program) -> None:
    name = program.backup()
    with (program.directory / name / "database.dump").open("r+b") as file:
        file.truncate(2000)
    live = image(program.url)
    result = program("restore", name, "--replace")
    assert result.code == 3 and "damaged" in result.error
    assert image(program.url) == live


@pytest.mark.parametrize(
    "moments", [6, pytest.param(40, marks=pytest.mark.slow)], ids=lambda count: f"{count} moments"
)
def test_killed(program: Program, moments: int) -> None:
    """The live database is always there: the former one, or the restored one, whole."""
    enlarge(program)
    name = program.backup()
    restored = program.manifest(name)["contents"]["tables"]
    ask(program.url, "UPDATE course SET title = 'live'; DROP TABLE part CASCADE")
    begun = time.monotonic()
    assert program("restore", name, "--replace").code == 0
    took = time.monotonic() - begun + 0.3
    assert program("restore", "--undo").code == 0
    live, seen = image(program.url), set()
    for number in range(moments):
        process = program.spawn("restore", name, "--replace")
        time.sleep(took * (number + 0.5) / moments)
        process.kill()
        process.wait()
        if image(program.url) == live:
            seen.add("former")
        else:
            assert ask(program.url, "SELECT min(title) FROM course") == [("Kurs ü 1",)]
            assert contents(program) == restored
            assert program("restore", "--undo").code == 0
            assert image(program.url) == live
            seen.add("restored")
    assert "former" in seen
    assert program("restore", name, "--replace").code == 0
    assert contents(program) == restored
    assert not {found for found in databases(program) if "__restoring" in found}


def test_what_is_replaced_is_backed_up_first(program: Program) -> None:
    name = program.backup()
    ask(program.url, "UPDATE course SET title = 'precious'")
    done = program("restore", name, "--replace")
    assert done.code == 0 and done.report["before"] in program.sets
    assert program("restore", done.report["before"], "--replace").code == 0
    assert ask(program.url, "SELECT DISTINCT title FROM course") == [("precious",)]
    # the same command again must not bring back what it replaced, though that is the newest set
    again = program("restore", "--replace")
    assert again.code == 0 and again.report["set"] == name
    assert "there is no backup" in program("restore", "2020-01-01", "--replace").error
    (limit,) = (one for one in program("status").report["limits"] if one["name"] == "newest backup")
    assert name in limit["text"]


def test_what_can_not_be_backed_up_is_not_replaced_by_the_way(program: Program) -> None:
    name = program.backup()
    connection = psycopg.connect(program.url)  # the restore will end it
    connection.execute("LOCK TABLE part IN ACCESS EXCLUSIVE MODE")
    refused = program("restore", name, "--replace", lock_timeout="1")
    assert refused.code == 1 and "--without-backup" in refused.error
    done = program("restore", name, "--replace", "--without-backup", lock_timeout="1")
    assert done.code == 0 and done.report["kept"]
    connection.close()


def test_as_another_database_the_live_one_is_not_touched(program: Program, admin_url: str) -> None:
    name = program.backup()
    ask(program.url, "UPDATE course SET title = 'later'")
    live, look = image(program.url), f"{conninfo_to_dict(program.url)['dbname']}__look"
    done = program("restore", "--as", look)
    assert done.code == 0 and done.report["database"] == look, done.error
    there = make_conninfo(program.url, dbname=look)
    assert ask(there, "SELECT count(*) FROM course WHERE title = 'later'") == [(0,)]
    refused = program("restore", name, "--as", look)
    assert refused.code == 1 and f"restore --as {look} {name} --replace" in refused.error
    assert image(program.url) == live


def test_an_empty_set_replaces_nothing(program: Program) -> None:
    ask(program.url, "DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    name = program.backup()
    ask(program.url, "CREATE TABLE something (id int)")
    result = program("restore", name, "--replace")
    assert result.code == 1 and "the set holds no table" in result.error
    assert image(program.url) == {"public.something": []}


def test_undone_twice_it_does_not_go_back_to_an_earlier_restore(program: Program) -> None:
    name = program.backup()
    for title in ("long ago", "lately"):
        ask(program.url, f"UPDATE course SET title = '{title}'")
        assert program("restore", name, "--replace").code == 0
        time.sleep(1.1)  # names are of a second
    assert program("restore", "--undo").code == 0
    again = program("restore", "--undo")
    assert again.code == 1 and "is undone already" in again.error
    assert ask(program.url, "SELECT DISTINCT title FROM course") == [("lately",)]


def test_nothing_to_go_back_to(program: Program) -> None:
    program.backup()
    result = program("restore", "--undo")
    assert result.code == 1 and "nothing to go back to" in result.error
    assert image(program.url)


def test_what_docker_says_where_others_print_their_output(program: Program) -> None:
    """`docker exec` tells there that it could not begin."""
    name = program.backup()
    tools = "sh -c 'cat >/dev/null; echo cannot begin; exit 126' sh"
    refused = program("restore", name, "--as", "look", server_tools=tools)
    assert refused.code == 1 and "cannot begin" in refused.error, refused.error
