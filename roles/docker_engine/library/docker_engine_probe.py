#!/usr/bin/python3
# Copyright (c) 2026 The Brainer database migration authors. MIT licence, see LICENSE.
"""What of Docker is on this host, in one round trip instead of one for each question."""

DOCUMENTATION = """
module: docker_engine_probe
short_description: Say what of Docker is on this host, change nothing
description: Asks the engine, its client and plugins, and reads the engine's settings file.
options: {}
author: [The Brainer database migration authors]
"""

EXAMPLES = """
- name: What is there already
  docker_engine_probe:
  register: found
"""

RETURN = """
dockerd: {description: path of the engine's program or null, type: str, returned: always}
running: {description: version of the engine that answers or null, type: str, returned: always}
swarm: {description: whether the engine is part of a swarm, type: bool, returned: always}
compose: {description: version of the compose v2 plugin or null, type: str, returned: always}
validate: {description: whether dockerd can check a settings file, type: bool, returned: always}
docker_ce: {description: whether the engine is docker.com's package, type: bool, returned: always}
requests: {description: whether the Docker modules find python3-requests, type: bool, returned: always}
settings: {description: content of daemon.json or null if not a JSON object, type: dict, returned: always}
"""

import importlib.util
import json
import shutil
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

SETTINGS = Path("/etc/docker/daemon.json")


def read_settings():
    if not SETTINGS.exists():
        return {}
    try:
        settings = json.loads(SETTINGS.read_text() or "{}")
    except ValueError:
        return None
    return settings if isinstance(settings, dict) else None


def main():
    module = AnsibleModule(argument_spec={}, supports_check_mode=True)

    def ask(*command):
        """The command's output, or None when it is not there or fails."""
        if not shutil.which(command[0]):
            return None
        status, output, _errors = module.run_command(list(command))
        return output.strip() or None if status == 0 else None

    dockerd = shutil.which("dockerd")
    answer = ask("docker", "info", "--format", "{{ .ServerVersion }} {{ .Swarm.LocalNodeState }}")
    version, _, swarm = (answer or "").partition(" ")
    module.exit_json(
        changed=False,
        dockerd=dockerd,
        running=version or None,
        swarm=swarm not in ("", "inactive"),
        compose=ask("docker", "compose", "version", "--short"),
        # older engines have no such option
        validate=bool(dockerd) and "--validate" in (ask(dockerd, "--help") or ""),
        docker_ce="installed" in (ask("dpkg-query", "-W", "-f", "${Status}", "docker-ce") or ""),
        requests=importlib.util.find_spec("requests") is not None,
        settings=read_settings(),
    )


if __name__ == "__main__":
    main()
