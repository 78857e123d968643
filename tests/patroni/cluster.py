"""A Patroni cluster of three nodes and an etcd, in containers of the machine's engine."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import time
import urllib.request
from collections.abc import Callable
from typing import Any

import psycopg

IMAGE = "brainer-testbed/patroni:17"
_LABEL = "brainer.tests.patroni"
_PATIENCE = 120


def docker(*words: str) -> str:
    done = subprocess.run(["docker", *words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"docker {' '.join(words[:3])}: {done.stderr.strip()}")
    return done.stdout.strip()


def until(asked: Callable[[], Any], what: str) -> Any:
    """The first answer that is something, within two minutes."""
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        found = asked()
        if found:
            return found
        time.sleep(0.5)
    raise AssertionError(f"not within {_PATIENCE} s: {what}")


class Cluster:
    """Three nodes; the leader is whoever they agree on."""

    def __init__(self) -> None:
        self.name = f"brainer-tests-patroni-{os.getpid()}-{secrets.token_hex(2)}"
        self.password = secrets.token_hex(8)
        self.addresses: dict[str, str] = {}

    def start(self) -> None:
        etcd = self._run("etcd", "etcd")
        for number in (1, 2, 3):
            node = f"node{number}"
            self.addresses[node] = self._run(node, etcd)
        until(lambda: len(self.members("streaming")) == 2, "two standbys follow a leader")
        with self.connect(self.leader()) as connection:
            connection.execute(f"CREATE ROLE brainer LOGIN PASSWORD '{self.password}'")
            connection.execute("CREATE DATABASE brainer OWNER brainer")

    def remove(self) -> None:
        found = docker("ps", "--all", "--quiet", "--filter", f"label={_LABEL}={self.name}").split()
        if found:
            docker("rm", "--force", "--volumes", *found)

    def _run(self, name: str, *words: str) -> str:
        container = f"{self.name}-{name}"
        docker(
            "run", "--detach", "--name", container, "--hostname", name, "--label", f"{_LABEL}={self.name}",
            "--env", f"PASSWORD={self.password}", IMAGE, *words,
        )  # fmt: skip
        return docker("inspect", "--format", "{{ .NetworkSettings.IPAddress }}", container)

    @property
    def url(self) -> str:
        """As an operator writes it."""
        hosts = ",".join(f"{address}:5432" for address in self.addresses.values())
        login = f"brainer:{self.password}"
        return f"postgresql://{login}@{hosts}/brainer?target_session_attrs=read-write&connect_timeout=3"

    def connect(self, node: str) -> psycopg.Connection:
        """As the administrator, to one node."""
        url = f"postgresql://postgres:{self.password}@{self.addresses[node]}/postgres"
        return psycopg.connect(url, autocommit=True, connect_timeout=3)

    def members(self, state: str) -> list[str]:
        """Nodes that are ``streaming``, or the ``leader`` that runs, as any of them says."""
        for address in self.addresses.values():
            try:
                with urllib.request.urlopen(f"http://{address}:8008/cluster", timeout=2) as answer:
                    found = json.load(answer)["members"]
            except OSError:
                continue
            return [
                one["name"] for one in found
                if one["state"] == state or (one["role"] == state and one["state"] == "running")
            ]  # fmt: skip
        return []

    def leader(self, other_than: str = "") -> str:
        """Who takes writes; waits for an election."""

        def elected() -> str:
            for node, address in self.addresses.items():
                try:
                    with urllib.request.urlopen(f"http://{address}:8008/primary", timeout=2):
                        return "" if node == other_than else node
                except OSError:
                    continue
            return ""

        return str(until(elected, f"a leader other than {other_than or 'nobody'}"))

    def kill(self, node: str) -> None:
        """As when a machine loses power."""
        docker("kill", f"{self.name}-{node}")

    def pause(self, node: str) -> None:
        """It hears of nothing that is committed meanwhile."""
        docker("pause", f"{self.name}-{node}")

    def resume(self, node: str) -> None:
        docker("unpause", f"{self.name}-{node}")
