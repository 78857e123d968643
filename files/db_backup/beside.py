"""PostgreSQL's own tools in a container of the server's image, inside the server's network.

There the server lets replication in over loopback, with a password. It goes by a file that lives as long as the
container does.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from db_backup.errors import BackupError
from db_backup.run import Run

#: Where the tools see ``wal_dir``.
PLACE = "/wal"
_RIGHTS = ("--cap-drop", "ALL", "--security-opt", "no-new-privileges")


@dataclass(frozen=True)
class Beside:
    """How to call the tools."""

    image: str
    uid: int  #: of the image's postgres, whom the files belong to
    words: tuple[str, ...]

    def command(self, name: str, *words: str) -> list[str]:
        """A tool in a container of that name."""
        return [
            "docker", "run", "--rm", "--name", name, *self.words, "--entrypoint", words[0], self.image,
            *words[1:],
        ]  # fmt: skip


@contextmanager
def beside(run: Run) -> Iterator[Beside]:
    """
    Raises:
        BackupError: there is no container to be beside of, or its server lets nobody in.
    """
    server = run.options.container
    if not server or run.options.wal_dir == Path():
        raise BackupError(
            "recovery to a point in time is not set up here",
            next="in the inventory: backup_pitr: true; then ansible-playbook playbooks/site.yml",
        )
    image = _docker("container", "inspect", "--format", "{{.Image}}", server)
    uid = int(_docker("run", "--rm", "--entrypoint", "id", image, "-u", "postgres"))
    with run.session() as connection:
        user, password = connection.info.user, connection.info.password
    base = "/run" if os.access("/run", os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="db_backup-", dir=base) as directory:
        file = Path(directory, "pgpass")
        secret = password.replace("\\", "\\\\").replace(":", "\\:")
        file.write_text(f"*:*:*:{user}:{secret}\n", encoding="utf-8")
        own(Path(directory), uid)
        # its number may be somebody else's on this machine: nobody but root comes this far
        run.options.wal_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        volumes = [f"{directory}:/secret:ro"]
        for name in ("wal", "base"):
            path = run.options.wal_dir / name
            path.mkdir(mode=0o700, exist_ok=True)
            os.chown(path, uid, uid)
            volumes.append(f"{path}:{PLACE}/{name}")
        words = (
            "--network", f"container:{server}", "--user", "postgres", *_RIGHTS,
            "--memory", "128m", "--cpu-shares", str(run.options.drill_cpu_shares),
            "--env", "PGPASSFILE=/secret/pgpass", "--env", "PGHOST=127.0.0.1", "--env", f"PGUSER={user}",
            *(word for volume in volumes for word in ("--volume", volume)),
        )  # fmt: skip
        yield Beside(image, uid, words)


def own(path: Path, uid: int) -> None:
    """Give a path, and what is in it, to the image's postgres.

    Raises:
        BackupError: only root can.
    """
    try:
        for one in (path, *path.rglob("*")):
            os.chown(one, uid, uid, follow_symlinks=False)
    except PermissionError:
        raise BackupError("only root can do this", next="sudo db_backup …") from None


def remove(name: str) -> None:
    """A container that a killed run may have left."""
    with suppress(OSError):
        subprocess.run(
            ["docker", "rm", "--force", "--volumes", name], capture_output=True, check=False
        )


def _docker(*words: str) -> str:
    try:
        done = subprocess.run(["docker", *words], capture_output=True, text=True, check=True)
    except FileNotFoundError:
        raise BackupError(
            "docker was not found", next="run it where the server's container runs"
        ) from None
    except subprocess.CalledProcessError as error:
        raise BackupError(
            f"docker {words[0]} failed",
            details=error.stderr.splitlines()[-4:],
            next="see that the server runs: docker ps",
        ) from None
    return done.stdout.strip()
