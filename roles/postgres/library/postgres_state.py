#!/usr/bin/python
"""Look, and change nothing: engine, container, volume, cluster and port, in one round trip."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import time
from typing import Any

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: postgres_state
short_description: Says what is on the host before the postgres role touches it
description:
  - Needs nothing but Python on the host. A host without an engine is an answer, not an error.
options:
  container: {type: str, required: true, description: Name of the server's container.}
  volume: {type: str, required: true, description: Name of the data volume, as long as no upgrade has made another.}
  directory: {type: path, default: "", description: "Where an upgrade says which volume counts, and whether one runs."}
  place: {type: dict, default: {}, description: "The volume and the settings to look at instead of those in use."}
  network: {type: str, required: true, description: Name of the network.}
  address: {type: str, required: true, description: Address the port is published on.}
  port: {type: int, required: true, description: Port published on the host.}
  libraries: {type: list, elements: str, default: [], description: Python modules that later tasks import.}
  wait: {type: int, default: 0, description: Seconds to wait for a running container to become healthy.}
"""

RETURN = r"""
engine: {type: dict, returned: always, description: "answers, api (version), message"}
missing_libraries: {type: list, elements: str, returned: always, description: Modules this interpreter cannot import.}
network: {type: bool, returned: always, description: Whether the network is there.}
container: {type: dict, returned: always, description: "Empty, or running, health, restarts, image, data (volumes)"}
volume: {type: dict, returned: always, description: "Empty, or mountpoint and clusters (path, major, unfinished)"}
place: {type: dict, returned: always, description: "volume and settings (a directory), image (after an upgrade)"}
upgrading: {type: bool, returned: always, description: Whether an upgrade was begun and is not finished.}
port_taken_by: {type: str, returned: always, description: Empty, or the process or container that has the port.}
"""

CRASHES = 4
LISTEN = "0A"
LOOPBACK_RULE = re.compile(r"^(127\.|::1|localhost|samehost)")


class Docker:
    """The engine through its command: Python bindings may not be installed yet."""

    def __init__(self, module: AnsibleModule) -> None:
        self.module = module
        self.command = module.get_bin_path("docker")

    def run(self, *arguments: str) -> tuple[int, str, str]:
        if self.command is None:
            return 127, "", "there is no docker command"
        result: tuple[int, str, str] = self.module.run_command([self.command, *arguments])
        return result

    def inspect(self, kind: str, name: str) -> dict[str, Any]:
        status, output, _ = self.run(kind, "inspect", name)
        found: list[dict[str, Any]] = json.loads(output) if status == 0 else []
        return found[0] if found else {}


def engine(docker: Docker) -> dict[str, Any]:
    status, output, errors = docker.run("version", "--format", "{{.Server.APIVersion}}")
    return {
        "answers": status == 0,
        "api": output.strip() if status == 0 else "0",
        "message": errors.strip(),
    }


def container(found: dict[str, Any]) -> dict[str, Any]:
    if not found:
        return {}
    state = found["State"]
    mounts = {
        mount["Destination"]: mount.get("Name") or mount.get("Source", "")
        for mount in found["Mounts"]
    }
    data = [
        name
        for path, name in mounts.items()
        if path in ("/var/lib/postgresql", "/var/lib/postgresql/data")
    ]
    return {
        "running": state["Running"],
        "health": state.get("Health", {}).get("Status", ""),
        "restarts": found["RestartCount"],
        "image": found["Config"]["Image"],
        "data": data,
    }


def settled(docker: Docker, name: str, seconds: int) -> dict[str, Any]:
    """The container once it is healthy, or has crashed often enough to know that it won't be, or time is up."""
    deadline = time.monotonic() + seconds
    while True:
        found = container(docker.inspect("container", name))
        hopeless = not found or found["restarts"] >= CRASHES
        if hopeless or found["health"] in ("healthy", "") or time.monotonic() >= deadline:
            return found
        time.sleep(0.2)


def read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def unfinished(directory: str) -> str:
    """What a first start that was killed had not done yet; empty when it had done everything.

    The image's last step before the server starts is the rule that lets other hosts in.
    """
    if not os.path.isfile(os.path.join(directory, "global", "pg_control")):
        return "global/pg_control is missing"
    for line in read(os.path.join(directory, "pg_hba.conf")).splitlines():
        fields = line.split("#")[0].split()
        if len(fields) > 3 and fields[0].startswith("host") and not LOOPBACK_RULE.match(fields[3]):
            return ""
    return "pg_hba.conf lets nobody in over the network"


def clusters(mountpoint: str) -> list[dict[str, str]]:
    """Data directories in the volume: at its top up to 17, under MAJOR/docker from 18 on."""
    try:
        names = sorted(os.listdir(mountpoint))
    except OSError:
        return []
    paths = [".", "data", *(f"{name}/docker" for name in names if name.isdigit())]
    found = []
    for path in paths:
        directory = os.path.join(mountpoint, path)
        major = read(os.path.join(directory, "PG_VERSION")).strip()
        if major:
            found.append({"path": path, "major": major, "unfinished": unfinished(directory)})
    return found


def place(module: AnsibleModule, directory: str, volume: str) -> dict[str, str]:
    """Where the data is now: in the volume of that name, or in the one that an upgrade of it made.

    A record that can't be read is not the same as none: without it, the former volume would count.
    """
    record = os.path.join(directory, "volume.json")
    try:
        with open(record, encoding="utf-8") as file:
            found = dict(json.load(file))
    except FileNotFoundError:
        found = {}
    except (OSError, ValueError, TypeError) as error:
        module.fail_json(
            msg=f"{record} says which volume has the data, and can't be read: {error}. Nothing was changed."
            " Next: write it again, as roles/upgrade/README.md has it"
        )
    if found.get("of") != volume:
        found = {}
    return {
        "volume": found.get("volume", volume),
        "settings": found.get("settings", "etc"),
        "image": found.get("image", ""),
    }


def volume(found: dict[str, Any]) -> dict[str, Any]:
    return (
        {"mountpoint": found["Mountpoint"], "clusters": clusters(found["Mountpoint"])}
        if found
        else {}
    )


def covers(listening: str, wanted: str) -> bool:
    """Whether a socket on one address (hex, as the kernel prints it) is in the way of another."""
    if set(listening) == {"0"} or wanted in ("0.0.0.0", "::"):
        return True
    octets = wanted.split(".")
    return len(octets) == 4 and listening.endswith(
        "".join(f"{int(octet):02X}" for octet in reversed(octets))
    )


def listening_inodes(address: str, port: int) -> set[str]:
    inodes = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in read(table).splitlines()[1:]:
            fields = line.split()
            host, _, number = fields[1].partition(":")
            if fields[3] == LISTEN and int(number, 16) == port and covers(host, address):
                inodes.add(f"socket:[{fields[9]}]")
    return inodes


def process_with(inodes: set[str]) -> str:
    for pid in filter(str.isdigit, os.listdir("/proc")):
        directory = f"/proc/{pid}/fd"
        try:
            for descriptor in os.listdir(directory):
                if os.readlink(os.path.join(directory, descriptor)) in inodes:
                    return f"{read(f'/proc/{pid}/comm').strip()} (pid {pid})"
        except OSError:
            continue
    return "an unknown process"


def port_taken_by(docker: Docker, name: str, address: str, port: int) -> str:
    inodes = listening_inodes(address, port)
    if not inodes:
        return ""
    _, output, _ = docker.run("ps", "--filter", f"publish={port}", "--format", "{{.Names}}")
    owners = output.split()
    if name in owners:
        return ""
    return f"the container {owners[0]}" if owners else process_with(inodes)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "container": {"type": "str", "required": True},
            "volume": {"type": "str", "required": True},
            "directory": {"type": "path", "default": ""},
            "place": {"type": "dict", "default": {}},
            "network": {"type": "str", "required": True},
            "address": {"type": "str", "required": True},
            "port": {"type": "int", "required": True},
            "libraries": {"type": "list", "elements": "str", "default": []},
            "wait": {"type": "int", "default": 0},
        },
        supports_check_mode=True,
    )
    wanted = module.params
    docker = Docker(module)
    where = {
        "image": "",
        **(wanted["place"] or place(module, wanted["directory"], wanted["volume"])),
    }
    module.exit_json(
        changed=False,
        engine=engine(docker),
        missing_libraries=[
            name for name in wanted["libraries"] if importlib.util.find_spec(name) is None
        ],
        network=bool(docker.inspect("network", wanted["network"])),
        container=settled(docker, wanted["container"], wanted["wait"]),
        volume=volume(docker.inspect("volume", where["volume"])),
        place=where,
        upgrading=os.path.exists(os.path.join(wanted["directory"], "upgrade.json")),
        port_taken_by=port_taken_by(docker, wanted["container"], wanted["address"], wanted["port"]),
    )


if __name__ == "__main__":
    main()
