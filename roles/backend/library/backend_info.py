#!/usr/bin/python
# MIT License, see LICENSE in the project root
"""Which database the app is on, whether it runs and is healthy. Reads only."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: backend_info
short_description: State of one service of a compose project
description:
  - Asks C(docker compose config), the engine and the app's health address in one round trip. Changes nothing.
  - No value of an environment leaves the host but DB_TYPE and DATABASE_URL without its password.
options:
  project_dir: {description: Directory of the compose project., type: path, required: true}
  service: {description: Name of the service., type: str, required: true}
  files: {description: Compose files, when compose does not find them itself., type: list, elements: path, default: []}
  env_files: {description: Files for C(--env-file), when not C(.env)., type: list, elements: path, default: []}
  env_file: {description: The file that holds DB_TYPE and DATABASE_URL., type: path, required: true}
  url: {description: Health address of the app., type: str, required: true}
  wait: {description: Seconds to wait until it is healthy; 0 asks once and does not fail for it., type: int, default: 0}
  required: {description: Fail when there is no such service; else say so in C(defined)., type: bool, default: true}
author: [The brainer-db authors]
"""

EXAMPLES = r"""
- name: Which database is the app on?
  backend_info:
    project_dir: /opt/brainer
    service: backend
    env_file: /opt/brainer/.env
    url: http://127.0.0.1:8000/health
  register: answer
"""

RETURN = r"""
state:
  description: See "What state knows" in the role's README.
  returned: always
  type: dict
"""

import os
from typing import Any

from ansible.module_utils.basic import AnsibleModule

try:
    from ansible.module_utils import backend_compose as compose
except ImportError:  # installed as a collection
    from ansible_collections.brainer_db.postgres.plugins.module_utils import (
        backend_compose as compose,
    )


def state(service: compose.Service, env_file: str, url: str, wait: int) -> dict[str, Any]:
    """Everything a play decides on."""
    configured = service.environment  # first, so that a project that cannot be read is told at once
    answer = service.wait_healthy(url, wait) if wait else compose.ask(url)
    containers = service.containers()
    active = [item for item in containers if item.state in compose.ACTIVE and not item.oneoff]
    running = [item for item in active if item.state == "running"]
    # A running container has what it was started with; only the next one gets what the files say now.
    used = active[0].env if active else configured
    unwired = service.unwired(env_file)
    now = service.config_hash()
    return {
        "defined": True,
        "project": service.project,
        "project_dir": service.directory,
        "service": service.name,
        "image": service.image,
        "env_file": env_file,
        "env_file_exists": os.path.exists(env_file),
        "db_type": compose.db_type(used.get("DB_TYPE", "")),
        "database_url": compose.masked(used.get("DATABASE_URL", "")),
        "configured_db_type": compose.db_type(configured.get("DB_TYPE", "")),
        "running": bool(running),
        "active": bool(active),
        "healthy": bool(running) and answer.ok,
        "health": service.hide(answer.text),
        "health_url": answer.url,
        "health_database": answer.database,
        "containers": [item.public() for item in containers if not item.oneoff],
        "others": [
            item.name for item in containers if item.oneoff and item.state in compose.ACTIVE
        ],
        "pending_changes": bool(now) and any(item.config_hash != now for item in active),
        "switchable": not unwired,
        "unwired": unwired,
    }


def configured(service: compose.Service) -> dict[str, Any]:
    """What the files say, for which no engine is needed; nothing when they can't be read either."""
    try:
        kind = compose.db_type(service.environment.get("DB_TYPE", ""))
        return {"configured_db_type": kind, "image": service.image}
    except compose.Problem:
        return {}


def main() -> None:
    """Entry point."""
    module = AnsibleModule(
        argument_spec={
            **compose.COMPOSE_OPTIONS,
            "env_file": {"type": "path", "required": True},
            "url": {"type": "str", "required": True},
            "wait": {"type": "int", "default": 0},
            "required": {"type": "bool", "default": True},
        },
        supports_check_mode=True,
    )
    params = module.params
    service = compose.Service(module)
    try:
        found = state(service, params["env_file"], params["url"], params["wait"])
    except compose.Problem as problem:
        if params["required"] or params["wait"]:
            module.fail_json(msg=str(problem))
        found = {
            "defined": False,
            "reason": str(problem),
            "running": False,
            "active": False,
            "healthy": False,
            **configured(service),
        }
    module.exit_json(changed=False, state=found)


if __name__ == "__main__":
    main()
