#!/usr/bin/python
# MIT License, see LICENSE in the project root
"""Which images the app ran on, and the way back to one of them."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: backend_image
short_description: Remember the images of a compose service, and give its name to an earlier one
description:
  - C(record) notes the image that the service's container runs, if it is another one than the last, and gives it a tag
    C(kept-...) of its own, so that the next build doesn't leave it without a name. The newest C(keep) stay.
  - C(put) gives the service's image name to another image; the next start makes a new container from it.
options:
  project_dir: {description: Directory of the compose project., type: path, required: true}
  service: {description: Name of the service., type: str, required: true}
  files: {description: Compose files, when compose does not find them itself., type: list, elements: path, default: []}
  env_files: {description: Files for C(--env-file), when not C(.env)., type: list, elements: path, default: []}
  record: {description: The file that remembers., type: path, required: true}
  action: {description: What to do., type: str, choices: [record, put], required: true}
  image: {description: For C(put), a name, a tag of the same name, an id, or C(previous)., type: str, default: previous}
  keep: {description: How many images keep a tag., type: int, default: 3}
author: [The brainer-db authors]
"""

import json
import os
from datetime import datetime, timezone
from typing import Any

from ansible.module_utils.basic import AnsibleModule

try:
    from ansible.module_utils import backend_compose as compose
except ImportError:  # installed as a collection
    from ansible_collections.brainer_db.postgres.plugins.module_utils import (
        backend_compose as compose,
    )


def main() -> None:
    """Entry point."""
    module = AnsibleModule(
        argument_spec={
            **compose.COMPOSE_OPTIONS,
            "record": {"type": "path", "required": True},
            "action": {"type": "str", "choices": ["record", "put"], "required": True},
            "image": {"type": "str", "default": "previous"},
            "keep": {"type": "int", "default": 3},
        },
        supports_check_mode=True,
    )
    words = module.params
    service = compose.Service(module)
    try:
        if words["action"] == "record":
            answer = record(service, words["record"], words["keep"], module.check_mode)
        else:
            answer = put(service, words["record"], words["image"], module.check_mode)
    except compose.Problem as problem:
        module.fail_json(msg=str(problem))
    module.exit_json(**answer)


def record(service: compose.Service, path: str, keep: int, dry: bool) -> dict[str, Any]:
    """Note what runs now. Not a change of the host that an operator would want to hear of."""
    running = [
        item for item in service.containers() if item.state in compose.ACTIVE and not item.oneoff
    ]
    known = read(path)
    if not running or dry:
        return {"changed": False, "images": known}
    identity = image_of(service, running[0].id, "container", "{{.Image}}")
    if known and known[-1]["id"] == identity:
        return {"changed": False, "images": known}
    at = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    entry = {
        "at": at,
        "name": running[0].image,
        "id": identity,
        "kept": kept_name(service, identity),
    }
    # an image that ran twice is remembered once
    known = [item for item in known if item["id"] != identity] + [entry]
    service.docker("docker", "tag", identity, entry["kept"])
    for old in known[:-keep]:
        service.docker("docker", "rmi", "--no-prune", old["kept"])
    known = known[-keep:]
    write(path, known)
    return {"changed": False, "images": known}


def put(service: compose.Service, path: str, wanted: str, dry: bool) -> dict[str, Any]:
    """Give the service's name to another image."""
    name = service.image
    if "@" in name:
        raise compose.Problem(
            "The compose file names the image by its digest, so no other one can have that name.",
            f"{service.directory}: {name}",
            "write the other image into the compose file, then docker compose up -d",
        )
    now = image_of(service, name, "image", "{{.Id}}")
    if wanted == "previous":
        earlier = [item for item in read(path) if item["id"] != now]
        if not earlier:
            raise compose.Problem(
                "No image is remembered that ran before the present one.",
                path,
                "name one: -e rollback_image=NAME:TAG; docker images lists what is on the server",
            )
        wanted = earlier[-1]["id"]
    identity = ""
    for candidate in (wanted, f"{name.rpartition(':')[0] or name}:{wanted}"):
        identity = image_of(service, candidate, "image", "{{.Id}}")
        if identity:
            break
    if not identity:
        raise compose.Problem(
            f"There is no image {wanted} on this server.", "docker images", f"docker pull {wanted}"
        )
    if identity != now and not dry:
        if now:
            service.docker("docker", "tag", now, kept_name(service, now))
        code, _, err = service.docker("docker", "tag", identity, name)
        if code:
            raise compose.Problem(
                f"The image can't be named {name}.", err.strip()[-300:], "docker images"
            )
    return {"changed": identity != now, "image": identity, "before": now, "name": name}


def kept_name(service: compose.Service, identity: str) -> str:
    """A name of its own for an image."""
    name = service.image.partition("@")[0]
    head, colon, tag = name.rpartition(":")
    repository = head if colon and "/" not in tag else name
    return f"{repository}:kept-{identity.removeprefix('sha256:')[:12]}"


def image_of(service: compose.Service, what: str, kind: str, form: str) -> str:
    """The id of an image; empty when there is none."""
    code, out, _ = service.docker("docker", kind, "inspect", "--format", form, what)
    return out.strip() if code == 0 else ""


def read(path: str) -> list[dict[str, str]]:
    """What is remembered, the oldest first."""
    try:
        with open(path, encoding="utf-8") as file:
            found = json.load(file)
    except (OSError, ValueError):
        return []
    return found if isinstance(found, list) else []


def write(path: str, known: list[dict[str, str]]) -> None:
    """By one rename."""
    os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
    part = f"{path}.part"
    with open(part, "w", encoding="utf-8") as file:
        json.dump(known, file, indent=2)
        file.flush()
        os.fsync(file.fileno())
    os.replace(part, path)


if __name__ == "__main__":
    main()
