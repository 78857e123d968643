#!/usr/bin/python
# MIT License, see LICENSE in the project root
"""What an upgrade has to know of the server, its disk, and an upgrade that was cut short."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: upgrade_look
short_description: Asks the server what it holds, and the disk whether a second copy fits
description:
  - Changes nothing. A server that does not answer is an answer.
options:
  container: {type: str, required: true, description: Name of the server's container.}
  disk: {type: path, required: true, description: A directory on the server's disk.}
  backup_dir: {type: path, required: true, description: Where the dumps go.}
  floor_mb: {type: int, required: true, description: MiB that stay free.}
  marker: {type: path, required: true, description: The file that is there while an upgrade is under way.}
author: [The brainer-db authors]
"""

EXAMPLES = r"""
- name: Look
  upgrade_look:
    container: brainer-postgres
    disk: /var/lib/docker
    backup_dir: /opt/brainer/backups
    floor_mb: 512
    marker: /opt/brainer-db/postgres/upgrade.json
  register: look
"""

RETURN = r"""
answers: {type: bool, returned: always, description: Whether the server answers.}
reason: {type: str, returned: always, description: Why not.}
image: {type: dict, returned: always, description: "name and id of the container's image; empty without one"}
server: {type: dict, returned: when it answers, description: "version, major, databases, what is not carried"}
need_mb: {type: int, returned: always, description: MiB that an upgrade takes on the disk until it is confirmed.}
free_mb: {type: int, returned: always, description: MiB that are free there.}
marker: {type: dict, returned: always, description: What was cut short; else empty.}
"""

import json
import os
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

#: A new cluster and its log of changes, as role postgres limits that.
_CLUSTER_MB = 64 + 256

_QUERY = """
SELECT json_build_object(
  'version', current_setting('server_version'),
  'major', current_setting('server_version_num')::int / 10000,
  'databases', (SELECT json_agg(json_build_object('name', datname, 'bytes', pg_database_size(oid)) ORDER BY datname)
                FROM pg_database WHERE datallowconn AND NOT datistemplate AND datname <> 'postgres'),
  'closed', (SELECT coalesce(json_agg(datname ORDER BY datname), '[]') FROM pg_database
             WHERE NOT datallowconn AND datname <> 'template0'),
  'tablespaces', (SELECT coalesce(json_agg(spcname), '[]') FROM pg_tablespace WHERE spcname !~ '^pg_'),
  'prepared', (SELECT count(*) FROM pg_prepared_xacts),
  'altered', (SELECT coalesce(json_agg(name || ' = ' || setting), '[]') FROM pg_file_settings
              WHERE sourcefile LIKE '%/postgresql.auto.conf'),
  'strays', (SELECT coalesce(json_agg(format('%s.%s', n.nspname, c.relname)), '[]')
             FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
             WHERE c.relkind IN ('r', 'p', 'm') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
             AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass
                             AND d.objid = c.oid AND d.deptype = 'e')))
"""


def ask(module: AnsibleModule, container: str) -> tuple[dict[str, Any], str]:
    """What the server says, by its socket: no password; or why it doesn't."""
    if module.get_bin_path("docker") is None:
        return {}, "there is no docker command"
    command = ["docker", "exec", "--user", "postgres", container, "psql", "-XAtq"]
    command += ["-v", "ON_ERROR_STOP=1", "-U", "postgres", "-d", "postgres", "-c", _QUERY]
    status, output, errors = module.run_command(command)
    if status:
        return {}, " ".join(errors.split())
    found: dict[str, Any] = json.loads(output)
    found["databases"] = found["databases"] or []
    return found, ""


def image(module: AnsibleModule, container: str) -> dict[str, str]:
    """Of what the container was made."""
    if module.get_bin_path("docker") is None:
        return {}
    form = "{{json .Config.Image}} {{json .Image}}"
    status, output, _ = module.run_command(
        ["docker", "container", "inspect", "--format", form, container]
    )
    if status:
        return {}
    name, identity = (json.loads(word) for word in output.split())
    return {"name": name, "id": identity}


def there(path: Path) -> Path:
    """The path, or what of it exists."""
    while not path.exists():
        path = path.parent
    return path


def main() -> None:
    """Look."""
    module = AnsibleModule(
        argument_spec={
            "container": {"type": "str", "required": True},
            "disk": {"type": "path", "required": True},
            "backup_dir": {"type": "path", "required": True},
            "floor_mb": {"type": "int", "required": True},
            "marker": {"type": "path", "required": True},
        },
        supports_check_mode=True,
    )
    words = module.params
    server, reason = ask(module, words["container"])
    disk, sets = there(Path(words["disk"])), there(Path(words["backup_dir"]))
    mb = sum(database["bytes"] for database in server.get("databases", [])) >> 20
    need = mb * 6 // 5 + _CLUSTER_MB
    if disk.stat().st_dev == sets.stat().st_dev:
        need += mb * 2 // 3  # a dump is a third, and there are two
    space = os.statvfs(disk)
    marker = Path(words["marker"])
    module.exit_json(
        changed=False,
        answers=bool(server),
        reason=reason,
        image=image(module, words["container"]),
        server=server,
        need_mb=need,
        floor_mb=words["floor_mb"],
        free_mb=(space.f_bavail * space.f_frsize) >> 20,
        marker=json.loads(marker.read_text(encoding="utf-8")) if marker.exists() else {},
    )


if __name__ == "__main__":
    main()
