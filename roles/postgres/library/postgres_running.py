#!/usr/bin/python
# MIT License, see LICENSE in the project root
"""What the running server says of its settings, after it has read the files."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: postgres_running
short_description: Asks the running server for its settings; has it read files that are newer than what it read
description:
  - The server compares, not we. It knows which file each value came from, what waits for a restart, and what is wrong.
options:
  container: {type: str, required: true, description: Name of the server's container.}
  directory: {type: path, required: true, description: The directory on the host that it has as /etc/postgresql.}
author: [The brainer-db authors]
"""

EXAMPLES = r"""
- name: Ask
  postgres_running:
    container: brainer-postgres
    directory: /opt/brainer-db/postgres/etc
  register: running
"""

RETURN = r"""
changed: {type: bool, returned: always, description: The server was told to read its files again.}
values: {type: dict, returned: always, description: Running values of what the files set.}
pending: {type: list, elements: str, returned: always, description: Settings that wait for a restart.}
refused: {type: list, elements: str, returned: always, description: What the server says against lines of the files.}
overruled: {type: list, elements: str, returned: always, description: Lines that something else has overruled.}
"""

import json
import time
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

_QUERY = """
SELECT json_build_object(
  'loaded', extract(epoch FROM pg_conf_load_time()),
  'pending', (SELECT coalesce(json_agg(name ORDER BY name), '[]') FROM pg_settings WHERE pending_restart),
  'lines', (SELECT coalesce(json_agg(json_build_object(
      'name', f.name, 'wanted', f.setting, 'file', f.sourcefile, 'line', f.sourceline, 'error', f.error,
      'known', s.name IS NOT NULL, 'is', current_setting(f.name, true), 'source', s.source, 'from', s.sourcefile,
      'pending', s.pending_restart) ORDER BY f.seqno), '[]')
    FROM (SELECT * FROM pg_file_settings ORDER BY seqno) f LEFT JOIN pg_settings s ON lower(s.name) = lower(f.name)
    WHERE f.sourcefile LIKE '/etc/postgresql/%'))
"""
_RELOAD_S = 10


class Server:
    """The server in its container, by its socket: no password, and no Python library on the host."""

    def __init__(self, module: AnsibleModule, container: str) -> None:
        self.module, self.container = module, container

    def sql(self, statement: str) -> str:
        command = ["docker", "exec", "--user", "postgres", self.container]
        command += ["psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-U", "postgres", "-d", "postgres"]
        status, output, errors = self.module.run_command([*command, "-c", statement])
        if status:
            self.module.fail_json(msg=f"The server does not answer: {errors.strip()}")
        return str(output)

    def ask(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.sql(_QUERY))
        return found

    def reload(self, before: float) -> dict[str, Any]:
        """Its answer once it has read the files; the reload itself does not wait for that."""
        self.sql("SELECT pg_reload_conf()")
        deadline = time.monotonic() + _RELOAD_S
        while True:
            found = self.ask()
            if found["loaded"] > before or time.monotonic() > deadline:
                return found
            time.sleep(0.1)


def newest(directory: Path) -> float:
    """When the files, or the list of them, last changed."""
    places = [directory / "postgresql.conf", directory / "conf.d", *directory.glob("conf.d/*.conf")]
    return max((place.stat().st_mtime for place in places if place.exists()), default=0.0)


def overruled(line: dict[str, Any]) -> str:
    """Why the server does not have the value of this line; empty if it has it."""
    if line["pending"] or line["error"] or not line["known"] or line["from"] == line["file"]:
        return ""
    text = f"{line['name']} is {line['is']}, not {line['wanted']}: "
    if str(line["from"]).endswith("/postgresql.auto.conf"):
        return text + f"ALTER SYSTEM says so. To undo that: ALTER SYSTEM RESET {line['name']}"
    return text + f"{line['from'] or line['source']} says so"


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "container": {"type": "str", "required": True},
            "directory": {"type": "path", "required": True},
        },
        supports_check_mode=True,
    )
    server = Server(module, module.params["container"])
    found = server.ask()
    stale = newest(Path(module.params["directory"])) > found["loaded"]
    if stale and not module.check_mode:
        found = server.reload(found["loaded"])
    waiting = set(found["pending"])
    last = {line["name"]: line for line in found["lines"]}
    module.exit_json(
        changed=stale,
        values={name: line["is"] for name, line in last.items()},
        pending=found["pending"],
        refused=[
            f"{line['name'] or line['file']} = {line['wanted']}: {line['error'] or 'no such setting'}"
            for line in found["lines"]
            if line["name"] not in waiting and (line["error"] or not line["known"])
        ],
        overruled=[text for text in map(overruled, last.values()) if text],
    )


if __name__ == "__main__":
    main()
