"""Rules of the app, and of its way to the server: network, address, role, password."""

from __future__ import annotations

from db_doctor import address
from db_doctor.facts import Facts
from db_doctor.finding import POSTGRES, Crosseds, Finding, Findings
from db_doctor.look import known
from db_doctor.options import Options

#: Whatever keeps the app on PostgreSQL from its data.
_SERVER = (
    "half_upgraded",
    "docker",
    "server_elsewhere",
    "server_absent",
    "server_down",
    "server_restarting",
    "server_silent",
    "port_taken",
)
_WAY = (
    "url", "url_encoding", "host", "app_port", "network", "alias", "role", "database", "password", "app_env",
)  # fmt: skip


def network(facts: Facts, options: Options, crossed: Crosseds) -> Findings:
    app, server = facts.app, facts.server
    if facts.engine or not server.container or app.kind != "postgres" or not app.networks:
        return
    if facts.host_resolves or any(flaw.name.startswith("url") for flaw in address.flaws(app.url)):
        return
    nets = (server.container.get("NetworkSettings") or {}).get("Networks") or {}
    shared = sorted(set(nets) & set(app.networks))
    evidence = f"the app is in {', '.join(app.networks)}; the server in {', '.join(nets) or 'none'}"
    if not shared:
        yield Finding(
            "network", "app and server share no network, so the app can't reach it by any name", (evidence,),
            command=POSTGRES,
            by_hand=f"docker network connect --alias {options.alias} {app.networks[0]} {options.container}",
        )  # fmt: skip
        return
    name = address.split(app.url).host
    if address.own(name) or name in known(facts):
        return
    if name == options.alias:
        yield Finding(
            "alias", f"nobody on the app's network has the name {name}",
            (f"on {shared[0]} the server is {', '.join(sorted(known(facts)))}",), command=POSTGRES,
            by_hand=f"docker network disconnect {shared[0]} {options.container}"
            f" && docker network connect --alias {options.alias} {shared[0]} {options.container}",
        )  # fmt: skip
        return
    yield Finding(
        "host", f"nobody has the name {name}, which DATABASE_URL says",
        (f"on {shared[0]} the server is {', '.join(sorted(known(facts)))}",), fix="env_url",
        by_hand=f"{options.alias} instead of {name} in {options.env_file}, then"
        f" cd {options.project} && docker compose up -d {options.service}",
    )  # fmt: skip


def url(facts: Facts, options: Options, crossed: Crosseds) -> Findings:
    app = facts.app
    if not app.there or app.kind != "postgres":
        return
    still = (
        ("the app that runs was started with another one, and works until its next start",)
        if app.healthy and app.running_url not in (None, app.url)
        else ()
    )
    edit = f"in {options.env_file}; then cd {options.project} && docker compose up -d {options.service}"
    for flaw in address.flaws(app.url):
        cause = {
            "url": "DATABASE_URL is no address that the app can use",
            "url_encoding": "the password in DATABASE_URL is not percent-encoded",
            "host": "the host in DATABASE_URL is wrong",
        }[flaw.name]
        yield Finding(
            flaw.name, cause, (flaw.evidence, f"where: DATABASE_URL in {options.env_file}", *still), fix="env_url",
            by_hand=f"correct DATABASE_URL {edit}",
        )  # fmt: skip
        return
    parts = address.split(app.url)
    if parts.port not in ("", "5432") and parts.host in known(facts):
        yield Finding(
            "app_port",
            f"DATABASE_URL says port {parts.port}: on the network the server has 5432, whatever is published",
            (address.masked(app.url), *still), fix="env_url", by_hand=f"correct DATABASE_URL {edit}",
        )  # fmt: skip


def roles(facts: Facts, options: Options, crossed: Crosseds) -> Findings:
    server, app = facts.server, facts.app
    if not server.databases:
        return
    names = {row["name"] for row in server.databases}
    for what, name, there in (("role", options.user, options.user in server.roles),
                              ("database", options.database, options.database in names)):  # fmt: skip
        if not there:
            others = sorted(names if what == "database" else server.roles)
            yield Finding(
                what, f"the server has no {what} {name}", (f"it has: {', '.join(others)}",), fix="database",
                command="", by_hand="db_backup restore latest --replace" if what == "database" else "",
                because=("role",) if what == "database" else (),
            )  # fmt: skip
    if app.kind != "postgres" or facts.host_resolves or any(address.flaws(app.url)):
        return
    parts = address.split(app.url)
    for what, name, ours, there in (
        ("role", parts.user, options.user, parts.user in server.roles),
        ("database", parts.database, options.database, parts.database in names),
    ):
        if not there and name != ours:
            yield Finding(
                what, f"DATABASE_URL names the {what} {name}, which the server has not",
                (address.masked(app.url), f"the app's is {ours}"), fix="env_url",
            )  # fmt: skip


def password(facts: Facts, options: Options, crossed: Crosseds) -> Findings:
    server = facts.server
    refused = [
        f"{place}: {said}"
        for place, said in (
            (f"with the one in {options.env_file}", server.login_app),
            (f"with the one in {options.secrets}/password", server.login_secret),
        )
        if said
    ]
    if not refused:
        return
    if server.login_secret == "" and not server.same_secret:
        yield Finding(
            "password", "the app's env file has another password than the server",
            (*refused, f"with the one in {options.secrets}/password the door opens"), fix="env_url",
        )  # fmt: skip
    else:
        opens = (
            ("with the one in the app's env file the door opens",) if server.login_app == "" else ()
        )
        yield Finding(
            "password", "the server does not know the password that is kept for it", (*refused, *opens), fix="password",
        )  # fmt: skip


def app(facts: Facts, options: Options, crossed: Crosseds) -> Findings:
    app = facts.app
    if facts.engine or app.absent:
        return
    if not app.there:
        yield Finding(
            "compose", "docker compose can't read the app's project", (app.why[:300],),
            command=f"correct what it names in {options.project}",
            by_hand=f"cd {options.project} && docker compose config --quiet",
        )  # fmt: skip
        return
    because = (*_SERVER, *_WAY, "disk_full") if app.kind == "postgres" else ("disk_full",)
    runs = app.running_url is not None
    if (
        runs
        and (app.running_kind, app.running_url) != (app.kind, app.url)
        and not facts.left.get("env.before")
    ):
        differs = "DB_TYPE" if app.running_kind != app.kind else "DATABASE_URL"
        yield Finding(
            "app_env", "the app runs with other settings than its env file has",
            (f"{differs} was changed in {options.env_file} since the app was started"
             + ("" if app.healthy else f"; it answers {app.health}"),),
            fix="restart_app", by_hand=f"cd {options.project} && docker compose up -d {options.service}",
            because=("url", "url_encoding", "host", "app_port", "password", "role", "database"),
        )  # fmt: skip
    if app.healthy:
        return
    states = ", ".join(
        f"{c['Name'].lstrip('/')} is {c['State']['Status']}, exit code {c['State'].get('ExitCode')}"
        + (f", started again {c['RestartCount']} times" if c.get("RestartCount") else "")
        for c in app.containers
    )
    log = tuple(f"log: {line}" for line in app.log)
    restarting = any(facts.fails_at_its_start(c) for c in app.containers)
    killed = any(c["State"].get("OOMKilled") for c in app.containers)
    if not runs or restarting:
        yield Finding(
            "app_restarting" if restarting else "app_down",
            "the app fails at its start, again and again" if restarting else "the app does not run",
            (states or "it has no container", *log),
            fix="" if restarting else "start_app",
            command="mend what its log names; a bad image:"
            " ansible-playbook playbooks/rollback.yml -e rollback_image=previous",
            by_hand=f"cd {options.project} && docker compose up -d {options.service}",
            because=(*because, *(["oom"] if killed else [])),
        )  # fmt: skip
    else:
        yield Finding(
            "app_sick", "the app runs, but is not healthy", (f"{options.health_url}: {app.health[:200]}", *log),
            fix="restart_app", by_hand=f"cd {options.project} && docker compose restart {options.service}",
            because=because,
        )  # fmt: skip
