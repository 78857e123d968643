"""Somebody hears of it: start, success and failure, with the lines that say why."""

import http.server
import json
import signal
import stat
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from .program import Program


class Monitor:
    """Writes down what it is told, as healthchecks.io does."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str]] = []
        told = self.told

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                size = int(self.headers.get("Content-Length") or 0)
                told.append((self.path, self.rfile.read(size).decode()))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *words: Any) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/secret-of-mine"

    @property
    def paths(self) -> list[str]:
        return [path.removeprefix("/secret-of-mine") for path, _ in self.told]

    def close(self) -> None:
        self._server.shutdown()


@pytest.fixture
def monitor() -> Iterator[Monitor]:
    monitor = Monitor()
    yield monitor
    monitor.close()


@pytest.fixture
def config(program: Program, monitor: Monitor, tmp_path: Path) -> Path:
    """Settings as the role writes them."""
    hook = tmp_path / "hook"
    hook.write_text(
        f"#!/bin/sh\n{{ echo $DB_BACKUP_COMMAND $DB_BACKUP_CODE; cat; }} >>{tmp_path}/heard\n"
    )
    hook.chmod(0o755)
    found = {
        "dir": str(program.directory),
        "container": program.container,
        "url": program.url,
        "floor_mb": 1,
        "ping_url": monitor.url,
        "on_failure": [str(hook)],
        "metrics": str(tmp_path / "db_backup.prom"),
    }
    path = tmp_path / "config.json"
    path.write_text(json.dumps(found))
    return path


def test_a_good_night(program: Program, monitor: Monitor, config: Path, tmp_path: Path) -> None:
    assert program("nightly", "--alarm", config=str(config)).code == 0
    assert monitor.paths == ["/start", ""]
    assert "1,005 rows" in monitor.told[-1][1]
    assert not (tmp_path / "heard").exists()
    metrics = (tmp_path / "db_backup.prom").read_text()
    assert (
        'db_backup_ok{limit="newest_backup"} 1' in metrics
        and "db_backup_newest_rows 1005" in metrics
    )
    assert stat.S_IMODE((tmp_path / "db_backup.prom").stat().st_mode) == 0o644


def test_metrics_in_a_directory_that_is_missing(program: Program, tmp_path: Path) -> None:
    missing = tmp_path / "node_exporter"
    metrics = str(missing / "db_backup.prom")
    for command, code in (("nightly", 5), ("status", 1)):
        told = program(command, metrics=metrics)
        assert told.code == code and "directory of the metrics file is missing" in told.error
        assert f"where: {missing}" in told.error and "make it" in told.error
    assert len(program.sets) == 1 and not missing.exists(), "the backup is there"
    missing.mkdir()
    assert program("nightly", metrics=metrics).code == 0


def test_a_bad_night(program: Program, monitor: Monitor, config: Path, tmp_path: Path) -> None:
    result = program("nightly", "--alarm", config=str(config), container="no-such-container")
    assert result.code == 1
    assert monitor.paths == ["/start", "/fail"]
    assert "o such container" in monitor.told[-1][1], "the reason goes with it"
    heard = (tmp_path / "heard").read_text()
    assert heard.startswith("nightly 1\n") and "o such container" in heard
    assert "secret-of-mine" not in json.dumps(result.report) + result.text


def test_a_monitor_that_does_not_answer_stops_nothing(
    program: Program, monitor: Monitor, config: Path
) -> None:
    found = json.loads(config.read_text())
    config.write_text(json.dumps(found | {"ping_url": "http://127.0.0.1:9/secret-of-mine"}))
    result = program("nightly", "--alarm", config=str(config))
    assert result.code == 0 and "monitor does not answer" in result.text
    assert "secret-of-mine" not in result.text
    assert program("test-alarm", config=str(config)).code == 1, "at install it is an error"


def test_every_alarm_rings_at_install(
    program: Program, monitor: Monitor, config: Path, tmp_path: Path
) -> None:
    result = program("test-alarm", config=str(config))
    assert result.code == 0 and result.report["ways"] == 2
    assert monitor.paths == ["/fail", ""]
    assert "this is a test" in (tmp_path / "heard").read_text()


def test_stopped_by_the_system(program: Program, monitor: Monitor, config: Path) -> None:
    """systemd's timeout, a shutdown: SIGTERM is a failure that is told."""
    with psycopg.connect(program.url) as connection:
        connection.execute("LOCK TABLE part IN ACCESS EXCLUSIVE MODE")
        process = program.spawn("nightly", "--alarm", config=str(config))
        while "/start" not in monitor.paths:
            time.sleep(0.02)
        time.sleep(0.5)
        process.send_signal(signal.SIGTERM)
        connection.rollback()
        process.communicate()
    assert process.returncode == 1 and monitor.paths == ["/start", "/fail"]
    assert program.sets == []


def test_a_killed_run_shows_in_the_status(program: Program, config: Path) -> None:
    program.backup()
    with psycopg.connect(program.url) as connection:
        connection.execute("LOCK TABLE part IN ACCESS EXCLUSIVE MODE")
        process = program.spawn("nightly")
        runs = program.directory / ".db_backup" / "runs.jsonl"
        while runs.read_text().count("nightly") == 0:
            time.sleep(0.02)
        assert program("status", max_drill_age_days="0").code == 0, "it is at work"
        process.kill()
        process.wait()
    told = program("status", max_drill_age_days="0")
    assert told.code == 1 and "was killed" in json.dumps(told.report)
    assert program("nightly").code == 0
    assert program("status", max_drill_age_days="0").code == 0


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"dri": "/x"}', "unknown settings: dri"),
        ('{"keep_days": "7"}', "keep_days must be of type int"),
        ("{", "not JSON"),
        ('{"on_failure": "rm -rf"}', "on_failure must be a list"),
    ],
)
def test_settings_that_are_no_good(program: Program, tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "bad.json"
    path.write_text(text)
    result = program("status", config=str(path))
    assert result.code == 2 and words in result.error
