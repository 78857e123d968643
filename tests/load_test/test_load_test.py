"""What the rounds of both sides become; the load itself is tested where an app is, in the scenario e2e."""

import json
from pathlib import Path

import pytest
from load_test.cli import main

from ..db_status.browser import measure

SLOW = {"50": 9.0, "90": 20.0, "95": 40.0, "99": 400.0, "100": 5000.0}
FAST = {"50": 8.0, "90": 12.0, "95": 15.0, "99": 30.0, "100": 90.0}


def rounds(directory: Path, taken: list[tuple[str, float, int]]) -> Path:
    """Files as `measure` leaves them: a side, its requests a second, those that failed."""
    directory.mkdir()
    for number, (side, speed, failed) in enumerate(taken):
        one = {
            "load": "80 % reads", "requests": 500, "failed": failed, "per_second": speed,
            "latency": SLOW if side == "SQLite" else FAST,
        }  # fmt: skip
        (directory / f"{number:04}.json").write_text(json.dumps({"side": side, "loads": [one]}))
    return directory


TAKEN = [("SQLite", 100, 0), ("PostgreSQL", 150, 0), ("SQLite", 110, 7), ("PostgreSQL", 900, 0),
         ("SQLite", 90, 0), ("PostgreSQL", 140, 0)]  # fmt: skip


def test_medians_count_and_failures_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    taken = rounds(tmp_path / "rounds", TAKEN)
    assert main(["compare", "--rounds", str(taken), "--out", str(tmp_path / "out")]) == 0
    said = capsys.readouterr().out
    assert "PostgreSQL serves 1.50 × the requests of SQLite" in said
    assert "7 of 1500 requests failed on SQLite" in said
    (load,) = json.loads((tmp_path / "out" / "report.json").read_text())["loads"]
    assert [side["name"] for side in load] == ["SQLite", "PostgreSQL"]
    assert [side["per_second"] for side in load] == [100, 150]


@pytest.mark.parametrize(("width", "dark"), [(1280, False), (390, True)])
def test_the_page_in_a_browser(tmp_path: Path, width: int, dark: bool) -> None:
    taken = rounds(tmp_path / "rounds", TAKEN)
    main(["compare", "--rounds", str(taken), "--out", str(tmp_path), "--host", "<b>vps"])
    found = measure((tmp_path / "report.html").read_text(), tmp_path, width, dark)
    assert found["scrollWidth"] == width and found["wide"] == [], "nothing sticks out"
    assert found["faint"] == [] and found["small"] == [], "every text can be read"
    (figure,) = found["figures"]
    assert [stroke["points"] for stroke in figure["strokes"]] == [5, 5]
    assert all(stroke["inside"] and stroke["contrast"] >= 3 for stroke in figure["strokes"])
    assert "<b>vps" in found["text"] and found["external"] == []


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"requests": 10**7}, "requests is 10000000"),
        ({"concurrency": 0}, "concurrency"),
        ({"seconds": "10"}, "seconds"),
        ({"speed": 1}, "unknown: speed"),
    ],
)
def test_settings_out_of_bounds_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], changed: dict[str, object], words: str
) -> None:
    file = tmp_path / "settings.json"
    file.write_text(json.dumps({"path": "/", **changed}))
    assert start(tmp_path, "http://127.0.0.1:9") == 2
    assert words in capsys.readouterr().err


@pytest.mark.parametrize("host", ["192.0.2.7", "example.org"])
def test_only_this_machine_is_put_under_load(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], host: str
) -> None:
    (tmp_path / "settings.json").write_text("{}")
    assert start(tmp_path, f"http://{host}") == 2
    assert "only an app on this machine" in capsys.readouterr().err


def start(tmp_path: Path, url: str) -> int:
    return main(
        ["measure", "--side", "x", "--url", url, "--settings", str(tmp_path / "settings.json"),
         "--rounds", str(tmp_path / "rounds")]
    )  # fmt: skip
