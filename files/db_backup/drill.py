"""Is the backup worth anything? Restore it into a server that is made for it and thrown away."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from pg_tools.files import publish

from db_backup import damage, manifest, restore, roles, server, store, watch
from db_backup.errors import BackupError, Exit
from db_backup.manifest import GLOBALS
from db_backup.run import Run
from db_backup.server import Image
from db_backup.store import Set
from db_backup.tools import execute

_LABEL = "db_backup.drill"
_READY = 120
#: What the throw-away server may forget: everything, if the power fails.
_SETTINGS = {
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "autovacuum": "off",
    "listen_addresses": "",
    "max_connections": "10",
    "shared_buffers": "32MB",
    "maintenance_work_mem": "32MB",
    "max_parallel_maintenance_workers": "0",
    "max_wal_size": "256MB",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "jit": "off",
}
_CAPABILITIES = ("CHOWN", "DAC_OVERRIDE", "FOWNER", "SETGID", "SETUID")


@dataclass(frozen=True)
class Drilled:
    """A drill that went well."""

    set: str
    at: str
    rpo: float  #: seconds: what would be lost if the server died now
    rto: float  #: seconds from the decision to a proved database
    tables: int
    rows: int


def drill(run: Run, chosen: Set) -> Drilled:
    """Restore a set without touching the server, compare it, throw it away. The lock is held.

    Raises:
        BackupError: the set can't be restored, or what comes out is not what went in.
    """
    begun = time.monotonic()
    with restored(run, chosen):
        pass
    found = chosen.needed()
    done = Drilled(
        set=chosen.name,
        at=manifest.iso(manifest.now()),
        rpo=(manifest.now() - found.at).total_seconds(),
        rto=round(time.monotonic() - begun, 1),
        tables=len(found.contents.tables),
        rows=found.contents.rows,
    )
    publish(run.store.private / "drill.json", json.dumps(asdict(done)) + "\n")
    return done


@contextmanager
def restored(run: Run, chosen: Set) -> Iterator[str]:
    """A set, restored into a throw-away server and proved. The lock is held.

    Yields:
        the restored database's URL, for a superuser; the server goes with the context.

    Raises:
        BackupError: the set can't be restored, or what comes out is not what went in.
    """
    found = chosen.needed()
    image = run.options.image or _image(found.image)
    if not image:
        raise BackupError(
            "the set does not say which image its server had",
            where=chosen.name,
            next="db_backup drill --image postgres:17-trixie",
        )
    with run.log.step("checksums"):
        problems = damage.check(run, chosen)
        if problems:
            raise store.damaged(chosen, problems)
    restore.demand_room(run, found)
    with _container(run, image) as (container, url):
        there = replace(
            run,
            options=replace(
                run.options,
                url=url,
                container="",
                server_tools=f"docker exec -i -e PGUSER -e PGOPTIONS {container}",
            ),
        )
        with there.session() as connection:
            restore.same_or_newer(connection, found)
            roles.make_missing(connection, chosen.path / GLOBALS)
            name = "drill"
            server.create(connection, name, found.database)
        with run.log.step("restore"):
            there.tools.restore(chosen.dump, there.conninfo(name), 1, run.watch)
        try:
            restore.prove(there, name, found)
        except BackupError as error:
            if error.code == Exit.DIFFERENT:
                damage.note(run, chosen, damage.DRILL, f"{error.what} ({error.details[0].strip()})")
            raise
        damage.note(run, chosen, damage.DRILL, "")
        yield url.replace("/postgres?", f"/{name}?")


def _image(of: Image) -> str:
    """The very image of the backup if it is still here, else the one that its name means now."""
    for image in filter(None, (of.id, of.digest)):
        with suppress(OSError):
            done = subprocess.run(
                ["docker", "image", "inspect", image], capture_output=True, check=False
            )
            if done.returncode == 0:
                return image
    return of.name


def last(private: Path) -> dict[str, Any]:
    """The last drill that went well; empty if there was none."""
    try:
        found = json.loads((private / "drill.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


@contextmanager
def _container(run: Run, image: str) -> Iterator[tuple[str, str]]:
    """A server that nobody else can reach: no network, and a socket in a directory of ours."""
    name = f"{_LABEL.replace('.', '-')}-{run.ours.split()[1]}-{run.id}"
    _sweep(run)
    # a socket's path may have 107 bytes only
    base = "/run" if os.access("/run", os.W_OK) else None
    memory = f"{run.options.drill_memory_mb}m"
    with tempfile.TemporaryDirectory(prefix="db_backup-", dir=base) as directory:
        sockets = Path(directory, "s")
        sockets.mkdir()
        settings = [word for key, value in _SETTINGS.items() for word in ("-c", f"{key}={value}")]
        command = [
            "docker", "run", "--detach", "--name", name,
            "--label", f"{_LABEL}={run.ours.split()[1]}",
            "--network", "none", "--memory", memory, "--memory-swap", memory,
            "--cpu-shares", str(run.options.drill_cpu_shares), "--shm-size", "64m",
            "--cap-drop", "ALL", *(w for c in _CAPABILITIES for w in ("--cap-add", c)),
            "--security-opt", "no-new-privileges", "--pull", "missing",
            "--env", "POSTGRES_HOST_AUTH_METHOD=trust", "--env", "POSTGRES_INITDB_ARGS=--no-sync",
            "--volume", f"{sockets}:/var/run/postgresql", image, "postgres", *settings,
        ]  # fmt: skip
        try:
            with run.log.step("throw-away server"):
                execute(command, run.watch, {}, name="docker run")
                url = f"postgresql://postgres@/postgres?host={sockets}"
                _wait(run, name, url)
            yield name, url
        finally:
            with suppress(OSError):
                subprocess.run(
                    ["docker", "rm", "--force", "--volumes", name], capture_output=True, check=False
                )


def _sweep(run: Run) -> None:
    """Remove what killed drills of this directory left; call it with the lock."""
    mine = f"label={_LABEL}={run.ours.split()[1]}"
    try:
        found = subprocess.run(
            ["docker", "ps", "--all", "--quiet", "--filter", mine],
            capture_output=True, text=True, check=False,
        ).stdout.split()  # fmt: skip
    except OSError:
        raise BackupError(
            "docker was not found, which the throw-away server runs in",
            next="run the drill where the server's container runs",
        ) from None
    if found:
        subprocess.run(
            ["docker", "rm", "--force", "--volumes", *found], capture_output=True, check=False
        )


def _wait(run: Run, name: str, url: str) -> None:
    """Until it answers for good: while the first start makes the cluster, another one answers first."""
    limit = watch.Watch(_READY, run.store.directory, 0)
    while True:
        state = subprocess.run(
            ["docker", "logs", name], capture_output=True, text=True, check=False
        )
        if "init process complete" in state.stdout + state.stderr:
            with suppress(BackupError), server.session(url, "", run.application):
                return
        running = subprocess.run(
            ["docker", "container", "inspect", "--format", "{{.State.Running}}", name],
            capture_output=True, text=True, check=False,
        ).stdout.strip()  # fmt: skip
        if running != "true" or limit.left <= 0:
            raise BackupError(
                "the throw-away server does not start",
                details=(state.stdout + state.stderr).splitlines()[-8:],
                next="see the message above; more memory for it: drill_memory_mb",
            )
        run.watch.check()
        time.sleep(0.2)
