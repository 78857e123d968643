"""A PostgreSQL server in Docker that lives as long as the test run."""

import json
import os
import secrets
import socket
import subprocess
import time
from pathlib import Path

import psycopg

# The test bed builds it; the first name is found without the registry.
IMAGES = ("brainer-testbed/postgres:17-trixie", "127.0.0.1:5055/library/postgres:17-trixie")
_LABEL = "brainer.tests.owner"
_READY_S = 60
_FAST = ("fsync=off", "full_page_writes=off", "synchronous_commit=off", "max_wal_size=2GB")


def docker(*words: str) -> str:
    done = subprocess.run(["docker", *words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"docker {' '.join(words)}: {done.stderr.strip()}")
    return done.stdout.strip()


class PostgresContainer:
    """Data on disk, not in memory: it must survive a kill of the container."""

    def __init__(self, settings: tuple[str, ...] = _FAST, mount: Path | None = None) -> None:
        """
        Args:
            settings: ``name=value`` each; none for the server's own.
            mount: a directory that the server sees under the same path, too.
        """
        self.settings = settings
        self.mount = ("--volume", f"{mount}:{mount}") if mount else ()
        self.name = f"brainer-tests-postgres-{os.getpid()}-{secrets.token_hex(3)}"
        self.password = secrets.token_urlsafe(12)
        self.port = _free_port()

    @property
    def url(self) -> str:
        return f"postgresql://postgres:{self.password}@127.0.0.1:{self.port}/postgres"

    def run(self) -> None:
        # a port of our choice, because Docker gives another one after each start
        docker(
            "run", "--detach", "--name", self.name, "--label", f"{_LABEL}={_owner(os.getpid())}",
            "--publish", f"127.0.0.1:{self.port}:5432", "--shm-size", "128m",
            "--env", f"POSTGRES_PASSWORD={self.password}",
            "--env", "POSTGRES_INITDB_ARGS=--no-sync --auth-host=scram-sha-256", *self.mount,
            _image(), "postgres", *(word for setting in self.settings for word in ("-c", setting)),
        )  # fmt: skip
        self._wait()

    def start(self) -> None:
        docker("start", self.name)
        self._wait()

    def stop(self) -> None:
        docker("stop", "--time", "20", self.name)

    def kill(self) -> None:
        docker("kill", self.name)

    def remove(self) -> None:
        docker("rm", "--force", "--volumes", self.name)

    @classmethod
    def remove_stale(cls) -> None:
        """Remove what test runs left that were killed; those of live runs stay."""
        names = docker("ps", "--all", "--quiet", "--filter", f"label={_LABEL}").split()
        if not names:
            return
        for found in json.loads(docker("inspect", *names)):
            owner = found["Config"]["Labels"][_LABEL]
            namespace, pid, _ = owner.split(":")
            if namespace == _namespace() and _owner(int(pid)) != owner:
                docker("rm", "--force", "--volumes", found["Id"])

    def _wait(self) -> None:
        """Over TCP: while the first start makes the database, only the socket answers."""
        deadline = time.monotonic() + _READY_S
        while True:
            try:
                psycopg.connect(self.url, connect_timeout=3).close()
                return
            except psycopg.OperationalError as error:
                if time.monotonic() > deadline:
                    logs = docker("logs", "--tail", "20", self.name)
                    raise RuntimeError(f"{self.name} is not ready: {error}\n{logs}") from None
                time.sleep(0.1)


def _image() -> str:
    for image in IMAGES:
        try:
            docker("image", "inspect", image)
        except RuntimeError:
            continue
        return image
    docker("pull", IMAGES[-1])
    return IMAGES[-1]


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def _namespace() -> str:
    return os.readlink("/proc/self/ns/pid").strip("pid:[]")


def _owner(pid: int) -> str:
    """A process for ever: its number may come again, but not with the same start time."""
    try:
        started = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except FileNotFoundError:
        started = "dead"
    return f"{_namespace()}:{pid}:{started}"
