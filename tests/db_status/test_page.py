"""The page in a real browser: light, dark and as wide as a phone."""

import contextlib
import json
import math
import sqlite3
import time
from pathlib import Path
from typing import Any

import psycopg
import pytest
from db_status.history import History

from .browser import measure
from .program import Program

#: What a statement may hold, and a page must not take for its own; the server keeps comments and names, not values.
NASTY = """SELECT /* </code></pre><script>document.title = 'broken'</script><img src=//x.test/y onerror=alert(1)> */
  pg_sleep(0.02) AS "a&b'<i>" """
SAMPLES = 700


def body(number: int) -> dict[str, Any]:
    """A sample of a server with days and nights; some counters begin anew, and for a while it is down."""
    wave = math.sin(number / 288 * 2 * math.pi) + 1.2
    found: dict[str, Any] = {
        "disks": {"/": [20_000_000_000 - number * 1_000_000, 40_000_000_000]},
        "memory": {"available": int(8e8 + 1e8 * wave), "bytes": 2_000_000_000},
        "containers": {},
    }
    if 300 <= number < 306:
        return found | {"down": "connection refused"}
    count = number if number < 500 else number - 500
    return found | {
        "limit": 47, "connections": {"used": int(10 + 8 * wave), "active": int(3 * wave)},
        "database": {"bytes": 30_000_000 + number * 20_000, "xact_commit": count * 900, "xact_rollback": 0,
                     "blks_hit": count * 5000, "blks_read": count * 40, "tup_inserted": count * 30,
                     "tup_updated": count, "tup_deleted": 0},
        "wal": count * 1_000_000, "oldest": wave, "statements": {"calls": count, "ms": count * 3000.0},
        "tables": {"public.exercise": 1_000_000 + number * 1000},
    }  # fmt: skip


@pytest.fixture
def page(program: Program, counted_anew: None, admin: psycopg.Connection) -> str:
    """Of a server with some tables, and two days and a half of history."""
    admin.execute(
        "CREATE TABLE exercise (id int PRIMARY KEY, body text); CREATE TABLE \"<i>x&y\" (a int);"
        f' CREATE TABLE "{"long_name_" * 6}" (a int);'
        " INSERT INTO exercise SELECT g, repeat('x', 90) FROM generate_series(1, 20000) g; ANALYZE"
    )  # fmt: skip
    for _ in range(20):
        admin.execute(NASTY.encode())
        admin.execute(
            f"SELECT count(*) FROM exercise WHERE body LIKE '%y' {'OR body IS NULL ' * 40}".encode()
        )
    now = int(time.time())
    with History(program.history, SAMPLES).alone():
        History(program.history, SAMPLES).add(body(0), now - SAMPLES * 300)
    with contextlib.closing(sqlite3.connect(program.history)) as file, file:
        file.executemany(
            "INSERT INTO sample VALUES (?, ?)",
            [(now - (SAMPLES - n) * 300, json.dumps(body(n))) for n in range(1, SAMPLES)],
        )
    result = program("report", "--with-page", disk_warning=99, connections_warning=0)
    assert len(result.crossed("disk")) == 1
    text: str = result.report["page"]
    return text


@pytest.mark.parametrize(
    ("width", "dark"), [(1280, False), (1280, True), (390, False), (390, True)]
)
def test_in_a_browser(page: str, tmp_path: Path, width: int, dark: bool) -> None:
    found = measure(page, tmp_path, width, dark)
    assert (found["width"], found["dark"]) == (width, dark)
    assert found["back"] == ("rgb(20, 24, 30)" if dark else "rgb(255, 255, 255)")
    assert found["scrollWidth"] == width and found["wide"] == [], "nothing sticks out"
    assert found["faint"] == [] and found["small"] == [], "every text can be read"
    assert found["screenshot"].stat().st_size > 20_000

    titles = [figure["title"] for figure in found["figures"]]
    assert len(titles) == len(set(titles)) == 10, "one range is shown, the other waits"
    for figure in found["figures"]:
        strokes = figure["strokes"]
        assert strokes and all(
            stroke["inside"] and stroke["contrast"] >= 3 for stroke in strokes
        ), figure
        assert figure["hovers"] >= 40
    connections = found["figures"][0]["strokes"]
    assert len(connections) == 2 and all(stroke["points"] > 150 for stroke in connections)
    assert connections[0]["width"] > 0.97, "the last day from end to end"

    names, widths = zip(*found["bars"], strict=True)
    assert names == ("exercise", "<i>x&y", "long_name_" * 6)
    assert widths[0] > 20 * widths[1] and min(widths) >= 2, "a bar is as long as its table is large"
    statements = dict(found["statements"])
    assert any("LIKE" in text and bar > 5 for text, bar in statements.items())


def test_of_texts_nothing_becomes_a_part_of_the_page(page: str, tmp_path: Path) -> None:
    found = measure(page, tmp_path, 1280, False)
    assert found["external"] == [] and "broken" not in found["title"]
    assert not {"img", "link", "iframe", "i>"} & set(found["elements"])
    assert found["elements"].count("script") <= 1 and "<script" not in page, "one is the test's"
    assert "<script>document.title = 'broken'</script>" in found["text"], "it is there to read"
    assert 'AS "a&b' in found["text"] and len(page) < 600_000


def test_the_whole_history(page: str, tmp_path: Path) -> None:
    """The other range: with the hole in it, and the counters that began anew."""
    other = page.replace("id=day checked", "id=day").replace("id=all>", "id=all checked>")
    found = measure(other, tmp_path, 1280, False)
    figures = {figure["title"]: figure for figure in found["figures"]}
    assert len(figures) == 10 and "2.4 days" in found["text"]
    assert figures["Connections"]["gaps"] == 6
    assert len(figures["Size of the database"]["strokes"]) == 2, "broken where the server was down"


def test_without_anything(program: Program, tmp_path: Path) -> None:
    """No server, no history: a page all the same, that says so."""
    output = tmp_path / "status.html"
    url = "postgresql://monitoring@127.0.0.1:9/brainer"
    result = program("page", output=output, database=url)
    assert result.code == 0 and result.report["verdict"] == "critical"
    found = measure(output.read_text(), tmp_path, 390, False)
    assert found["scrollWidth"] == 390 and found["faint"] == []
    assert "does not answer" in found["text"] and "There is no sample yet" in found["text"]
