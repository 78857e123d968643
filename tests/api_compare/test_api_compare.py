"""The program, run as an operator runs it, against the real app."""

import json
import os
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

FILES = Path(__file__).parents[2] / "files"
COURSES = {"list": "/api/courses?skip={skip}&limit={limit}", "item": "/api/courses/{id}"}
PARTS = {"list": "/api/parts?skip={skip}&limit={limit}", "item": "/api/parts/{id}"}


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "api_compare", *map(str, arguments)],
        env=os.environ | {"PYTHONPATH": str(FILES)},
        capture_output=True,
        text=True,
        timeout=60,
    )


class Bench:
    """Captures of one API in a directory."""

    def __init__(self, base: str, directory: Path, *endpoints: dict[str, str]) -> None:
        self.base, self.directory = base, directory
        self.endpoints = directory / "endpoints.json"
        self.endpoints.write_text(json.dumps(endpoints))

    def capture(self, name: str, *more: str) -> subprocess.CompletedProcess[str]:
        return run(
            "capture", "--base", self.base, "--endpoints", self.endpoints,
            "--out", self.directory / name, *more,
        )  # fmt: skip

    def compare(self, *more: str) -> subprocess.CompletedProcess[str]:
        return run("compare", self.directory / "before", self.directory / "after", *more)


@pytest.fixture
def bench(brainer: httpx.Client, tmp_path: Path) -> Bench:
    return Bench(str(brainer.base_url), tmp_path, COURSES)


@contextmanager
def api_of(elements: list[Any], most_per_page: int) -> Iterator[str]:
    """An API whose lists have the order given and pages shorter than asked for, which the app's
    never have."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version: ClassVar[str] = "HTTP/1.1"

        def do_GET(self) -> None:
            url = urlsplit(self.path)
            answer: Any = next((e for e in elements if f"/x/{e['id']}" == url.path), None)
            if url.path == "/x":
                skip = int(parse_qs(url.query)["skip"][0])
                answer = elements[skip : skip + most_per_page]
            body = json.dumps(answer).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()


def test_an_unchanged_api_is_equal_and_says_how_much_was_compared(
    bench: Bench, brainer: httpx.Client
) -> None:
    count = len(brainer.get("/api/courses").json())
    assert bench.capture("before").returncode == bench.capture("after").returncode == 0

    told = bench.compare()
    assert told.returncode == 0
    assert f"{count} of {count} listed equal, {count} of {count} items equal\nequal" in told.stdout

    verdict = json.loads(bench.compare("--json").stdout)
    assert (verdict["status"], verdict["differences"]) == ("equal", [])
    (endpoint,) = verdict["endpoints"]
    assert endpoint["elements"] == endpoint["elements_equal"] == count
    assert endpoint["items"] == endpoint["items_equal"] == count


def test_a_difference_is_shown_with_path_field_before_and_after(
    bench: Bench, brainer: httpx.Client
) -> None:
    bench.capture("before")
    brainer.patch("/api/courses/2", json={"content": {"n": [1, 0.1], "new": None}})
    brainer.patch("/api/courses/2", json={"content": {"n": [1, 0.2], "new": None}})
    bench.capture("after")

    told = bench.compare()
    assert told.returncode == 3
    assert "/api/courses/2  content.n[1]\n    before  0.1\n    after   0.2\n" in told.stdout
    assert "/api/courses/2  content.new\n    before  (absent)\n    after   None\n" in told.stdout

    verdict = json.loads(bench.compare("--json").stdout)
    assert verdict["status"] == "different"
    wanted = {"path": "/api/courses/2", "field": "content.n[1]", "before": "0.1", "after": "0.2"}
    assert wanted in verdict["differences"]


@pytest.mark.parametrize(
    ("before", "after"),
    [(1, 1.0), (1, True), (0.0, -0.0), ("1", 1), (None, "(absent)"), ([1, 2], [2, 1]), ({}, [])],
    ids=repr,
)
def test_values_that_python_or_a_person_may_take_for_equal_differ(
    bench: Bench, brainer: httpx.Client, before: Any, after: Any
) -> None:
    for name, value in (("before", before), ("after", after)):
        # By way of a third value: SQLAlchemy, too, thinks that 1 -> True changes nothing. And in an
        # object: SQLite gives a column called JSON numeric affinity, and keeps a bare 1.0 as 1.
        brainer.patch("/api/courses/1", json={"content": "between"})
        brainer.patch("/api/courses/1", json={"content": {"is": value}})
        bench.capture(name)
    verdict = json.loads(bench.compare("--json").stdout)
    # the listed element as well as the item
    assert verdict["endpoints"][0]["elements"] - verdict["endpoints"][0]["elements_equal"] == 1
    assert any(
        difference["field"].startswith("content.is") for difference in verdict["differences"]
    )


def test_the_order_of_keys_in_an_object_means_nothing(tmp_path: Path) -> None:
    for name, body in (("before", {"id": 1, "a": 2}), ("after", {"a": 2, "id": 1})):
        with api_of([body], 10) as base:
            Bench(
                base, tmp_path, {"list": "/x?skip={skip}&limit={limit}", "item": "/x/{id}"}
            ).capture(name)
    assert run("compare", tmp_path / "before", tmp_path / "after").returncode == 0


def test_rows_that_went_or_came_are_differences(bench: Bench, brainer: httpx.Client) -> None:
    gone = brainer.post("/api/courses", json={"slug": "gone", "title": "x"}).json()["id"]
    bench.capture("before")
    brainer.delete(f"/api/courses/{gone}")
    bench.capture("after")
    told = bench.compare()
    assert told.returncode == 3
    assert f'element {gone}\n    before  "digest' in told.stdout
    assert "after   (absent)" in told.stdout

    (bench.directory / "before").rename(bench.directory / "swapped")
    (bench.directory / "after").rename(bench.directory / "before")
    (bench.directory / "swapped").rename(bench.directory / "after")
    assert bench.compare().returncode == 3


def test_lists_are_read_to_the_end_in_any_order_whatever_the_page_size(tmp_path: Path) -> None:
    endpoint = {"list": "/x?skip={skip}&limit={limit}", "item": "/x/{id}"}
    elements = [{"id": i, "value": i * i} for i in range(25)]
    with api_of(elements, 10) as base:
        captured = Bench(base, tmp_path, endpoint).capture("before")
    assert ": 25 listed, 25 items" in captured.stdout
    with api_of(elements[::-1], 7) as base:
        bench = Bench(base, tmp_path, endpoint)
        bench.capture("after")
    assert bench.compare().returncode == 0


def test_a_sample_is_spread_evenly_and_the_rest_is_compared_as_listed(tmp_path: Path) -> None:
    endpoint = {"list": "/x?skip={skip}&limit={limit}", "item": "/x/{id}"}
    elements = [{"id": i, "value": 1} for i in range(100)]
    with api_of(elements, 1000) as base:
        bench = Bench(base, tmp_path, endpoint)
        assert "4 of 100 items, evenly spread" in bench.capture("before", "--max-items", "4").stdout
        elements[50]["value"] = 2
        bench.capture("after", "--max-items", "4")
    items = json.loads((tmp_path / "before").read_text())["endpoints"][0]["items"]
    assert list(items) == ["/x/0", "/x/33", "/x/66", "/x/99"]
    told = bench.compare()
    assert told.returncode == 3
    assert "element 50" in told.stdout
    assert "96 items compared as listed only" in told.stdout


def test_a_server_that_drops_idle_connections_is_asked_again(
    impatient_brainer: Any, tmp_path: Path
) -> None:
    with impatient_brainer as client:
        for i in range(3):
            # a connection each: httpx would fail on one that was dropped under it
            httpx.post(f"{client.base_url}/api/courses", json={"slug": f"c{i}", "title": "x"})
        captured = Bench(str(client.base_url), tmp_path, COURSES).capture("before")
    assert (captured.returncode, captured.stderr) == (0, "")
    assert ": 3 listed, 3 items" in captured.stdout


def test_a_capture_is_private(bench: Bench) -> None:
    bench.capture("before")
    assert stat.S_IMODE((bench.directory / "before").stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("endpoint", "said"),
    [
        ({**COURSES, "list": "/api/nowhere?{skip}{limit}"}, 'status 404: {"detail":"Not Found"}'),
        ({**COURSES, "item": "/api/chapters/{id}"}, "/api/chapters/1: status 404"),
        ({**COURSES, "list": "/docs?{skip}{limit}"}, "not JSON: <!DOCTYPE html>"),
        ({**COURSES, "list": "/health?{skip}{limit}"}, "a dict, not a list"),
    ],
)
def test_an_answer_that_cannot_be_compared_fails_and_leaves_the_last_capture(
    brainer: httpx.Client, tmp_path: Path, endpoint: dict[str, str], said: str
) -> None:
    (tmp_path / "before").write_text("the last one")
    failed = Bench(str(brainer.base_url), tmp_path, endpoint).capture("before", "--json")
    assert failed.returncode == 1
    assert said in failed.stderr.replace('", "', '","')
    assert json.loads(failed.stdout)["status"] == "failed"
    assert (tmp_path / "before").read_text() == "the last one"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["before", "endpoints.json"]


def test_no_server_and_a_silent_server_fail_within_the_timeout(tmp_path: Path) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        base = f"http://127.0.0.1:{listener.getsockname()[1]}"
        refused = Bench(base, tmp_path, COURSES).capture("before")
        assert refused.returncode == 1
        assert f"{base}/api/courses?skip=0&limit=500: no answer" in refused.stderr
        listener.listen()
        silent = Bench(base, tmp_path, COURSES).capture("before", "--timeout", "0.2")
        assert silent.returncode == 1
        assert "timed out" in silent.stderr


def test_comparing_nothing_is_a_failure(brainer: httpx.Client, tmp_path: Path) -> None:
    bench = Bench(str(brainer.base_url), tmp_path, PARTS)
    assert bench.capture("before").returncode == bench.capture("after").returncode == 0
    told = bench.compare()
    assert (told.returncode, told.stdout) == (1, "")
    assert "nothing was compared" in told.stderr


def test_captures_of_different_endpoints_are_not_compared(
    brainer: httpx.Client, tmp_path: Path
) -> None:
    Bench(str(brainer.base_url), tmp_path, COURSES, PARTS).capture("before")
    bench = Bench(str(brainer.base_url), tmp_path, COURSES)
    bench.capture("after")
    told = bench.compare()
    assert told.returncode == 1
    assert "different endpoints" in told.stderr


@pytest.mark.parametrize(
    "listed",
    [
        "not json", "[]", "{}", '["/api/courses"]', '[{"list": "/api/courses"}]',
        '[{"list": "/a?limit={limit}", "item": "/a/{id}"}]',
        '[{"list": "/a?skip={skip}&limit={limit}", "item": "/a/1"}]',
        '[{"list": "a?skip={skip}&limit={limit}", "item": "/a/{id}"}]',
    ],
)  # fmt: skip
def test_an_endpoints_file_that_would_compare_too_little_is_bad_usage(
    bench: Bench, listed: str
) -> None:
    bench.endpoints.write_text(listed)
    refused = bench.capture("before")
    assert refused.returncode == 2
    assert "endpoints.json" in refused.stderr


def test_bad_usage(bench: Bench, tmp_path: Path) -> None:
    bench.capture("before")
    (tmp_path / "after").write_text("[]")
    for refused in (
        run(),
        run("capture"),
        Bench("127.0.0.1:8000", tmp_path, COURSES).capture("x"),
        bench.capture("x", "--max-items", "0"),
        bench.compare(),
        run("compare", tmp_path / "before", tmp_path / "missing"),
    ):
        assert refused.returncode == 2, refused.args
        assert refused.stderr
        assert "Traceback" not in refused.stderr
