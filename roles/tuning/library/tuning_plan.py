#!/usr/bin/python
# MIT License, see LICENSE in the project root
"""Measure the machine and compute PostgreSQL's settings for it, in one round trip."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: tuning_plan
short_description: Computes PostgreSQL's settings for this machine, and changes nothing
description:
  - Measures RAM (a container's limit, if the machine is one), CPUs and the disk, unless they are given.
  - Fails with the sums when the settings do not fit into the memory.
options:
  major: {type: int, required: true, description: PostgreSQL's major.}
  ram_mb: {type: int, default: 0, description: RAM to plan with. 0 measures it.}
  cpus: {type: int, default: 0, description: CPUs to plan with. 0 counts them.}
  disk: {type: path, required: true, description: Directory on the disk that the data is on.}
  disk_kind: {type: str, default: auto, choices: [auto, ssd, hdd], description: Kind of that disk.}
  app_workers: {type: int, default: 1, description: Processes of the app.}
  app_pool: {type: int, default: 15, description: Connections that each of them opens at most.}
  app_mb: {type: int, default: 0, description: Memory of the app. 0 computes it.}
  drill_mb: {type: int, default: 384, description: Most memory of a backup's drill.}
  limit: {type: str, default: auto, description: Memory limit of the server's container, as Docker reads it.}
  settings: {type: dict, default: {}, description: What the operator sets; counted, and left out of the result.}
author: [The brainer-db authors]
"""

EXAMPLES = r"""
- name: What fits this machine
  tuning_plan:
    major: 17
    disk: /var/lib/docker
  register: tuning_plan
"""

RETURN = r"""
settings: {type: dict, returned: success, description: Parameters of postgresql.conf.}
memory: {type: str, returned: success, description: Memory limit of the container.}
shm: {type: str, returned: success, description: Size of its /dev/shm.}
drill_mb: {type: int, returned: success, description: Memory limit of a backup's drill.}
budget: {type: list, elements: str, returned: success, description: The sums.}
machine: {type: dict, returned: success, description: What was measured or given.}
advice: {type: list, elements: str, returned: success, description: What of the kernel's settings is not well.}
kernel:
  type: list
  elements: dict
  returned: success
  description: "Swap, overcommit and huge pages: name, found, ok, advice."
"""

import os
import re
from dataclasses import asdict
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

try:
    from ansible.module_utils import tuning_budget as budget
except ImportError:  # installed as a collection
    from ansible_collections.brainer_db.postgres.plugins.module_utils import tuning_budget as budget

_MIB = 2**20
_CGROUPS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
#: Disks of these makers say "rotational" whatever lies beneath.
_VIRTUAL = re.compile(r"qemu|virt|vmware|msft|xen|google|amazon", re.IGNORECASE)


def read(path: str | Path) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def meminfo() -> dict[str, int]:
    """MiB by name."""
    found = re.findall(r"^(\w+):\s+(\d+) kB", read("/proc/meminfo"), re.MULTILINE)
    return {name: int(size) // 1024 for name, size in found}


def ram() -> int:
    """MiB; the limit of the container that this machine is, if it is one. 0: can't be seen."""
    sizes = [meminfo().get("MemTotal", 0)]
    sizes += [int(text) // _MIB for text in map(read, _CGROUPS) if text.isdigit()]
    return min((size for size in sizes if size), default=0)


def existing(path: str) -> Path:
    """The directory, or the nearest one above it that is there already."""
    found = Path(path)
    while not found.exists():
        found = found.parent
    return found


def disk_kind(path: Path) -> str:
    number = os.stat(path).st_dev
    device = Path(f"/sys/dev/block/{os.major(number)}:{os.minor(number)}").resolve()
    whole = device if (device / "queue").exists() else device.parent
    if read(whole / "queue" / "rotational") != "1":
        return "ssd"
    maker = read(whole / "device" / "vendor") + read(whole / "device" / "model")
    virtual = whole.name.startswith(("vd", "xvd", "dm-", "md")) or _VIRTUAL.search(maker)
    return "ssd" if virtual else "hdd"


def size(text: str) -> int:
    """MiB of a size as Docker reads it; 0 for auto."""
    if text == "auto":
        return 0
    found = re.fullmatch(r"(\d+)\s*([bkmgt]?)b?", text.strip().lower())
    if not found:
        raise budget.Refused(f"postgres_memory is {text!r}; Docker reads sizes as 768m or 2g.")
    power = {"": 0, "b": 0, "k": 1, "m": 2, "g": 3, "t": 4}[found[2]]
    return int(found[1]) * 1024**power // _MIB


def overcommit(mode: str, limit: int, wanted: int) -> tuple[bool, str]:
    """Whether what the server asks for is what it gets, and what to do if not."""
    if mode == "1":
        return (
            False,
            "the kernel promises memory that isn't there: sysctl -w vm.overcommit_memory=0",
        )
    # the server's whole share, and as much again for everybody else
    text = "too little is left for the server: sysctl -w vm.overcommit_ratio=100, or overcommit_memory=0"
    return mode != "2" or limit >= 2 * wanted, text


def kernel(wanted: int) -> list[dict[str, object]]:
    """What of the kernel's settings is good for a database, and what to do about the rest."""
    memory = meminfo()
    swap, mode = memory.get("SwapTotal", 0), read("/proc/sys/vm/overcommit_memory")
    swappiness = read("/proc/sys/vm/swappiness")
    pages = re.search(r"\[(\w+)\]", read("/sys/kernel/mm/transparent_hugepage/enabled"))
    checks = [
        (
            "swap", f"{swap} MB", swap > 0,
            "the kernel kills where it could have slowed down. 1 GB: fallocate -l 1G /swapfile && chmod 600 /swapfile"
            " && mkswap /swapfile && swapon /swapfile, and a line in /etc/fstab",
        ),
        (
            "vm.swappiness", swappiness, swap == 0 or int(swappiness or 0) <= 60,
            "what the server holds in memory is swapped out for file cache: sysctl -w vm.swappiness=10",
        ),
        ("vm.overcommit_memory", mode, *overcommit(mode, memory.get("CommitLimit", 0), wanted)),
        (
            "transparent_hugepage", pages[1] if pages else "none", not pages or pages[1] != "always",
            "forks and memory are dear: echo madvise >/sys/kernel/mm/transparent_hugepage/enabled",
        ),
    ]  # fmt: skip
    return [
        {"name": name, "found": found, "ok": bool(ok), "advice": "" if ok else advice}
        for name, found, ok, advice in checks
    ]


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "major": {"type": "int", "required": True},
            "ram_mb": {"type": "int", "default": 0},
            "cpus": {"type": "int", "default": 0},
            "disk": {"type": "path", "required": True},
            "disk_kind": {"type": "str", "default": "auto", "choices": ["auto", "ssd", "hdd"]},
            "app_workers": {"type": "int", "default": 1},
            "app_pool": {"type": "int", "default": 15},
            "app_mb": {"type": "int", "default": 0},
            "drill_mb": {"type": "int", "default": 384},
            "limit": {"type": "str", "default": "auto"},
            "settings": {"type": "dict", "default": {}},
        },
        supports_check_mode=True,
    )
    given = module.params
    place = existing(given["disk"])
    disk = os.statvfs(place)
    try:
        measured = ram()
        if not measured and not given["ram_mb"]:
            raise budget.Refused(
                "How much RAM there is can't be seen here. Say it in MB: tuning_ram_mb: 2048"
            )
        machine = budget.at_most(
            budget.Machine(
                ram=budget.nominal(measured),
                cpus=given["cpus"] or len(os.sched_getaffinity(0)),
                disk_size=disk.f_blocks * disk.f_frsize // _MIB,
                disk_free=disk.f_bavail * disk.f_frsize // _MIB,
                disk_kind=disk_kind(place) if given["disk_kind"] == "auto" else given["disk_kind"],
            ),
            given["ram_mb"],
        )
        wishes = budget.Wishes(
            major=given["major"],
            workers=given["app_workers"],
            pool=given["app_pool"],
            app=given["app_mb"],
            drill=given["drill_mb"],
            limit=size(given["limit"]),
            settings=given["settings"],
        )
        made = budget.plan(machine, wishes)
    except budget.Refused as refused:
        module.fail_json(msg=str(refused))
    found = kernel(made.limit)
    module.exit_json(
        changed=False,
        settings=made.settings,
        memory=f"{made.limit}m",
        shm=f"{made.shm}m",
        drill_mb=made.drill,
        budget=made.budget,
        machine=asdict(machine),
        kernel=found,
        advice=[
            f"{check['name']} is {check['found']}: {check['advice']}"
            for check in found
            if not check["ok"]
        ],
    )


if __name__ == "__main__":
    main()
