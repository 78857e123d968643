#!/usr/bin/python
# MIT License, see LICENSE in the project root
"""The app's SQLite file: keep what somebody changed in it, put the kept one back, give it to the app."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: rollback_file
short_description: Keep, put back, or give away the app's SQLite file
options:
  path: {description: The SQLite file of the app., type: path, required: true}
  action:
    description:
      - C(aside) copies a file that is not what the migration left (by C(record)), and takes away what a former writer
        left beside it, which SQLite would take for a part of the new one.
      - C(put) makes it a copy of C(kept) by one rename. C(own) gives it the mode and owner that C(record) says.
      - C(written) only answers, whether it is another file than C(sha256) by now.
    type: str
    required: true
    choices: [aside, put, own, written]
  record: {description: What was noted at the cut-over., type: dict, default: {}}
  directory: {description: Where C(aside) keeps a copy., type: path}
  kept: {description: The file that C(put) copies., type: path}
  sha256: {description: What C(put) must find in C(kept) and what C(written) compares with., type: str, default: ''}
author: [The brainer-db authors]
"""

import hashlib
import os
import shutil

from ansible.module_utils.basic import AnsibleModule

#: What SQLite keeps beside a file and reads with it.
BESIDE = ("-wal", "-shm", "-journal")


def main() -> None:
    """Entry point."""
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "required": True},
            "action": {"type": "str", "required": True, "choices": ["aside", "put", "own", "written"]},
            "record": {"type": "dict", "default": {}},
            "directory": {"type": "path"},
            "kept": {"type": "path"},
            "sha256": {"type": "str", "default": ""},
        }
    )  # fmt: skip
    words = module.params
    try:
        answer = {"aside": aside, "put": put, "own": own, "written": written}[words["action"]](
            words
        )
    except OSError as error:
        module.fail_json(msg=f"{error.filename or words['path']}: {error.strerror}")
    except ValueError as error:
        module.fail_json(msg=str(error))
    module.exit_json(**answer)


def aside(words: dict) -> dict:
    """Copy what is not ours to lose; then nothing may lie beside the file."""
    path, was = words["path"], words["record"].get("sha256", "")
    beside = [path + end for end in BESIDE if os.path.exists(path + end)]
    changed = os.path.exists(path) and digest(path) != was if was else bool(beside)
    if not changed and not beside:
        return {"changed": False, "kept": ""}
    os.makedirs(words["directory"], mode=0o700, exist_ok=True)
    for name in [path, *beside]:
        if os.path.exists(name):
            copy(name, os.path.join(words["directory"], os.path.basename(name)))
    for name in beside:
        os.unlink(name)
    sync(os.path.dirname(path))
    return {"changed": True, "kept": words["directory"]}


def put(words: dict) -> dict:
    """The kept file in the app's place, by one rename."""
    path = words["path"]
    if words["sha256"] and digest(words["kept"]) != words["sha256"]:
        raise ValueError(
            f"{words['kept']} is not what was kept at the cut-over. Nothing was changed."
        )
    wanted = digest(words["kept"])
    changed = not os.path.exists(path) or digest(path) != wanted
    if changed:
        copy(words["kept"], path)
    return {"changed": changed, "sha256": wanted}


def own(words: dict) -> dict:
    """Mode and owner as they were when the app used it; without a record, those of its directory."""
    path, record = words["path"], words["record"]
    there, around = os.stat(path), os.stat(os.path.dirname(path))
    mode = int(record["mode"], 8) if "mode" in record else there.st_mode & 0o777 | 0o600
    # a file that root put there belongs to whom the directory belongs to
    whose = (around.st_uid, around.st_gid) if there.st_uid == 0 else (there.st_uid, there.st_gid)
    owner = (record["uid"], record["gid"]) if "uid" in record else whose
    changed = (there.st_mode & 0o7777, there.st_uid, there.st_gid) != (mode, *owner)
    os.chown(path, *owner)
    os.chmod(path, mode)
    return {"changed": changed}


def written(words: dict) -> dict:
    """Whether anybody wrote to it since."""
    path = words["path"]
    log = f"{path}-wal"
    pending = os.path.exists(log) and os.path.getsize(log) > 0
    return {"changed": False, "written": pending or digest(path) != words["sha256"]}


def copy(source: str, target: str) -> None:
    """A copy under its name only when all of it is on the disk."""
    part = os.path.join(os.path.dirname(target), f".{os.path.basename(target)}.rollback")
    try:
        shutil.copyfile(source, part)
        os.chmod(part, 0o600)
        with open(part, "rb") as file:
            os.fsync(file.fileno())
        os.replace(part, target)
    finally:
        if os.path.exists(part):
            os.unlink(part)
    sync(os.path.dirname(target))


def sync(directory: str) -> None:
    """Names survive a power cut."""
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def digest(path: str) -> str:
    """SHA-256 of a file."""
    found = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            found.update(block)
    return found.hexdigest()


if __name__ == "__main__":
    main()
