"""What speaks against the end, all of it at once; and an archive that is whole before anything is removed."""

from __future__ import annotations

import gzip
import hashlib
import json
import subprocess
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.testing import patch_module_args

sys.path.insert(0, str(Path(__file__).parents[2] / "roles" / "finalize" / "library"))
import finalize_file
import finalize_look

NOW = datetime(2026, 11, 23, 12, tzinfo=timezone.utc)


def ago(**time: float) -> str:
    return f"{NOW - timedelta(**time):%Y-%m-%dT%H:%M:%SZ}"


WORDS: dict[str, Any] = {
    "app": {"db_type": "postgres", "healthy": True, "health": "200"},
    "verdict": "live",
    "since": ago(days=8),
    "after_days": 7,
    "backup_hours": 26,
    "verified": {"proof": {"tables": [{"extra": 3, "different": 2, "missing": 1}]}},
}
FOUND: dict[str, Any] = {
    "record": {"sha256": "a", "kept_sha256": "b"},
    "file": {"path": "x.db", "sha256": "a", "beside": ""},
    "kept": {"path": "kept/x.db", "sha256": "b"},
    "newest": {"set": "x-1", "at": ago(hours=10), "damaged": ""},
    "limits": {"drill": {"ok": True, "value": 1.0, "text": ""}},
    "differences": {"extra": 3, "different": 2, "missing": 1},
    "unsound": [],
    "written": {"inserted": 3, "updated": 2, "deleted": 1},
    "watched": {"samples": 0, "last": {}},
}


def against(words: dict[str, Any] | None = None, **found: Any) -> list[str]:
    told = finalize_look.reasons({**WORDS, **(words or {})}, {**FOUND, **found}, NOW)
    assert all(one["what"] and one["next"] for one in told)
    return [one["what"] for one in told]


def test_nothing_speaks_against_it() -> None:
    assert against() == []
    assert against(file={"path": "x.db", "sha256": "", "beside": ""}) == []


def test_a_trouble_of_long_ago_is_forgotten() -> None:
    assert against({"after_days": 5}, watched=TROUBLE) == []


OLD = {"set": "x-1", "at": ago(hours=27), "damaged": ""}
FRESH = {"ok": True, "value": 0.1, "text": ""}
TROUBLE = {"samples": 9, "last": {"what": "the server did not answer", "ended": ago(days=6)}}
LOST = "the server has lost its count"


@pytest.mark.parametrize(
    ("words", "found", "what"),
    [
        ({"verdict": "loaded"}, {}, "does not live on PostgreSQL"),
        ({"app": {"db_type": "sqlite"}}, {}, "does not live on PostgreSQL"),
        ({"app": {"db_type": "postgres", "healthy": False}}, {}, "not healthy"),
        ({"since": ago(days=6.9)}, {}, "7 days are wanted"),
        ({}, {"watched": TROUBLE}, "the server did not answer at 2026-11-17T12:00:00Z; 7 days without"),
        ({"since": ago(hours=9), "after_days": 0}, {"limits": {"drill": FRESH}}, "older than the cut-over"),
        ({}, {"newest": OLD}, "27 h old"),
        ({}, {"newest": {"error": ""}}, "no backup"),
        ({}, {"newest": FOUND["newest"] | {"damaged": "dump: SHA-256"}}, "damaged"),
        ({}, {"limits": {}}, "none is expected"),
        ({}, {"limits": {"drill": {"ok": False, "value": -1.0, "text": "never tried"}}}, "never tried"),
        ({}, {"limits": {"drill": {"ok": True, "value": 8.5, "text": "old"}}}, "compared lately: old"),
        ({}, {"file": {"path": "x.db", "sha256": "c", "beside": ""}}, "was changed since"),
        ({}, {"file": {"path": "x.db", "sha256": "a", "beside": "x.db-wal"}}, "x.db-wal"),
        ({}, {"kept": {"path": "k", "sha256": "c"}}, "not what was kept"),
        ({}, {"kept": {"path": "k", "sha256": ""}}, "gone"),
        ({"verified": {"error": ["no room"]}}, {}, "no room"),
        ({}, {"unsound": ["index i is gone"]}, "index i is gone"),
        ({}, {"written": {"inserted": 2, "updated": 9, "deleted": 9}}, "the server counted 2"),
        ({}, {"written": {"inserted": 9, "updated": 9, "deleted": 0}}, "the server counted 9"),
        ({}, {"written": None}, LOST),
    ],
)  # fmt: skip
def test_each_of_them_alone(words: dict[str, Any], found: dict[str, Any], what: str) -> None:
    (one,) = against(words, **found)
    assert what in one


def test_all_at_once() -> None:
    told = against({"since": ago(days=1)}, newest=OLD, limits={}, unsound=["x"], written=None)
    assert len(told) == 5


def test_a_row_that_was_put_in_again_is_a_changed_one() -> None:
    differences = {"extra": 0, "different": 4, "missing": 0}
    assert not finalize_look.unexplained(differences, {"inserted": 2, "updated": 2, "deleted": 2})
    assert finalize_look.unexplained(differences, {"inserted": 1, "updated": 2, "deleted": 9})


class TestFile:
    @pytest.fixture
    def call(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Any:
        (tmp_path / "app.db").write_bytes(b"what it was " * 100_000)
        (tmp_path / "kept.db").write_bytes(b"kept")

        def run(action: str) -> dict[str, Any]:
            capsys.readouterr()
            words = {"path": "app.db", "archive": "archive/app.db-1.gz", "instead": "kept.db"}
            whole = {key: str(tmp_path / value) for key, value in words.items()}
            with patch_module_args({**whole, "action": action}), pytest.raises(SystemExit):
                finalize_file.main()
            answer: dict[str, Any] = json.loads(capsys.readouterr().out)
            return answer

        return run

    def test_archived_proved_and_removed_once(self, tmp_path: Path, call: Any) -> None:
        content = (tmp_path / "app.db").read_bytes()
        archived = call("archive")
        assert archived["changed"] and archived["sha256"] == hashlib.sha256(content).hexdigest()
        assert call("archive")["changed"] is False
        assert call("remove")["changed"] and not (tmp_path / "app.db").exists()
        assert call("remove")["changed"] is False
        archive = tmp_path / "archive"
        assert sorted(path.name for path in archive.iterdir()) == ["app.db-1.gz", "app.db-1.sha256"]
        assert gzip.decompress((archive / "app.db-1.gz").read_bytes()) == content
        # as a person unpacks it
        unpack = "gunzip --keep app.db-1.gz && sha256sum --check app.db-1.sha256"
        assert subprocess.run(unpack, shell=True, cwd=archive, check=False).returncode == 0

    def test_gone_already_so_the_kept_one(self, tmp_path: Path, call: Any) -> None:
        (tmp_path / "app.db").unlink()
        assert call("archive")["sha256"] == hashlib.sha256(b"kept").hexdigest()

    @pytest.mark.parametrize("damage", [b"", b"garbage", "cut", "flip"])
    def test_an_archive_that_is_not_whole_removes_nothing(
        self, tmp_path: Path, call: Any, damage: bytes | str
    ) -> None:
        call("archive")
        archive = tmp_path / "archive" / "app.db-1.gz"
        whole = bytearray(archive.read_bytes())
        if damage == "flip":
            whole[len(whole) // 2] ^= 1
        if damage == "cut":
            del whole[-20:]
        archive.write_bytes(damage if isinstance(damage, bytes) else whole)
        for action in ("remove", "archive"):
            told = call(action)
            assert told["failed"] and "Next:" in told["msg"]
        assert (tmp_path / "app.db").exists()

    def test_a_file_that_somebody_made_since_stays(self, tmp_path: Path, call: Any) -> None:
        call("archive")
        (tmp_path / "app.db").write_bytes(b"another")
        assert call("remove")["failed"] and (tmp_path / "app.db").read_bytes() == b"another"

    def test_a_killed_run_left_a_part(self, tmp_path: Path, call: Any) -> None:
        (tmp_path / "archive").mkdir()
        (tmp_path / "archive" / "app.db-1.gz.part").write_bytes(b"half")
        assert call("archive")["changed"] and call("remove")["changed"]
        assert not list((tmp_path / "archive").glob("*.part"))
