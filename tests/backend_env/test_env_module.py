"""The module as Ansible runs it: files, modes, copies, check mode, and secrets that stay secret."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., dict[str, Any]]
LIBRARY = Path(__file__).parents[2] / "roles" / "backend" / "library"
SECRET = "postgresql://brainer:s3cr3t-w0rd@postgres:5432/brainer"
BEFORE = b"# app\r\nSECRET_KEY=other-secret\r\nDB_TYPE=sqlite\r\n\r\nLAST='x'"
AFTER = (
    b"# app\r\nSECRET_KEY=other-secret\r\nDB_TYPE=postgres\r\n\r\nLAST='x'\r\nDATABASE_URL="
    + SECRET.encode()
    + b"\r\n"
)


@pytest.fixture
def env(tmp_path: Path) -> Path:
    path = tmp_path / ".env"
    path.write_bytes(BEFORE)
    path.chmod(0o640)
    return path


def switch(run: Run, env: Path, check: bool = False, **more: object) -> dict[str, Any]:
    return run(
        check=check,
        path=str(env),
        values={"DB_TYPE": "postgres"},
        secrets={"DATABASE_URL": SECRET},
        **more,
    )


def test_switch_then_nothing_to_do(run: Run, env: Path) -> None:
    inode = env.stat().st_ino
    answer = switch(run, env)
    assert answer["changed"] and answer["keys"] == ["DB_TYPE", "DATABASE_URL"]
    assert env.read_bytes() == AFTER
    assert env.stat().st_mode & 0o7777 == 0o640
    assert env.stat().st_ino != inode, "replaced by a rename, not written in place"
    again = env.stat()
    answer = switch(run, env)
    assert not answer["changed"] and answer["keys"] == []
    assert env.stat() == again
    assert [path.name for path in env.parent.iterdir()] == [".env"], "nothing is left beside it"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_owner_stays(run: Run, env: Path) -> None:
    os.chown(env, 1234, 4321)
    switch(run, env)
    assert (env.stat().st_uid, env.stat().st_gid) == (1234, 4321)


def test_a_link_stays_a_link(run: Run, env: Path, tmp_path: Path) -> None:
    link = tmp_path / "link.env"
    link.symlink_to(".env")
    switch(run, link)
    assert link.is_symlink() and env.read_bytes() == AFTER


def test_check_mode_says_it_and_does_not(run: Run, env: Path, tmp_path: Path) -> None:
    before = env.stat()
    answer = switch(run, env, check=True, backup_path=str(tmp_path / "copy"))
    assert answer["changed"] and "backup_file" not in answer
    assert env.read_bytes() == BEFORE and env.stat() == before
    assert list(tmp_path.iterdir()) == [env]


def test_no_secret_is_shown(run: Run, env: Path) -> None:
    answer = switch(run, env)
    assert answer["diff"]["before"] == "DB_TYPE=sqlite\n"
    assert answer["diff"]["after"] == "DB_TYPE=postgres\nDATABASE_URL=********\n"
    assert "s3cr3t" not in json.dumps(answer) and "other-secret" not in json.dumps(answer)


def test_a_changed_secret_is_a_diff_without_the_secret(run: Run, env: Path) -> None:
    switch(run, env)
    answer = run(path=str(env), secrets={"DATABASE_URL": SECRET.replace("s3", "n3w")})
    assert answer["changed"] and answer["diff"]["before"] != answer["diff"]["after"]
    assert "n3w" not in json.dumps(answer["diff"])


def test_copy_and_restore(run: Run, env: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    copy.write_bytes(b"an older copy that anyone can read")
    copy.chmod(0o644)
    assert switch(run, env, backup_path=str(copy))["backup_file"] == str(copy)
    assert copy.read_bytes() == BEFORE and copy.stat().st_mode & 0o7777 == 0o600
    assert "backup_file" not in switch(run, env, backup_path=str(copy))
    assert copy.read_bytes() == BEFORE, "a second run keeps the first run's copy"
    assert (
        run(check=True, path=str(env), restore=str(copy))["changed"] and env.read_bytes() == AFTER
    )
    answer = run(path=str(env), restore=str(copy))
    assert answer["changed"] and env.read_bytes() == BEFORE and env.stat().st_mode & 0o7777 == 0o640
    assert "s3cr3t" not in json.dumps(answer) and "other-secret" not in json.dumps(answer)
    assert not run(path=str(env), restore=str(copy))["changed"]


def test_restore_without_a_copy(run: Run, env: Path, tmp_path: Path) -> None:
    answer = run(path=str(env), restore=str(tmp_path / "none"))
    assert answer["failed"] and "There is no copy" in answer["msg"] and env.read_bytes() == BEFORE


def test_missing_file(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "new.env"
    assert "There is no env file" in switch(run, path)["msg"]
    assert switch(run, path, create=True)["changed"]
    assert path.stat().st_mode & 0o7777 == 0o600
    assert path.read_text() == f"DB_TYPE=postgres\nDATABASE_URL={SECRET}\n"


def test_refusal_changes_nothing_and_shows_nothing(run: Run, env: Path) -> None:
    answer = run(path=str(env), secrets={"DATABASE_URL": "postgresql://u:it's@h/d"})
    assert (
        answer["failed"] and "percent-encode" in answer["msg"] and "it's" not in json.dumps(answer)
    )
    assert env.read_bytes() == BEFORE


def test_a_killed_run_leaves_nothing_that_stays(run: Run, env: Path) -> None:
    beside = env.with_name("..env.backend_env")
    beside.write_bytes(b"half a fi")
    switch(run, env)
    assert env.read_bytes() == AFTER and not beside.exists()


KEYS = ["DB_TYPE", "DATABASE_URL"]


@pytest.mark.parametrize(
    "before",
    [
        BEFORE,
        b"DB_TYPE='sqlite' # ours\nDATABASE_URL=sqlite:////data/it's.db\nX=1\n",
        b"X=${HOME}\nexport DB_TYPE=sqlite\nDATABASE_URL=\n",
        b"X=1\n",
        b"",
    ],
)
def test_a_switch_undone_is_the_file_as_it_was(
    run: Run, env: Path, tmp_path: Path, before: bytes
) -> None:
    copy = tmp_path / "copy"
    env.write_bytes(before)
    copy.write_bytes(before)
    assert switch(run, env)["changed"]
    answer = run(path=str(env), undo=str(copy), keys=KEYS)
    assert answer["changed"] and "s3cr3t" not in json.dumps(answer)
    assert env.read_bytes() == before
    assert not run(path=str(env), undo=str(copy), keys=KEYS)["changed"]


def test_undoing_leaves_what_was_changed_since(run: Run, env: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    copy.write_bytes(BEFORE)
    switch(run, env)
    env.write_bytes(env.read_bytes().replace(b"other-secret", b"new") + b"MORE=1\r\n")
    assert run(path=str(env), undo=str(copy), keys=KEYS)["keys"] == KEYS
    assert env.read_bytes() == BEFORE.replace(b"other-secret", b"new") + b"\r\nMORE=1\r\n"


def test_undoing_without_a_copy_is_refused(run: Run, env: Path, tmp_path: Path) -> None:
    answer = run(path=str(env), undo=str(tmp_path / "none"), keys=KEYS)
    assert answer["failed"] and "Nothing was changed" in answer["msg"]
    assert env.read_bytes() == BEFORE


def test_a_link_planted_beside_is_not_followed(run: Run, env: Path, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("untouched")
    env.with_name("..env.backend_env").symlink_to(victim)
    switch(run, env)
    assert env.read_bytes() == AFTER and victim.read_text() == "untouched"


def test_shipped_by_ansible_itself(env: Path, tmp_path: Path) -> None:
    """The real road once: argument file, packed module, and what the log shows with -vvv --diff."""
    (tmp_path / "vars.yml").write_text(json.dumps({"url": SECRET}))
    (tmp_path / "ansible.cfg").touch()
    arguments = {
        "path": str(env),
        "values": {"DB_TYPE": "postgres"},
        "secrets": {"DATABASE_URL": "{{ url }}"},
    }
    command = [
        *(
            str(Path(sys.executable).with_name("ansible")),
            "localhost",
            "--connection=local",
            "-vvv",
            "--diff",
        ),
        *("--module-path", str(LIBRARY), "-m", "backend_env", "-a", json.dumps(arguments)),
        *("-e", f"@{tmp_path / 'vars.yml'}", "-e", f"ansible_python_interpreter={sys.executable}"),
    ]
    settings = {
        **os.environ,
        "ANSIBLE_LOCALHOST_WARNING": "false",
        "ANSIBLE_CONFIG": str(tmp_path / "ansible.cfg"),
    }
    done = subprocess.run(
        command, capture_output=True, text=True, env=settings, cwd=tmp_path, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert env.read_bytes() == AFTER
    assert "s3cr3t" not in done.stdout + done.stderr
