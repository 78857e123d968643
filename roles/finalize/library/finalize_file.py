#!/usr/bin/python
# MIT License, see LICENSE in the project root
"""Archive a file, prove the archive, and only then remove what it holds. Killed anywhere, it is simply run again."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: finalize_file
short_description: Compress a file, prove it, remove it
options:
  path: {description: The file., type: path, required: true}
  archive: {description: Where it goes; its SHA-256 goes beside it., type: path, required: true}
  instead: {description: What is archived when the file is gone already., type: path, required: true}
  action:
    description:
      - C(archive) writes aside, reads back, compares, renames.
      - C(remove) removes the file, if it is what the archive holds.
    type: str
    required: true
    choices: [archive, remove]
author: [The brainer-db authors]
"""

import gzip
import hashlib
import os
import zlib
from typing import IO, Any

from ansible.module_utils.basic import AnsibleModule

_BLOCK = 1 << 20
#: What SQLite leaves beside a file; only an empty one may go with it.
_BESIDE = ("-wal", "-shm", "-journal")


def main() -> None:
    """Entry point."""
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "required": True},
            "archive": {"type": "path", "required": True},
            "instead": {"type": "path", "required": True},
            "action": {"type": "str", "required": True, "choices": ["archive", "remove"]},
        }
    )
    words = module.params
    try:
        answer = {"archive": archive, "remove": remove}[words["action"]](words)
    except ValueError as error:
        module.fail_json(msg=str(error))
    except OSError as error:
        where = error.filename or words["archive"]
        module.fail_json(
            msg=f"{where}: {error.strerror}. {words['path']} was not removed.\n"
            f"Next: df -h {os.path.dirname(words['archive'])}; mend that, and run this again"
        )
    module.exit_json(**answer)


def archive(words: dict[str, Any]) -> dict[str, Any]:
    """One whole archive, or none; an existing one that is whole stays."""
    unwritten(words["path"])
    source = words["path"] if os.path.exists(words["path"]) else words["instead"]
    wanted, into = digest(source), words["archive"]
    if os.path.exists(into) and inside(into) == wanted and noted(into) == wanted:
        return {"changed": False, **told(into, wanted)}
    if os.path.exists(into):
        raise ValueError(
            f"{into} holds something else than {source}. Nothing was removed.\n"
            f"Next: look at both; mv {into} {into}.other, and run this again"
        )
    os.makedirs(os.path.dirname(into), mode=0o700, exist_ok=True)
    part = f"{into}.part"
    try:
        with open(source, "rb") as file, private(part) as raw:
            # no name and no time in it: the same file gives the same archive
            with gzip.GzipFile("", "wb", fileobj=raw, mtime=0) as packed:
                while block := file.read(_BLOCK):
                    packed.write(block)
            raw.flush()
            os.fsync(raw.fileno())
        if inside(part) != wanted:
            raise ValueError(f"{part} does not hold what {source} holds. Nothing was removed.")
        note(into, wanted)
        os.replace(part, into)
        sync(os.path.dirname(into))
    finally:
        if os.path.exists(part):
            os.unlink(part)
    return {"changed": True, **told(into, wanted)}


def remove(words: dict[str, Any]) -> dict[str, Any]:
    """The file goes if the archive, read once more, holds it."""
    unwritten(words["path"])
    path, held = words["path"], inside(words["archive"])
    if not os.path.exists(path):
        return {"changed": False}
    if digest(path) != held:
        raise ValueError(
            f"{path} is not what {words['archive']} holds: somebody made or changed it since. It was not removed.\n"
            f"Next: find out who writes there (is an app started with DB_TYPE=sqlite?), then mv it elsewhere"
        )
    for end in _BESIDE:
        if os.path.exists(path + end):
            os.unlink(path + end)
    os.unlink(path)
    sync(os.path.dirname(path))
    return {"changed": True}


def unwritten(path: str) -> None:
    """Refuse what SQLite would still add to the file: no archive has it."""
    for name in (f"{path}-wal", f"{path}-journal"):
        if os.path.exists(name) and os.path.getsize(name):
            raise ValueError(
                f"{name} is not empty: somebody wrote to SQLite since. Nothing was removed.\n"
                "Next: find out who writes there (is an app started with DB_TYPE=sqlite?); keep what is there"
                f" elsewhere: sudo mv {path}* /root/, then run this again"
            )


def private(path: str) -> IO[bytes]:
    """A new file that only its owner reads."""
    return open(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "wb")


def told(path: str, sha256: str) -> dict[str, Any]:
    """What the play says of it."""
    return {"sha256": sha256, "bytes": os.path.getsize(path)}


def inside(path: str) -> str:
    """SHA-256 of what an archive holds; empty when it can't be read to its end."""
    try:
        with gzip.open(path, "rb") as file:
            return _sum(file)
    except (OSError, EOFError, zlib.error):
        return ""


def digest(path: str) -> str:
    """SHA-256 of a file."""
    with open(path, "rb") as file:
        return _sum(file)


def _sum(file: IO[bytes]) -> str:
    found = hashlib.sha256()
    while block := file.read(_BLOCK):
        found.update(block)
    return found.hexdigest()


def note(into: str, sha256: str) -> None:
    """In the form of ``sha256sum``, of the file as it is unpacked."""
    name = os.path.basename(into).removesuffix(".gz")
    part = f"{into}.sha256.part"
    with private(part) as file:
        file.write(f"{sha256}  {name}\n".encode())
        file.flush()
        os.fsync(file.fileno())
    os.replace(part, beside(into))


def noted(into: str) -> str:
    """What lies beside an archive."""
    try:
        with open(beside(into), encoding="utf-8") as file:
            return file.read().partition(" ")[0]
    except OSError:
        return ""


def beside(into: str) -> str:
    """``brainer.db.sha256`` for ``brainer.db.gz``."""
    return f"{into.removesuffix('.gz')}.sha256"


def sync(directory: str) -> None:
    """Names survive a power cut."""
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


if __name__ == "__main__":
    main()
