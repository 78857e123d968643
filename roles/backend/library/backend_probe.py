#!/usr/bin/python
# MIT License, see LICENSE in the project root
"""A second, throw-away container of the app's service, for asking the API where no user can."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: backend_probe
short_description: Start or remove a throw-away second container of a compose service
description:
  - Takes the service as compose resolves it and starts it once more in a compose project of its own,
    so that no command here can reach the operator's containers.
  - The copy has the service's image, volumes, networks, user and environment. It has no published port, no restart
    policy, no labels (a reverse proxy that reads labels would send it users) and not the service's name on the
    network (nor its aliases), so only this host finds it, by its address.
  - The definition goes to compose through its standard input. A secret touches no file and no command line.
options:
  project_dir: {description: Directory of the compose project., type: path, required: true}
  service: {description: Name of the service., type: str, required: true}
  files: {description: Compose files, when compose does not find them itself., type: list, elements: path, default: []}
  env_files: {description: Files for C(--env-file), when not C(.env)., type: list, elements: path, default: []}
  state: {description: Whether the probe is to be there., type: str, choices: [present, absent], default: present}
  db_type: {description: DB_TYPE for the probe; empty is what the service has., type: str, default: ''}
  database_url: {description: DATABASE_URL for the probe; empty is what the service has., type: str, default: ''}
  mounts:
    description: >-
      Directories of this host by what shall stand in for them, so that the probe works on a copy of the app's files.
      A directory that the service does not mount is an error, for then the probe would write to the app's own.
    type: dict
    default: {}
  url: {description: The app's address on this host, to find its port in the container., type: str, required: true}
  port: {description: Port in the container; 0 finds it., type: int, default: 0}
  health_path: {description: Path that answers 200 when the app is well., type: str, default: /health}
  image: {description: Its image; empty is the service's., type: str, default: ''}
  timeout: {description: Seconds to wait for the probe to be healthy., type: int, default: 60}
author: [The brainer-db authors]
"""

EXAMPLES = r"""
- name: Ask the API on SQLite while users are kept out
  backend_probe:
    project_dir: /opt/brainer
    service: backend
    db_type: sqlite
    url: http://127.0.0.1:8000
  register: probe
"""

RETURN = r"""
url:
  description: Where the probe answers, as seen from this host. Empty in check mode.
  returned: when present
  type: str
container:
  description: Name of its container.
  returned: always
  type: str
"""

import json
import os
from typing import Any
from urllib.parse import urlsplit

from ansible.module_utils.basic import AnsibleModule

try:
    from ansible.module_utils import backend_compose as compose
except ImportError:  # installed as a collection
    from ansible_collections.brainer_db.postgres.plugins.module_utils import (
        backend_compose as compose,
    )

# What would make the probe visible, or tie it to another container
DROPPED = (
    "build", "container_name", "depends_on", "external_links", "extends", "hostname", "labels", "links",
    "mac_address", "ports", "profiles", "scale",
)  # fmt: skip


def definition(
    service: compose.Service, environment: dict[str, str], mounts: dict[str, str]
) -> dict[str, Any]:
    """A compose project that holds only the probe; networks and volumes are the operator's, by name."""
    probe = {key: value for key, value in service.definition.items() if key not in DROPPED}
    given = {key: value.replace("$", "$$") for key, value in environment.items() if value}
    probe["environment"] = {**(probe.get("environment") or {}), **given}
    wanted = service.module.params["image"] or service.image
    probe |= {"image": wanted, "container_name": container_name(service), "restart": "no"}
    probe["pull_policy"] = (
        "never"  # the image the app runs on, never a newer one or a stranger's of that name
    )
    if mounts:
        probe["volumes"] = _instead(service, probe.get("volumes") or [], mounts)
    if probe.get("networks"):
        probe["networks"] = dict.fromkeys(probe["networks"])  # no alias, no fixed address
    if resources := (probe.pop("deploy", None) or {}).get("resources"):
        probe["deploy"] = {"resources": resources}
    theirs: dict[str, Any] = {"services": {"probe": probe}}
    for kind, users in (
        ("networks", set(probe.get("networks") or {})),
        ("volumes", _volumes(probe)),
    ):
        known = service.config.get(kind) or {}
        theirs[kind] = {
            name: {"name": known[name]["name"], "external": True} for name in users if name in known
        }
    for kind in ("secrets", "configs"):
        if service.config.get(kind):
            theirs[kind] = service.config[kind]
    return theirs


def _instead(
    service: compose.Service, volumes: list[dict[str, Any]], mounts: dict[str, str]
) -> list[dict[str, Any]]:
    """The service's mounts, some of them of other directories of this host."""
    left = {os.path.realpath(path): other for path, other in mounts.items()}
    found = []
    for item in volumes:
        source = os.path.realpath(item.get("source") or "") if item["type"] == "bind" else ""
        found.append({**item, "source": left.pop(source)} if source in left else item)
    if left:
        raise compose.Problem(
            f"The service does not mount {', '.join(sorted(left))}, so a copy can't stand in for it.",
            f"service {service.name} in {service.directory}",
            "mount the directory of the SQLite file itself, as in ./data:/app/data",
        )
    return found


def _volumes(probe: dict[str, Any]) -> set[str]:
    return {
        item["source"]
        for item in probe.get("volumes") or []
        if item["type"] == "volume" and item.get("source")
    }


def container_name(service: compose.Service) -> str:
    """Also the name of the probe's own compose project."""
    return f"{service.project}-probe"


def target_port(service: compose.Service, url: str, wanted: int) -> int:
    """The port in the container behind the address that the app has on this host."""
    if wanted:
        return wanted
    parts = urlsplit(url)
    published = str(parts.port or (443 if parts.scheme == "https" else 80))
    ports = service.definition.get("ports") or []
    for port in ports:
        if str(port.get("published")) == published:
            return int(port["target"])
    exposed = {int(port["target"]) for port in ports} or {
        int(str(port).partition("/")[0]) for port in service.definition.get("expose") or []
    }
    if len(exposed) == 1:
        return exposed.pop()
    raise compose.Problem(
        f"The port of the app in its container cannot be told: nothing is published as {published}.",
        f"service {service.name} in {service.directory}",
        "set backend_probe_port to the port the app listens on in its container",
    )


def existing(service: compose.Service) -> list[compose.Container]:
    """The probe, wherever a killed run left it."""
    return service.containers(container_name(service), "probe")


def remove(service: compose.Service) -> bool:
    """Remove the probe; True when there was one."""
    found = existing(service)
    for item in found:
        # SIGTERM first: the app may have the database open
        service.docker("docker", "stop", "--time", "10", item.id)
        code, _, err = service.docker("docker", "rm", "--force", "--volumes", item.id)
        if code and "No such container" not in err:
            raise compose.Problem(
                "The probe container cannot be removed.",
                err.strip()[-300:],
                f"docker rm --force {item.name}",
            )
    return bool(found)


def start(
    service: compose.Service,
    environment: dict[str, str],
    mounts: dict[str, str],
    port: int,
    path: str,
    timeout: int,
) -> tuple[str, bool]:
    """Start the probe and wait until it answers; its address, and whether it is a new container."""
    project = container_name(service)
    before = {item.id for item in existing(service) if item.state == "running"}
    code, _, err = service.docker(
        "docker", "compose", "--project-directory", service.directory, "--project-name", project, "--file", "-",
        "up", "--detach", "--no-build", "--quiet-pull", "probe",
        data=json.dumps(definition(service, environment, mounts)),
    )  # fmt: skip
    try:
        if code:
            raise compose.Problem(
                "The probe container does not start.",
                f"container {project}",
                f"cd {service.directory} && docker compose create {service.name}",
                more=f"  {service.hide(err.strip(), environment['DATABASE_URL'])[-800:]}",
            )
        url = address(service, port)
        service.wait_healthy(f"{url}{path}", timeout, project, "probe")
    except compose.Problem as problem:
        remove(service)
        problem.more = service.hide(problem.more, environment["DATABASE_URL"])
        if problem.following.startswith("docker logs"):
            problem.what = f"The probe, a second container of the app, failed. {problem.what}"
            problem.following = (
                f"cd {service.directory} && docker compose logs --tail 100 {service.name}"
            )
        raise
    return url, {item.id for item in existing(service)} != before


def address(service: compose.Service, port: int) -> str:
    """Where this host reaches the probe. A container on the host's own network has no address of its own."""
    found = existing(service)
    addresses = [address for item in found for address in item.addresses]
    host = addresses[0] if addresses else "127.0.0.1"
    return f"http://{host}:{port}"


def main() -> None:
    """Entry point."""
    module = AnsibleModule(
        argument_spec={
            **compose.COMPOSE_OPTIONS,
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "db_type": {"type": "str", "default": ""},
            "database_url": {"type": "str", "default": "", "no_log": True},
            "mounts": {"type": "dict", "default": {}},
            "url": {"type": "str", "required": True},
            "port": {"type": "int", "default": 0},
            "health_path": {"type": "str", "default": "/health"},
            "image": {"type": "str", "default": ""},
            "timeout": {"type": "int", "default": 60},
        },
        supports_check_mode=True,
    )
    params = module.params
    service = compose.Service(module)
    environment = {"DB_TYPE": params["db_type"], "DATABASE_URL": params["database_url"]}
    try:
        name = container_name(service)
        if params["state"] == "absent":
            changed = bool(existing(service)) if module.check_mode else remove(service)
            module.exit_json(changed=changed, container=name)
        port = target_port(service, params["url"], params["port"])
        if module.check_mode:
            module.exit_json(changed=not existing(service), container=name, url="")
        url, changed = start(
            service, environment, params["mounts"], port, params["health_path"], params["timeout"]
        )
    except compose.Problem as problem:
        module.fail_json(msg=str(problem))
    module.exit_json(changed=changed, container=name, url=url)


if __name__ == "__main__":
    main()
