"""The app's SQLite file: kept aside when somebody changed it, put back by one rename, given back to its owner."""

from __future__ import annotations

import json
import os
import sqlite3
import sys
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.testing import patch_module_args

sys.path.insert(0, str(Path(__file__).parents[2] / "roles" / "rollback" / "library"))
import rollback_file


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "data" / "app.db"
    path.parent.mkdir()
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY)")
    connection.close()
    path.chmod(0o444)
    return path


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str], file: Path) -> Any:
    def run(action: str, **more: Any) -> dict[str, Any]:
        capsys.readouterr()
        with (
            patch_module_args({"path": str(file), "action": action, **more}),
            pytest.raises(SystemExit),
        ):
            rollback_file.main()
        answer: dict[str, Any] = json.loads(capsys.readouterr().out)
        return answer

    return run


def test_what_nobody_changed_is_left_alone(file: Path, call: Any, tmp_path: Path) -> None:
    record = {"sha256": rollback_file.digest(str(file))}
    before = file.stat()
    told = call("aside", record=record, directory=str(tmp_path / "kept"))
    assert not told["changed"] and not (tmp_path / "kept").exists()
    assert file.stat() == before


def test_what_somebody_changed_is_kept_with_its_log(file: Path, call: Any, tmp_path: Path) -> None:
    record = {"sha256": rollback_file.digest(str(file))}
    file.chmod(0o644)
    writer = sqlite3.connect(file)
    writer.execute("PRAGMA journal_mode = wal")
    writer.execute("INSERT INTO t VALUES (7)")
    writer.commit()
    assert call("written", sha256=record["sha256"])["written"]
    told = call("aside", record=record, directory=str(tmp_path / "kept"))
    assert told["changed"] and told["kept"] == str(tmp_path / "kept")
    # the row was in the log only: a copy without it would have lost it
    with sqlite3.connect(tmp_path / "kept" / "app.db") as copy:
        assert copy.execute("SELECT id FROM t").fetchall() == [(7,)]
    assert [path.name for path in file.parent.iterdir()] == ["app.db"], "no log for another file"
    writer.close()


def test_put_then_nothing_to_do(file: Path, call: Any, tmp_path: Path) -> None:
    kept = tmp_path / "kept.db"
    kept.write_bytes(file.read_bytes() + b"\0" * 4096)
    wanted = rollback_file.digest(str(kept))
    inode = file.stat().st_ino
    told = call("put", kept=str(kept), sha256=wanted)
    assert told["changed"] and told["sha256"] == wanted
    assert file.read_bytes() == kept.read_bytes() and file.stat().st_ino != inode
    assert not call("put", kept=str(kept), sha256=wanted)["changed"]
    assert not call("written", sha256=wanted)["written"]


def test_a_kept_file_that_was_altered_is_refused(file: Path, call: Any, tmp_path: Path) -> None:
    before = file.read_bytes()
    kept = tmp_path / "kept.db"
    kept.write_bytes(b"other")
    told = call("put", kept=str(kept), sha256="0" * 64)
    assert told["failed"] and "not what was kept" in told["msg"]
    assert file.read_bytes() == before


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_mode_and_owner_come_back(file: Path, call: Any) -> None:
    record = {"mode": "0640", "uid": 10001, "gid": 10002}
    assert call("own", record=record)["changed"]
    found = file.stat()
    assert (found.st_mode & 0o7777, found.st_uid, found.st_gid) == (0o640, 10001, 10002)
    assert not call("own", record=record)["changed"]
    # nobody noted them: the directory's, and the app may write
    os.chown(file, 0, 0)
    os.chown(file.parent, 10003, 10004)
    file.chmod(0o400)
    call("own")
    found = file.stat()
    assert (found.st_mode & 0o7777, found.st_uid, found.st_gid) == (0o600, 10003, 10004)
