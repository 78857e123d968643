#!/usr/bin/python
# MIT License, see LICENSE in the project root
"""The files in conf.d that this role owns: compare, try, publish, take back."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: postgres_settings
short_description: Compares, tries, publishes and takes back the settings files of the server
description:
  - A file says in its head what the rest of it hashes to. One that somebody edited is recognised by that.
  - A file of ours that is not wanted any more is removed; files of others are left alone.
options:
  directory: {type: path, required: true, description: Directory with conf.d in it.}
  files: {type: dict, required: true, description: Settings by file name.}
  action:
    type: str
    default: look
    choices: [look, try, publish, undo]
    description:
      - C(look) compares and changes nothing. C(try) makes a copy of the directory with the new files.
      - C(publish) replaces the files by renames, each former one is kept as C(.former), one that was edited also as
        C(.edited-TIME). C(undo) takes that back.
  trial: {type: path, description: Where C(try) makes its copy.}
author: [The brainer-db authors]
"""

EXAMPLES = r"""
- name: Compare
  postgres_settings:
    directory: /opt/brainer-db/postgres/etc
    files: {10-postgres.conf: {max_connections: 50}}
  register: settings
"""

RETURN = r"""
names: {type: list, elements: str, returned: always, description: Files that differ.}
edited: {type: list, elements: str, returned: always, description: Those of them that somebody edited.}
kept: {type: list, elements: str, returned: publish, description: Copies of edited files.}
"""

import hashlib
import os
import re
import shutil
import time
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

_HEAD = "# Ansible managed: a change of yours belongs into postgres_settings, in the inventory.\n# sha256 of the rest: "
_OURS = re.compile(r"# Ansible managed.*\n# sha256 of the rest: ([0-9a-f]{64})\n")
#: As the role wrote them before it knew edited ones.
_FORMER_HEAD = "# Ansible managed\n"


def literal(value: Any) -> str:
    if isinstance(value, bool):
        value = "on" if value else "off"
    return "'" + str(value).replace("\\", "\\\\").replace("'", "''") + "'"


def render(settings: dict[str, Any]) -> str:
    body = "".join(f"{name} = {literal(value)}\n" for name, value in sorted(settings.items()))
    return f"{_HEAD}{hashlib.sha256(body.encode()).hexdigest()}\n{body}"


def read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8", errors="surrogateescape")
    except FileNotFoundError:
        return None


def edited(text: str | None) -> bool:
    if text is None or text.startswith(_FORMER_HEAD):
        return False
    head = _OURS.match(text)
    body = text[head.end() :] if head else ""
    return not head or hashlib.sha256(body.encode(errors="surrogateescape")).hexdigest() != head[1]


def write(path: Path, text: str) -> None:
    aside = path.with_name(f".{path.name}.new")
    with open(aside, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
        os.fchmod(file.fileno(), 0o644)
    os.rename(aside, path)


class Files:
    """What is wanted in a directory, and what is there."""

    def __init__(self, directory: Path, files: dict[str, dict[str, Any]]) -> None:
        self.directory = directory
        self.wanted: dict[str, str | None] = {name: render(files[name]) for name in sorted(files)}
        for path in sorted(directory.glob("*.conf")):
            if path.name not in files and _OURS.match(read(path) or ""):
                self.wanted[path.name] = None
        self.present = {name: read(directory / name) for name in self.wanted}

    @property
    def names(self) -> list[str]:
        return [name for name, text in self.wanted.items() if text != self.present[name]]

    @property
    def edited(self) -> list[str]:
        return [name for name in self.names if edited(self.present[name])]

    def put(self, directory: Path) -> None:
        """The wanted files into a directory."""
        for name in self.names:
            text = self.wanted[name]
            if text is None:
                (directory / name).unlink(missing_ok=True)
            else:
                write(directory / name, text)

    def keep(self) -> list[str]:
        """Copies of what will be replaced; returns those of edited files."""
        kept = []
        for former in self.directory.glob("*.former"):
            former.unlink()
        for name in self.names:
            if self.present[name] is not None:
                shutil.copy2(self.directory / name, self.directory / f"{name}.former")
        for name in self.edited:
            copy = self.directory / time.strftime(f"{name}.edited-%Y%m%dT%H%M%SZ", time.gmtime())
            shutil.copy2(self.directory / name, copy)
            kept.append(str(copy))
        return kept

    def undo(self) -> None:
        """What keep() kept is back; what was not there is gone."""
        for name in self.wanted:
            former = self.directory / f"{name}.former"
            if former.exists():
                os.rename(former, self.directory / name)
            else:
                (self.directory / name).unlink(missing_ok=True)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "directory": {"type": "path", "required": True},
            "files": {"type": "dict", "required": True},
            "action": {
                "type": "str",
                "default": "look",
                "choices": ["look", "try", "publish", "undo"],
            },
            "trial": {"type": "path"},
        },
        required_if=[("action", "try", ["trial"])],
        supports_check_mode=True,
    )
    action, directory = module.params["action"], Path(module.params["directory"])
    files = Files(directory / "conf.d", module.params["files"])
    result: dict[str, Any] = {
        "changed": bool(files.names),
        "names": files.names,
        "edited": files.edited,
        "diff": [
            {
                "before_header": name,
                "after_header": name,
                "before": files.present[name] or "",
                "after": files.wanted[name] or "",
            }
            for name in files.names
        ],
    }
    if not module.check_mode:
        if action == "try":
            trial = Path(module.params["trial"])
            shutil.rmtree(trial, ignore_errors=True)
            shutil.copytree(directory, trial)
            files.put(trial / "conf.d")
        elif action == "publish":
            result["kept"] = files.keep()
            files.put(files.directory)
        elif action == "undo":
            files.undo()
            result["changed"] = True
    module.exit_json(**result)


if __name__ == "__main__":
    main()
