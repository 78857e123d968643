"""Keep what is about to be replaced: a dump that was read back before it counts."""

from __future__ import annotations

import os
import subprocess
from datetime import datetime, timezone
from pathlib import Path
from typing import IO

from pg_tools import libpq
from pg_tools.files import private, sync

from migrate_db import interruption
from migrate_db.errors import MigrationError
from migrate_db.postgresql.target import Target

#: That pg_dump waits for a lock: we hold one ourselves, and whoever waits for that one may stand before it.
_PATIENCE = "10s"
#: What uses the server's own, with who and where.
_TOOLS = "--server-tools 'docker exec -i -e PGUSER -e PGPASSWORD -e PGDATABASE CONTAINER'"


def keep(target: Target, url: str, directory: Path, tools: list[str]) -> Path:
    """Dump the whole database, aside, read it fully, then rename it into place.

    Args:
        url: the target, for ``pg_dump``; the password goes by environment.
        directory: where the dump is kept, made with mode 0700.
        tools: words before ``pg_dump``, e.g. ``docker exec -i brainer-postgres``.

    Raises:
        MigrationError: the dump could not be made or read back.
    """
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    stamp = datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    final = directory / f"{target.database}-before-{stamp}.dump"
    aside = final.with_suffix(".partial")
    environment = os.environ | libpq.environment(url)
    try:
        aside.unlink(missing_ok=True)  # of a run that was killed in this second
        with open(aside, "xb", opener=private) as file:
            dump = ["pg_dump", "--format=custom", f"--lock-wait-timeout={_PATIENCE}"]
            _run(tools, dump, environment, stdout=file)
            os.fsync(file.fileno())
        with aside.open("rb") as file:
            _run(tools, ["pg_restore", "--file=/dev/null"], environment, stdin=file)
        aside.rename(final)
    except OSError as error:
        raise MigrationError(
            f"the dump can't be written: {error.strerror}",
            where=str(directory),
            next="pass a directory with room for it: --keep-dump DIR",
        ) from None
    finally:
        aside.unlink(missing_ok=True)
    sync(directory)
    return final


def _run(
    tools: list[str],
    command: list[str],
    environment: dict[str, str],
    stdin: IO[bytes] | int = subprocess.DEVNULL,
    stdout: IO[bytes] | None = None,
) -> None:
    try:
        with interruption.Welcome():
            done = subprocess.run(
                [*tools, *command],
                env=environment,
                stdin=stdin,
                stdout=stdout,
                stderr=subprocess.PIPE,
                check=False,
            )
    except FileNotFoundError:
        raise MigrationError(
            f"{[*tools, *command][0]} was not found, so what is there can't be kept",
            next=f"install postgresql-client, or pass {_TOOLS}",
        ) from None
    if done.returncode:
        raise MigrationError(
            f"{command[0]} failed, so what is there can't be kept",
            details=done.stderr.decode("utf-8", "replace").splitlines()[-8:],
            next=f"see the message above; the server's own tools do: {_TOOLS}; nothing was changed",
        )
