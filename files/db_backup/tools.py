"""The server's own pg_dump, pg_dumpall and pg_restore, wherever they are."""

from __future__ import annotations

import os
import shlex
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

from db_backup.errors import BackupError
from db_backup.watch import Watch

#: The app comes first; ionice is not in every image.
_GENTLY = 'if command -v ionice >/dev/null; then exec ionice -c 3 nice -n 19 "$@"; fi; exec nice -n 19 "$@"'

# pg_restore works in parallel only on a file that it can seek in, and what comes through
# `docker exec` is a pipe: so it is put down beside the server first. $1 bytes must arrive.
_RESTORE = """
set -eu
file=$(mktemp)
trap 'rm -f "$file"' EXIT
cat >"$file"
[ "$(wc -c <"$file")" -eq "$1" ] || { echo "the dump did not arrive whole" >&2; exit 1; }
shift
"$@" "$file"
"""


@dataclass(frozen=True)
class Tools:
    """How to call them: words before the command, and libpq's environment."""

    words: tuple[str, ...]
    environment: dict[str, str]

    def dump(
        self,
        conninfo: str,
        snapshot: str,
        compress: str,
        out: IO[bytes],
        watch: Watch,
        lock_timeout: int,
    ) -> None:
        """``pg_dump -Fc`` of what ``snapshot`` sees, into a file.

        Args:
            conninfo: database and application_name; no secret, since it is an argument.
            compress: ``auto`` takes zstd where the server's tools have it.
        """
        command = ["pg_dump", "--format=custom", f"--snapshot={snapshot}", f"--dbname={conninfo}"]
        command.append(f"--lock-wait-timeout={lock_timeout}s")
        if compress != "auto":
            self.run([*command, f"--compress={compress}"], watch, stdout=out, gently=True)
            return
        try:
            self.run([*command, "--compress=zstd"], watch, stdout=out, gently=True)
        except BackupError as error:
            # before 16 it is no option, later a build may lack it; either is said at once
            if "compress" not in " ".join(error.details):
                raise
            out.seek(0)
            out.truncate()
            self.run(command, watch, stdout=out, gently=True)

    def globals(self, conninfo: str, out: IO[bytes], watch: Watch, *, hashes: bool) -> None:
        """Roles with their memberships and settings, as SQL; with their passwords, if the role may read them."""
        command = ["pg_dumpall", "--globals-only", f"--dbname={conninfo}"]
        command += [] if hashes else ["--no-role-passwords"]
        self.run(command, watch, stdout=out, gently=True)

    def read(self, dump: Path, watch: Watch) -> None:
        """Read a dump to its very end; ``--list`` would accept a torn one."""
        with dump.open("rb") as file:
            self.run(["pg_restore", "--file=/dev/null"], watch, stdin=file, gently=True)

    def restore(self, dump: Path, conninfo: str, jobs: int, watch: Watch) -> None:
        """``pg_restore`` into an empty database; the first error ends it.

        Nobody relies on it yet, so it need not wait for the disk at each step: the rename that
        publishes it does.
        """
        self = replace(
            self, environment=self.environment | {"PGOPTIONS": "-c synchronous_commit=off"}
        )
        command = ["pg_restore", "--exit-on-error", f"--dbname={conninfo}"]
        if jobs == 1:
            with dump.open("rb") as file:
                self.run(command, watch, stdin=file)
            return
        command.append(f"--jobs={jobs}")
        if not self.words:
            self.run([*command, str(dump)], watch)
            return
        size = str(dump.stat().st_size)
        with dump.open("rb") as file:
            script = ["sh", "-c", _RESTORE, "sh", size, *command]
            self.run(script, watch, stdin=file, name="pg_restore")

    def load(self, script: Path, conninfo: str, watch: Watch) -> None:
        """A plain dump by ``psql`` into an empty database, in one transaction; the first error ends it."""
        command = [
            "psql",
            "--no-psqlrc",
            "--quiet",
            "--set=ON_ERROR_STOP=1",
            "--single-transaction",
        ]
        with script.open("rb") as file:
            self.run([*command, "--file=-", conninfo], watch, stdin=file)

    def run(
        self,
        command: Sequence[str],
        watch: Watch,
        *,
        stdin: IO[bytes] | int = subprocess.DEVNULL,
        stdout: IO[bytes] | None = None,
        gently: bool = False,
        name: str = "",
    ) -> None:
        """Run a command beside the server, within the limits of ``watch``.

        Raises:
            BackupError: it failed, with its own last words, or a limit was reached.
        """
        before = ["sh", "-c", _GENTLY, "sh"] if gently else []
        whole = [*self.words, *before, *command]
        execute(whole, watch, self.environment, stdin=stdin, stdout=stdout, name=name or command[0])


def execute(
    command: Sequence[str],
    watch: Watch,
    environment: dict[str, str],
    *,
    stdin: IO[bytes] | int = subprocess.DEVNULL,
    stdout: IO[bytes] | None = None,
    name: str = "",
    cwd: Path | None = None,
) -> None:
    """Run any command to its end, or kill it when a limit is reached."""
    name = name or command[0]
    with tempfile.TemporaryFile() as said:
        try:
            process = subprocess.Popen(
                command,
                env=os.environ | environment,
                stdin=stdin,
                # `docker exec` says there why it could not begin
                stdout=said if stdout is None else stdout,
                stderr=said,
                cwd=cwd,
            )
        except FileNotFoundError:
            raise BackupError(
                f"{command[0]} was not found",
                next="install it, or name the server's container: --container brainer-postgres",
            ) from None
        try:
            while True:
                try:
                    code = process.wait(timeout=0.2)
                    break
                except subprocess.TimeoutExpired:
                    watch.check()
        except BaseException:
            process.kill()
            process.wait()
            raise
        if code:
            raise BackupError(
                f"{name} failed",
                details=_last_words(said) or [f"it ended with code {code} and said nothing"],
                next="see the message above",
            )


def words(server_tools: str, container: str) -> tuple[str, ...]:
    """What stands before a tool's name."""
    if server_tools:
        return tuple(shlex.split(server_tools))
    if container:
        names = ("PGUSER", "PGPASSWORD", "PGOPTIONS")
        return ("docker", "exec", "-i", *(w for name in names for w in ("-e", name)), container)
    return ()


def _last_words(said: IO[bytes]) -> list[str]:
    size = said.seek(0, os.SEEK_END)
    said.seek(max(0, size - 4096))
    return said.read().decode("utf-8", "replace").splitlines()[-8:]
