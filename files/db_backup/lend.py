"""Run a command on what a set holds, in a server that is made for it and thrown away."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence

from db_backup import drill
from db_backup.errors import BackupError, Exit
from db_backup.run import Run
from db_backup.store import Set


def lend(run: Run, chosen: Set, command: Sequence[str]) -> int:
    """Restore a set aside, prove it, and run a command with its URL as ``DATABASE_URL``.

    Returns:
        the command's exit code.

    Raises:
        BackupError: the set can't be restored, or the command not be started.
    """
    if not command:
        raise BackupError(
            "no command was given",
            next="db_backup with NAME -- COMMAND, which finds the database in $DATABASE_URL",
            code=Exit.USAGE,
        )
    with drill.restored(run, chosen) as url:
        run.log.say(f"[with] {chosen.name} is restored and proved; {command[0]} begins")
        try:
            process = subprocess.Popen(command, env=os.environ | {"DATABASE_URL": url})
        except OSError as error:
            raise BackupError(f"{command[0]}: {error.strerror}", next="see its name") from None
        try:
            while True:
                try:
                    return process.wait(timeout=0.5)
                except subprocess.TimeoutExpired:
                    run.watch.check()
        except BaseException:
            process.terminate()
            process.wait()
            raise
