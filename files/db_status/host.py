"""The machine under the server: disks, memory, containers. Needs no server, so it is told when there is none."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from db_status.seen import Row

_SECONDS = 10


def disks(directories: Sequence[str]) -> list[Row]:
    """Size and free space of each disk; a directory that isn't there yet counts as its parent."""
    found: dict[int, Row] = {}
    for name in directories:
        directory = Path(name)
        while not directory.exists() and directory != directory.parent:
            directory = directory.parent
        space = os.statvfs(directory)
        row = found.setdefault(
            os.stat(directory).st_dev,
            {"paths": [], "bytes": space.f_blocks * space.f_frsize,
             "free": space.f_bavail * space.f_frsize,
             "inodes": space.f_files, "inodes_free": space.f_favail},
        )  # fmt: skip
        row["paths"].append(name)
    return list(found.values())


def memory() -> Row:
    """Bytes of the host, as the kernel counts them."""
    found = {}
    for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
        name, _, rest = line.partition(":")
        found[name] = int(rest.split()[0]) * 1024
    return {
        "bytes": found["MemTotal"],
        "available": found["MemAvailable"],
        "swap": found["SwapTotal"],
        "swap_free": found["SwapFree"],
        "load": os.getloadavg()[0],
        "cpus": os.cpu_count() or 1,
    }


class NoEngine(Exception):
    """The container engine does not answer; its words."""


def containers() -> list[Row]:
    """Every container of the host, and what its control group remembers.

    Raises:
        NoEngine: there is no engine, or it does not answer.
    """
    ids = _docker("ps", "--all", "--quiet", "--no-trunc").split()[:60]
    if not ids:
        return []
    rows = [_container(found) for found in json.loads(_docker("inspect", *ids))]
    return sorted(rows, key=lambda row: str(row["name"]))


def _container(found: dict[str, Any]) -> Row:
    state = found["State"]
    group = _Group(int(state.get("Pid") or 0))
    return {
        "name": str(found["Name"]).lstrip("/"),
        "image": str(found["Config"]["Image"]),
        "state": str(state["Status"]),
        "health": str((state.get("Health") or {}).get("Status", "")),
        "exit_code": int(state.get("ExitCode") or 0),
        "started": _moment(state.get("StartedAt")),
        "finished": _moment(state.get("FinishedAt")),
        "restarts": int(found.get("RestartCount") or 0),
        "restart_policy": str(((found.get("HostConfig") or {}).get("RestartPolicy") or {}).get("Name", "")),
        "oom_killed": bool(state.get("OOMKilled")),
        "oom_kills": group.oom_kills,
        "memory": group.memory,
        "memory_limit": int((found.get("HostConfig") or {}).get("Memory") or 0),
    }  # fmt: skip


def _moment(text: object) -> str:
    """Docker's nanoseconds cut off; empty for a moment that never was."""
    found = re.match(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}", str(text or ""))
    return "" if not found or found[0].startswith("0001") else found[0] + "Z"


class _Group:
    """A container's control group, of either version; zeros where there is none to read.

    A backend that the kernel kills takes the server through a recovery, but the container lives on: only the counter
    of its group knows.
    """

    def __init__(self, pid: int) -> None:
        self.memory = self.oom_kills = 0
        if not pid:
            return
        for line in _read(Path(f"/proc/{pid}/cgroup")).splitlines():
            _, controllers, path = line.split(":", 2)
            if controllers == "":
                directory = Path("/sys/fs/cgroup") / path.lstrip("/")
                events, stat, used = "memory.events", "inactive_file", "memory.current"
            elif "memory" in controllers.split(","):
                directory = Path("/sys/fs/cgroup/memory") / path.lstrip("/")
                events, stat, used = "memory.oom_control", "total_inactive_file", "memory.usage_in_bytes"  # fmt: skip
            else:
                continue
            if not (directory / used).is_file():
                continue
            self.oom_kills = _field(directory / events, "oom_kill")
            # what the kernel gives back when asked is not in use
            cached = _field(directory / "memory.stat", stat)
            self.memory = max(int(_read(directory / used) or 0) - cached, 0)
            return


def _field(path: Path, name: str) -> int:
    for line in _read(path).splitlines():
        words = line.split()
        if len(words) == 2 and words[0] == name:
            return int(words[1])
    return 0


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii")
    except OSError:
        return ""


def _docker(*words: str) -> str:
    try:
        done = subprocess.run(
            ["docker", *words], capture_output=True, text=True, timeout=_SECONDS, check=False
        )
    except FileNotFoundError:
        raise NoEngine("there is no docker command") from None
    except subprocess.TimeoutExpired:
        raise NoEngine(f"docker {words[0]} did not answer in {_SECONDS} s") from None
    # one that went away between the two calls is no reason to say nothing of the others
    if done.returncode and not re.match(r"\s*\[\s*\{", done.stdout):
        raise NoEngine(" ".join(done.stderr.split()))
    return done.stdout


def backups(command: Sequence[str]) -> list[Row]:
    """The limits of ``db_backup status``.

    Raises:
        NoBackups: it said something else, or nothing.
    """
    try:
        done = subprocess.run(
            [*command, "status", "--json"],
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        found = json.loads(done.stdout)
        rows: list[Row] = found["limits"]
    except FileNotFoundError:
        raise NoBackups(f"{command[0]} is not installed") from None
    except subprocess.TimeoutExpired:
        raise NoBackups("it did not answer in 60 s") from None
    except (ValueError, KeyError):
        said = done.stdout.strip() or done.stderr.strip()
        try:
            said = " ".join(json.loads(said)["error"])
        except (ValueError, KeyError, TypeError):
            said = " ".join(said.split())[:300]
        raise NoBackups(said or f"it ended with code {done.returncode}") from None
    return rows


class NoBackups(Exception):
    """``db_backup`` could not say; its words."""
