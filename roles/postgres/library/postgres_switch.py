#!/usr/bin/python
# MIT License, see LICENSE in the project root
"""The server changes volumes, and back: containers are renamed, a record says which volume counts."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: postgres_switch
short_description: Puts a server away, publishes another volume, brings the former one back, or forgets it
description:
  - Each action may be repeated after a kill at any point, and then does what is left of it.
options:
  container: {type: str, required: true, description: Name of the server's container.}
  volume: {type: str, required: true, description: Name of the first data volume.}
  directory: {type: path, required: true, description: "Directory of settings, secrets and the record."}
  action:
    description:
      - C(look) changes nothing. C(make) makes an empty volume that nobody uses yet, C(unmake) removes that.
      - C(away) stops and renames, C(publish) writes the record, C(back) undoes both and leaves the new volume,
        which C(drop) removes. C(forget) removes what was put away.
    type: str
    required: true
    choices: [look, make, unmake, away, publish, back, drop, forget]
  place: {type: dict, default: {}, description: "The new side: volume, settings; publish: image, major."}
  former: {type: dict, default: {}, description: "publish: image and major of the former side."}
  stop_timeout: {type: int, default: 60, description: Seconds a clean stop may take.}
author: [The brainer-db authors]
"""

EXAMPLES = r"""
- name: Which volume counts, and what is kept?
  postgres_switch:
    container: brainer-postgres
    volume: brainer-postgres-data
    directory: /opt/brainer-db/postgres
    action: look
  register: found
"""

RETURN = r"""
now: {type: dict, returned: always, description: "volume and settings that count; image, major of an upgrade."}
former: {type: dict, returned: always, description: "What was put away: the same words and its container."}
kept: {type: bool, returned: always, description: Whether the former container and its volume are there.}
taken:
  description: Whether a volume of the name in C(place) is there that C(make) did not make, or that was published since.
  type: bool
  returned: always
"""

import json
import os
import shutil
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule


class Switch:
    """One server, which may have another one that was put away."""

    def __init__(self, module: AnsibleModule) -> None:
        self.module = module
        self.words: dict[str, Any] = module.params
        self.name = str(self.words["container"])
        self.away_name = f"{self.name}-before"
        self.directory = Path(self.words["directory"])
        self.record = self.directory / "volume.json"
        self.note = self.directory / "made.json"
        self.changed = False

    # --- the record ---------------------------------------------------------------------------

    def read(self) -> dict[str, Any]:
        """What counts now; without an upgrade the first volume."""
        try:
            found = json.loads(self.record.read_text(encoding="utf-8"))
        except FileNotFoundError:
            found = {}
        if found.get("of") != self.words["volume"]:
            found = {"of": self.words["volume"], "volume": self.words["volume"], "settings": "etc"}
        return dict(found)

    def made(self) -> dict[str, Any]:
        """The place that was made, as long as it was never published."""
        try:
            return dict(json.loads(self.note.read_text(encoding="utf-8")))
        except FileNotFoundError:
            return {}

    def write(self, found: dict[str, Any], into: Path | None = None) -> None:
        """Aside, to the disk, then in its place."""
        into = into or self.record
        aside = into.with_name(f"{into.name}.part")
        with aside.open("w", encoding="utf-8") as file:
            file.write(json.dumps(found, indent=1) + "\n")
            file.flush()
            os.fsync(file.fileno())
        os.replace(aside, into)
        handle = os.open(self.directory, os.O_RDONLY)
        os.fsync(handle)
        os.close(handle)
        self.changed = True

    # --- the engine ---------------------------------------------------------------------------

    def docker(self, *words: str) -> str:
        """A command that changes something."""
        status, output, errors = self.module.run_command(["docker", *words])
        if status:
            self.module.fail_json(msg=f"docker {' '.join(words)}: {errors.strip()}")
        self.changed = True
        return str(output)

    def inspect(self, kind: str, name: str) -> dict[str, Any]:
        """What is there of that name; empty if nothing is, or no engine was ever installed."""
        if self.module.get_bin_path("docker") is None:
            return {}
        status, output, errors = self.module.run_command(["docker", kind, "inspect", name])
        if status and "no such" not in errors.lower():
            self.module.fail_json(msg=f"docker {kind} inspect {name}: {errors.strip()}")
        found: list[dict[str, Any]] = json.loads(output) if status == 0 else []
        return found[0] if found else {}

    def volumes(self, container: dict[str, Any]) -> list[str]:
        """Names of its volumes."""
        return [str(mount.get("Name", "")) for mount in container.get("Mounts", [])]

    def taken(self) -> bool:
        """Whether what is in the place's volume may be somebody's only copy."""
        volume = str(self.words["place"].get("volume", ""))
        return bool(volume and self.made().get("volume") != volume) and bool(
            self.inspect("volume", volume)
        )

    # --- what is done -------------------------------------------------------------------------

    def make(self) -> None:
        """An empty volume, in place of one that was made and never published; noted before it is there."""
        place = self.words["place"]
        volume = str(place["volume"])
        if self.taken():
            self.module.fail_json(msg=f"the volume {volume} is there already: it is not removed")
        if self.inspect("volume", volume):
            self.docker("volume", "rm", volume)
        self.write({"volume": volume, "settings": str(place["settings"])}, self.note)
        self.docker("volume", "create", volume)

    def unmake(self) -> None:
        """What was made and never published goes."""
        made = self.made()
        if made:
            self.discard(made["volume"], made["settings"])

    def away(self) -> None:
        """The server stops, does not come back by itself, and gives its name free."""
        container = self.inspect("container", self.name)
        if not container:
            return
        self.docker("update", "--restart", "no", self.name)
        if container["State"]["Running"]:
            self.docker("stop", "--time", str(self.words["stop_timeout"]), self.name)
        self.docker("rename", self.name, self.away_name)

    def publish(self) -> None:
        """From here on the new volume counts."""
        # before the record: a volume that may have been published is not taken for one that wasn't
        self.note.unlink(missing_ok=True)
        found = self.read()
        was = {key: value for key, value in found.items() if key != "former"}
        former = {
            **self.words["former"], "volume": was["volume"], "settings": was["settings"],
            "container": self.away_name,
        }  # fmt: skip
        self.write(
            {"of": self.words["volume"], **self.words["place"], "former": former, "was": was}
        )

    def back(self) -> None:
        """The former volume counts, and its server runs under its name again; the new volume stays."""
        found = self.read()
        place = self.words["place"] or found
        new = str(place["volume"])
        container = self.inspect("container", self.name)
        if self.inspect("container", self.away_name):
            if container and new not in self.volumes(container):
                # somebody made another one on the former volume meanwhile: it is as good
                self.docker("rm", self.away_name)
            else:
                if container:
                    self.remove(container)
                container = {}
        elif container and new in self.volumes(container):
            self.module.fail_json(
                msg=f"the container {self.away_name} is gone, so the former server can't be started"
            )
        if found["volume"] == new:
            was = found.get("was") or {}
            if was and was["volume"] != was["of"]:
                self.write(was)
            else:
                self.record.unlink()
        if not container:
            self.docker("rename", self.away_name, self.name)
        self.docker("update", "--restart", "unless-stopped", self.name)
        self.docker("start", self.name)

    def drop(self) -> None:
        """The new side goes."""
        place = self.words["place"]
        self.discard(str(place["volume"]), str(place["settings"]))

    def remove(self, container: dict[str, Any]) -> None:
        """A container, stopped first; its volumes stay."""
        if container["State"]["Running"]:
            self.docker("stop", "--time", str(self.words["stop_timeout"]), container["Id"])
        self.docker("rm", container["Id"])

    def forget(self) -> None:
        """The former side goes for good."""
        found = self.read()
        former = found.get("former")
        if not former:
            return
        container = self.inspect("container", former["container"])
        if container:
            self.remove(container)
        self.discard(former["volume"], former["settings"])
        del found["former"]
        found.pop("was", None)
        self.write(found)

    def discard(self, volume: str, settings: str) -> None:
        """A volume and the settings that belong to it; never those that count."""
        counts = self.read()
        if counts["volume"] == volume or counts["settings"] == settings:
            self.module.fail_json(msg=f"{volume} is the volume that counts: it is not removed")
        if self.inspect("volume", volume):
            self.docker("volume", "rm", volume)
        if (self.directory / settings).exists():
            shutil.rmtree(self.directory / settings)
            self.changed = True
        if self.made().get("volume") == volume:
            self.note.unlink()


def main() -> None:
    """Do what ``action`` says."""
    module = AnsibleModule(
        argument_spec={
            "container": {"type": "str", "required": True},
            "volume": {"type": "str", "required": True},
            "directory": {"type": "path", "required": True},
            "action": {
                "type": "str",
                "required": True,
                "choices": ["look", "make", "unmake", "away", "publish", "back", "drop", "forget"],
            },
            "place": {"type": "dict", "default": {}},
            "former": {"type": "dict", "default": {}},
            "stop_timeout": {"type": "int", "default": 60},
        },
        supports_check_mode=True,
    )
    switch = Switch(module)
    action = str(module.params["action"])
    if action != "look" and not module.check_mode:
        getattr(switch, action)()
    found = switch.read()
    former = found.get("former") or {}
    kept = former and all(
        switch.inspect(kind, str(former[kind])) for kind in ("container", "volume")
    )
    module.exit_json(
        changed=switch.changed, now=found, former=former, kept=bool(kept), taken=switch.taken()
    )


if __name__ == "__main__":
    main()
