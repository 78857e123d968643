"""One look from the outside in. Nothing is changed, and nothing that fails ends it."""

from __future__ import annotations

import json
import re
import socket
import time
from datetime import datetime, timezone
from pathlib import Path

from db_status import host
from db_status.seen import Seen

from db_doctor import address, declared, sql
from db_doctor.ask import Row, Said, health, inspect, run
from db_doctor.facts import App, Data, Facts
from db_doctor.options import Options

#: Lines of a log that are shown.
_LINES = 4


def look(options: Options) -> Facts:
    """Everything, the outermost first; what is behind a closed door is not asked."""
    facts = Facts(seen=Seen(at=now(), host=socket.gethostname()))
    _host(facts, options)
    _engine(facts, options)
    _app(facts, options)
    if not facts.engine:
        _server(facts, options)
        _logins(facts, options)
        _data(facts, options)
    return facts


def _host(facts: Facts, options: Options) -> None:
    try:
        facts.seen.disks = host.disks(options.disks)
        facts.seen.memory = host.memory()
    except OSError as error:
        facts.could_not("disks and memory", str(error))
    said = run("ss", "-Hltnp", f"sport = :{options.port}", patience=options.patience)
    facts.listeners = tuple(sorted(_listeners(said.out)))
    said = run(
        "journalctl", "-k", "--since", "-1d", "--no-pager", "-o", "short-iso", "-g",
        "Out of memory|oom-kill", patience=options.patience,
    )  # fmt: skip
    facts.kernel_oom = tuple(line for line in said.out.splitlines() if "illed process" in line)[-3:]
    facts.clock = _clock(options)
    facts.kernel = _kernel()
    facts.left = _left(options)


def _listeners(output: str) -> set[str]:
    """``ADDRESS by PROCESS (pid N)``, one for each socket."""
    found = set()
    for line in output.splitlines():
        words = line.split()
        users = re.search(r'\("([^"]*)",pid=(\d+)', line)
        who = f"{users[1]} (pid {users[2]})" if users else "a process that only root sees"
        found.add(f"{words[3] if len(words) > 3 else '?'} by {who}")
    return found


def _clock(options: Options) -> Row:
    """Both clocks, and whether this one is kept. A container has its machine's."""
    found: Row = {"skew": 0.0, "synchronised": True}
    if options.now:
        found["skew"] = time.time() - options.now
    if run("systemd-detect-virt", "--container", "--quiet").code != 0:
        said = run("timedatectl", "show", "-p", "NTPSynchronized", "--value")
        found["synchronised"] = said.code != 0 or said.out.strip() == "yes"
    return found


def _kernel() -> Row:
    found: Row = {}
    for name in ("overcommit_memory", "swappiness"):
        try:
            found[name] = int(Path(f"/proc/sys/vm/{name}").read_text(encoding="ascii"))
        except (OSError, ValueError):
            continue
    return found


def _left(options: Options) -> Row:
    """What a run of the playbooks left, or holds at this moment."""
    found: Row = {
        name: (options.migration / name).exists()
        for name in ("lock.json", "env.before", "rollback.json")
    }
    found["upgrade.json"] = (options.secrets.parent / "upgrade.json").exists()
    if found["lock.json"]:
        try:
            held = json.loads((options.migration / "lock.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            held = {}
        found["held"] = held if isinstance(held, dict) else {}
    return found


def _engine(facts: Facts, options: Options) -> None:
    said = run("docker", "version", "--format", "{{.Server.Version}}", patience=options.patience)
    if said.code:
        facts.engine = said.why.replace("errors pretty printing info", "").strip()
        facts.enginepath = "No such file" not in said.err
        return
    try:
        facts.seen.containers = host.containers()
    except host.NoEngine as error:
        facts.engine = str(error)


def _app(facts: Facts, options: Options) -> None:
    app = facts.app
    said = _compose(options, "config", "--format", "json", options.service)
    if said.code:
        app.why = re.sub(r"""(near|value) ["'].*""", r"\1 ...", said.why)
        app.absent = not options.project.is_dir() or "no configuration file" in said.why
        return
    project = json.loads(said.out)
    service = project["services"][options.service]
    given = service.get("environment") or {}
    app.there = True
    app.url = str(given.get("DATABASE_URL") or "").replace("$$", "$")
    app.kind = _kind(str(given.get("DB_TYPE") or ""))
    app.image = str(service.get("image") or f"{project['name']}-{options.service}")
    app.networks = tuple(
        str(
            (project.get("networks") or {}).get(name, {}).get("name") or f"{project['name']}_{name}"
        )
        for name in service.get("networks") or {"default": None}
    )
    app.healthy, app.health = health(options.health_url)
    if facts.engine:
        app.healthy = False
        return
    labels = {"project": project["name"], "service": options.service, "oneoff": "False"}
    filters = [f"--filter=label=com.docker.compose.{key}={value}" for key, value in labels.items()]
    listed = run(
        "docker", "ps", "--all", "--quiet", "--no-trunc", *filters, patience=options.patience
    )
    app.containers = inspect(*listed.out.split(), patience=options.patience)
    for container in app.containers:
        if container["State"].get("Running"):
            env = dict(item.partition("=")[::2] for item in container["Config"].get("Env") or [])
            app.running_url = env.get("DATABASE_URL", "")
            app.running_kind = _kind(env.get("DB_TYPE", ""))
            app.networks = tuple(container["NetworkSettings"].get("Networks") or {})
    # somebody else may answer on that address
    app.healthy = app.healthy and app.running_url is not None
    if not app.healthy and app.containers:
        app.log = _log(app.containers[0]["Id"], app, options)


def _compose(options: Options, *words: str) -> Said:
    if not options.project.is_dir():
        return Said(-1, "", f"{options.project} is not a directory")
    command = ["docker", "compose", "--project-directory", str(options.project)]
    for option, paths in (
        ("--file", options.compose_files),
        ("--env-file", options.compose_env_files),
    ):
        for path in paths:
            command += [option, path]
    return run(*command, *words, patience=options.patience, directory=str(options.project))


def _kind(word: str) -> str:
    word = word.strip().lower()
    return "postgres" if word.startswith("postgres") else word or "sqlite"


def _log(container: str, app: App, options: Options) -> tuple[str, ...]:
    """The last lines, without the passwords that are known here."""
    said = run("docker", "logs", "--tail", "12", container, patience=options.patience)
    lines = [line.strip() for line in (said.out + said.err).splitlines() if line.strip()]
    secrets = {address.split(url).password for url in (app.url, app.running_url or "")}
    secrets |= {url.split("://", 1)[-1].rpartition("@")[0].partition(":")[2] for url in (app.url,)}
    for secret in secrets - {""}:
        lines = [line.replace(secret, "***") for line in lines]
    return tuple(line[:160] for line in lines[-_LINES:])


def _server(facts: Facts, options: Options) -> None:
    server = facts.server
    if not options.container:
        return
    server.container = next(iter(inspect(options.container, patience=options.patience)), {})
    if not server.container:
        return
    state = server.container["State"]
    troubled = not server.running or (state.get("Health") or {}).get("Status") == "unhealthy"
    if server.running:
        found, said = sql.ask(options, "postgres", sql.SERVER)
        if found is None:
            server.why = said.why
        else:
            server.roles, server.databases = tuple(found["roles"] or ()), found["databases"] or []
    if troubled or server.why:
        server.log = _log(options.container, facts.app, options)


def _logins(facts: Facts, options: Options) -> None:
    """Does the app's own address open the door, and does the file's password?"""
    server, app = facts.server, facts.app
    if not server.databases:
        return
    networks = server.container["NetworkSettings"].get("Networks") or {}
    place = next(
        (net["IPAddress"] for net in networks.values() if net.get("IPAddress")), "127.0.0.1"
    )
    names = {row["name"] for row in server.databases}
    secret = ""
    try:
        secret = (options.secrets / "password").read_text(encoding="utf-8").rstrip("\n")
    except OSError as error:
        if options.secrets.parent.exists():
            facts.could_not("the kept password", f"{options.secrets}/password: {error.strerror}")
    if secret and options.user in server.roles and options.database in names:
        server.login_secret = sql.login(options, place, options.user, options.database, secret)
    if app.kind != "postgres" or any(
        flaw.name.startswith("url") for flaw in address.flaws(app.url)
    ):
        return
    parts = address.split(app.url)
    facts.host_resolves = _elsewhere(parts.host, facts, options)
    if not facts.host_resolves and parts.user in server.roles and parts.database in names:
        server.same_secret = parts.password == secret
        server.login_app = sql.login(options, place, parts.user, parts.database, parts.password)


def _elsewhere(name: str, facts: Facts, options: Options) -> bool:
    """Whether a name means a server on another machine, which this program knows nothing of."""
    if name in known(facts) or name == options.alias or address.own(name):
        return False
    try:
        socket.getaddrinfo(name, None)
    except OSError:
        return False
    return True


def known(facts: Facts) -> set[str]:
    """Names by which the app's container reaches the server, on the networks that both are in."""
    container = facts.server.container
    found: set[str] = set()
    for name, net in ((container.get("NetworkSettings") or {}).get("Networks") or {}).items():
        if name in facts.app.networks:
            found |= {
                *(net.get("Aliases") or ()),
                *(net.get("DNSNames") or ()),
                net.get("IPAddress", ""),
            }
            found.add(str(container["Name"]).lstrip("/"))
    return found - {""}


def _data(facts: Facts, options: Options) -> None:
    if options.database not in {row["name"] for row in facts.server.databases}:
        return
    found, said = sql.ask(options, options.database, sql.DATA)
    if found is None:
        facts.could_not(f"the database {options.database}", said)
        return
    data = facts.data = Data(asked=True, tables=found["tables"], columns=found["columns"])
    if data.tables:
        rows, said = sql.ask(options, options.database, sql.filled(data.tables))
        if rows is None:
            facts.could_not("which tables are empty", said)
        data.filled = data.tables if rows is None else rows
    if found["sequences"]:
        rows, said = sql.ask(options, options.database, sql.positions(found["sequences"]))
        if rows is None:
            facts.could_not("sequences", said)
        data.sequences = rows or []
    if found["migrated"]:
        data.migration = sql.ask(options, options.database, sql.MIGRATION)[0] or {}
    if options.models and facts.app.image and data.tables:
        data.declared, why = declared.columns(options, facts.app)
        if why:
            facts.could_not(f"what {options.models} declares", why)


def now() -> str:
    """This moment, in UTC, to the second."""
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
