"""Calling restic: its secrets go by file or environment, and its words come as a screen."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from db_backup.errors import BackupError, Exit
from db_backup.run import Run
from db_backup.tools import execute
from db_backup.watch import Watch


def configured(run: Run) -> bool:
    """Whether a copy elsewhere is wanted."""
    return bool(run.options.offsite_repository)


def call(run: Run, words: Sequence[str], cwd: Path | None = None) -> str:
    """Run a command of restic's on the repository of the settings.

    Returns:
        what it wrote to standard output.

    Raises:
        BackupError: restic's words.
    """
    if not configured(run):
        raise BackupError(
            "no off-site repository is set",
            next="set offsite_repository and offsite_password_file in the settings",
            code=Exit.USAGE,
        )
    if shutil.which("restic") is None:
        raise BackupError("restic was not found", next="apt-get install restic")
    watch = Watch(min(run.options.offsite_timeout, run.watch.left), run.store.directory, 0)
    patience = ["--retry-lock", "1m"] if _waits() else []
    with tempfile.TemporaryFile() as out:
        try:
            execute(
                ["restic", *patience, *words], watch, _environment(run),
                stdout=out, name=f"restic {words[0]}", cwd=cwd,
            )  # fmt: skip
        except BackupError as error:
            raise BackupError(
                error.what,
                where=shown(run),
                details=[line for line in error.details if line.strip()],
                next="the local sets are as they were; when the repository answers again:"
                " db_backup offsite push",
            ) from None
        out.seek(0)
        return out.read().decode("utf-8", "replace")


def _waits() -> bool:
    """Before 0.16 restic has no --retry-lock."""
    done = subprocess.run(["restic", "version"], capture_output=True, text=True, check=False)
    words = done.stdout.split()
    number = words[1].split(".") if len(words) > 1 else ["0", "0"]
    return [int(part) for part in number[:2] if part.isdigit()] >= [0, 16]


def _environment(run: Run) -> dict[str, str]:
    """Secrets go by file or environment; restic shows neither."""
    found = {
        "HOME": os.environ.get("HOME", "/root"),
        "RESTIC_REPOSITORY": run.options.offsite_repository,
        "RESTIC_CACHE_DIR": str(run.store.private / "restic-cache"),
    }
    if run.options.offsite_password_file:
        found["RESTIC_PASSWORD_FILE"] = run.options.offsite_password_file
    if run.options.offsite_env_file:
        for line in Path(run.options.offsite_env_file).read_text(encoding="utf-8").splitlines():
            key, sign, value = line.partition("=")
            if sign and not line.startswith("#"):
                found[key.strip()] = value.strip()
    return found


def shown(run: Run) -> str:
    """The repository, without a password that a rest: URL may hold."""
    where = run.options.offsite_repository
    scheme, sign, rest = where.partition("//")
    return f"{scheme}//{rest.rpartition('@')[2]}" if sign else where
