"""The way back to SQLite: the file as it was, with what PostgreSQL holds now."""

from pathlib import Path

from .home import Home, stored
from .program import Program, ask, fetch, sqlite
from .test_secrets_and_memory import ROWS, peak_of


def test_a_brainer_returns(program: Program, brainer: Path) -> None:
    home = Home(program, brainer)
    home.write(
        "INSERT INTO courses (slug, title, is_published, content, created_at)"
        " VALUES ('new', 'Neu ✓', true, '{\"b\": 1, \"a\": [1.50]}', '2026-01-02 03:04:05')",
        "UPDATE exercises SET points = 3, question = 'it''s' WHERE id = 7",
        "DELETE FROM exercises WHERE id = 9",
    )
    last = ask(program.url, "SELECT max(id) FROM exercises")[0][0]
    home.write(
        "INSERT INTO exercises (chapter_id, question, points, is_active, created_at)"
        " SELECT chapter_id, 'gone', 1, false, now() FROM exercises LIMIT 1",
        "DELETE FROM exercises WHERE question = 'gone'",
    )
    page = brainer.with_name("page.html")
    done = home.returned("--html", page)
    told = {t["table"]: (t["added"], t["changed"], t["removed"]) for t in
            done.report["reversal"]["tables"]}  # fmt: skip
    assert told == {"courses": (1, 0, 0), "parts": (0, 0, 0), "chapters": (0, 0, 0),
                    "exercises": (0, 1, 1)}  # fmt: skip
    assert done.report["proof"]["tables"][0]["equal"] > 0
    assert "Since the cut-over" in page.read_text() and home.into.name in page.read_text()
    assert any(line.split() == ["courses", "1", "0", "0", "4"] for line in done.told), done.text
    before, after = stored(home.kept, "exercises"), stored(home.into, "exercises")
    del before[9]
    assert after.pop(7) != before.pop(7)
    assert after == before, "rows that never changed are as they were"
    new = fetch(home.into, "SELECT title, content, created_at, is_published FROM courses"
                " WHERE slug = 'new'")  # fmt: skip
    assert new == [("Neu ✓", '{"b": 1, "a": [1.50]}', "2026-01-02 03:04:05.000000", 1)]
    sequence = "SELECT seq FROM sqlite_sequence WHERE name = 'exercises'"
    assert fetch(home.into, sequence)[0][0] > last, "a number that was given away comes again"
    assert program.verify(home.into).verdict == "equal"


def test_nothing_changed(program: Program, brainer: Path) -> None:
    home = Home(program, brainer)
    home.returned()
    assert home.into.read_bytes() == home.kept.read_bytes()


def test_the_whole_circle_twice(program: Program, brainer: Path) -> None:
    source = brainer
    kept = source.with_name("kept.db")
    assert program.run(source, "--hold", "--keep-snapshot", kept).code == 0
    for number in (1, 2):
        assert program("open", None).verdict == "opened"
        ask(program.url, f"UPDATE exercises SET points = {number + 10} WHERE id % 7 = {number}")
        ask(program.url, f"DELETE FROM exercises WHERE id = {number}")
        assert program("close", None).verdict == "closed"
        back = program("reverse", kept, "--into", source)
        assert back.verdict == "reversed", back.out
        sqlite(source, f"UPDATE exercises SET points = 99 WHERE id = {number + 20}")
        sqlite(source, "INSERT INTO exercises (chapter_id, question, is_active) SELECT chapter_id,"
               " 'on SQLite', 1 FROM exercises LIMIT 1")  # fmt: skip
        again = program.run(source, "--catch-up", "--hold", "--keep-snapshot", kept)
        assert again.verdict == "caught up", again.out
        assert program.verify(source).verdict == "equal"
    assert program("open", None).report["changed"]
    found = ask(program.url, "SELECT count(*) FROM exercises WHERE question = 'on SQLite'")
    assert found == [(2,)]


def test_memory_does_not_grow_with_what_changed(program: Program, tmp_path: Path) -> None:
    """Every row of every kind of table."""
    home = Home(program, sqlite(tmp_path / "rows.db", ROWS))
    home.write(
        "UPDATE numbered SET x = x || ' changed', f = f + 1",
        "UPDATE worded SET n = n + 1",
        "UPDATE loose SET b = b || ' changed'",
    )
    assert program("close", None).code == 0
    words = ("reverse", "--source", home.kept, "--into", home.into)
    assert peak_of(program, *words) < 64
    assert program.verify(home.into).verdict == "equal"
