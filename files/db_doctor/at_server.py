"""Rules of the host, the engine and the server's container."""

from __future__ import annotations

import ipaddress
import json

from db_status.text import span

from db_doctor.facts import Facts
from db_doctor.finding import POSTGRES, SITE, Crosseds, Finding, Findings
from db_doctor.options import Options


def docker(facts: Facts, options: Options, crossed: Crosseds) -> Findings:
    if not facts.engine:
        return
    if not facts.enginepath:
        yield Finding(
            "docker", "there is no Docker on this server", (facts.engine,), command=SITE,
        )  # fmt: skip
        return
    yield Finding(
        "docker", "the Docker engine does not answer, so neither server nor app can run", (facts.engine,),
        fix="start_docker", by_hand="systemctl start docker; journalctl -u docker --lines 30",
    )  # fmt: skip


def disk(facts: Facts, options: Options, crossed: Crosseds) -> Findings:
    full = [one for one in crossed if one.name == "disk" and one.level == "critical"]
    if full:
        yield Finding(
            "disk_full", "a disk is full, or nearly: the server stops at its next write",
            tuple(one.evidence for one in full), command=full[0].next, by_hand=full[0].next,
        )  # fmt: skip


def oom(facts: Facts, options: Options, crossed: Crosseds) -> Findings:
    killed = [one for one in crossed if one.name == "out of memory"]
    names = {options.container, *(c["Name"].lstrip("/") for c in facts.app.containers)}
    ours = [one for one in killed if any(name in one.evidence for name in names)]
    if ours:
        yield Finding(
            "oom", "the kernel killed processes because memory ran out",
            (*(one.evidence for one in ours), *(line[:160] for line in facts.kernel_oom)),
            command=f"{SITE} (sizes for this machine; -e tuning_app_workers=N if the app has several processes)",
            by_hand=f"docker stats --no-stream; docker restart {options.container}  # the count begins anew",
        )  # fmt: skip


def server(facts: Facts, options: Options, crossed: Crosseds) -> Findings:
    if facts.engine:
        return
    server, name = facts.server, options.container
    for problem in map(json.loads, options.elsewhere):
        said = tuple(problem.get("said", "").splitlines())
        yield Finding(
            "server_elsewhere", f"the server: {problem['what']}", said, command=problem["next"]
        )
    if not name:
        return
    if not server.container:
        yield Finding(
            "server_absent", f"there is no container {name}",
            (
                "docker ps --all does not list it; its volume, if it is there (docker volume ls), keeps the data",
            ),
            command=f"{POSTGRES}; without its volume that makes an EMPTY server: then sudo db_backup list, and"
            " ansible-playbook playbooks/restore.yml -e restore_from=NAME -e backup_replace=true",
            because=("half_upgraded",),
        )  # fmt: skip
        return
    state = server.container["State"]
    log = tuple(f"log: {line}" for line in server.log)
    if server.restarting:
        yield Finding(
            "server_restarting", f"{name} fails at its start, again and again",
            (f"{server.container.get('RestartCount', 0)} starts, exit code {state.get('ExitCode')}", *log),
            command=f"mend what its log names, then {POSTGRES}", by_hand=f"docker logs --tail 50 {name}",
            because=("half_upgraded", "disk_full"),
        )  # fmt: skip
    elif not server.running or state.get("Paused"):
        why = f"it is {state['Status']}, exit code {state.get('ExitCode')}"
        if state.get("Error"):
            why += f": {state['Error'][:200]}"
        yield Finding(
            "server_down", f"{name} does not run", (why, *log), fix="start_server",
            by_hand=f"docker {'unpause' if state.get('Paused') else 'start'} {name}",
            because=("half_upgraded", "disk_full", "port_taken", *(["oom"] if state.get("OOMKilled") else [])),
        )  # fmt: skip
    elif server.why:
        yield Finding(
            "server_silent", f"{name} runs, but its server does not answer", (server.why, *log),
            command=f"wait if it recovers; else docker logs --tail 50 {name}", by_hand=f"docker logs --tail 50 {name}",
            because=("half_upgraded", "disk_full"),
        )  # fmt: skip


def port(facts: Facts, options: Options, crossed: Crosseds) -> Findings:
    server, port = facts.server, options.port
    if facts.engine or not server.container:
        return
    bound = (server.container.get("HostConfig") or {}).get("PortBindings") or {}
    wanted = [one for one in bound.get("5432/tcp") or [] if str(one.get("HostPort")) == str(port)]
    others = [one for one in facts.listeners if "docker-proxy" not in one]
    if not server.running:
        if facts.listeners and wanted and not server.restarting:
            error = str(server.container["State"].get("Error", ""))
            yield Finding(
                "port_taken", f"somebody else has port {port}, so {options.container} can't start",
                (*facts.listeners, *([error[:200]] if error else [])),
                command="stop that (systemctl stop NAME, docker stop NAME), then ansible-playbook playbooks/doctor.yml"
                f" -e doctor_fix=start_server; or {POSTGRES} -e postgres_port={port + 1}",
                by_hand=f"ss -ltnp 'sport = :{port}'; docker ps",
            )  # fmt: skip
        return
    now = ((server.container.get("NetworkSettings") or {}).get("Ports") or {}).get("5432/tcp") or []
    if not any(str(one.get("HostPort")) == str(port) for one in now):
        places = ", ".join(f"{one['HostIp']}:{one['HostPort']}" for one in now) or "nowhere"
        yield Finding(
            "port_unpublished", f"port {port} of the VPS does not lead to the server: no backup reaches it",
            (f"published: {places}; expected {options.address}:{port}", *others), command=POSTGRES,
            because=("network",),
        )  # fmt: skip
    for one in now:
        if _public(one["HostIp"]):
            yield Finding(
                "port_open",
                "the server's port is open to other machines, past the firewall: Docker's rules come before UFW's",
                (f"published on {one['HostIp'] or '0.0.0.0'}:{one['HostPort']}",),
                command=f"{POSTGRES} -e postgres_bind_address=127.0.0.1 (and so in the inventory)",
            )  # fmt: skip
            break


def _public(place: str) -> bool:
    """Whether others than this machine and its private networks get there."""
    try:
        found = ipaddress.ip_address(place or "0.0.0.0")
    except ValueError:
        return True
    return found.is_unspecified or not (found.is_loopback or found.is_private)


def collation(facts: Facts, options: Options, crossed: Crosseds) -> Findings:
    rows = [
        row for row in facts.server.databases
        if row["recorded"] and row["actual"] and row["recorded"] != row["actual"]
    ]  # fmt: skip
    if rows:
        yield Finding(
            "collation", "the system sorts text differently than when the indexes were made: they may miss rows",
            tuple(f"{row['name']}: made with {row['recorded']}, now {row['actual']}" for row in rows),
            fix="collation", by_hand="db_doctor mend collation",
        )  # fmt: skip


def clock(facts: Facts, options: Options, crossed: Crosseds) -> Findings:
    skew = facts.clock.get("skew", 0.0)
    if abs(skew) > options.skew:
        yield Finding(
            "clock", "the clocks of controller and VPS differ: backups are judged by them",
            (f"the VPS is {span(abs(skew))} {'ahead' if skew > 0 else 'behind'}",),
            command="timedatectl set-ntp true, on whichever is wrong: compare with date --utc",
            by_hand="timedatectl set-ntp true; timedatectl",
        )  # fmt: skip
    elif not facts.clock.get("synchronised", True):
        yield Finding(
            "clock", "nobody keeps the clock of the VPS", ("timedatectl: NTPSynchronized=no",),
            command="timedatectl set-ntp true (apt-get install systemd-timesyncd, if it knows none)",
            by_hand="timedatectl set-ntp true",
        )  # fmt: skip
