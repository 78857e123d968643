#!/usr/bin/python
"""One operation at a time on a host, and a journal of what each one did."""

from __future__ import annotations

DOCUMENTATION = r"""
module: operation
short_description: Lock and journal of the operations on a host
description:
  - Called through the action plugin of the same name, which adds who holds the lock.
  - The journal is one JSON object a line; it is appended to and flushed to the disk.
options:
  directory: {description: Where lock and journal lie., type: path, required: true}
  event:
    description: What happens. Nothing does with C(read) and C(look); C(look) fails while somebody else is at work.
    type: str
    required: true
    choices: [read, look, begin, start, end, failed, finish]
  name: {description: The operation; with start and end the phase., type: str, default: ""}
  note: {description: A line for the reader of the journal., type: str, default: ""}
  holder: {description: Who runs the operation; added by the action plugin., type: dict, default: {}}
  after:
    description:
      - The journal's last line when it was looked at. C(begin) fails if there is another by now, so that
        nobody says yes to what is no longer so. Without it nothing is compared.
    type: dict
  take_over: {description: The id of a lock whose holder is gone., type: str, default: ""}
"""

import contextlib
import json
import os
import signal
import time
from datetime import datetime, timezone
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

OVERTAKEN = (
    "Another operation ran on this host since it was looked at, so what was shown may no longer be so."
    " Nothing was changed.\nNext: run this again; it looks anew"
)


class Overtaken(Exception):
    """Somebody else was first."""


def main() -> None:
    """Do what ``event`` says; answer with the lock and the last operation."""
    module = AnsibleModule(
        argument_spec={
            "directory": {"type": "path", "required": True},
            "event": {
                "type": "str",
                "required": True,
                "choices": ["read", "look", "begin", "start", "end", "failed", "finish"],
            },
            "name": {"type": "str", "default": ""},
            "note": {"type": "str", "default": ""},
            "holder": {"type": "dict", "default": {}},
            "after": {"type": "dict"},
            "take_over": {"type": "str", "default": ""},
        },
        supports_check_mode=True,
    )
    words = module.params
    directory = Path(words["directory"])
    if words["event"] not in ("read", "look") and not module.check_mode:
        try:
            if another(directory, words):
                module.fail_json(msg=OVERTAKEN)
            if words["take_over"]:
                end_programs(f"{directory}/runs/{words['take_over']}/")
            write(directory, words)
        except Overtaken:
            module.fail_json(msg=OVERTAKEN)
        except FileExistsError:
            module.fail_json(msg="locked", lock=read(directory)["lock"])
        except OSError as error:
            module.fail_json(msg=f"The journal can't be written: {error}")
    # a line in a journal is no change to the host
    module.exit_json(changed=False, taken_over=words["take_over"], **read(directory))


def write(directory: Path, words: dict) -> None:
    """Take or release the lock and append to the journal."""
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    lock = directory / "lock.json"
    now = datetime.now(timezone.utc)
    if words["event"] == "begin":
        held = json.loads(lock.read_text()) if lock.exists() else None
        if held is not None and held["id"] == words["take_over"]:
            lock.unlink()
        identity = now.strftime("%Y%m%dT%H%M%SZ")
        record = {"id": identity, "operation": words["name"], **words["holder"]}
        publish(lock, json.dumps(record))
        if another(directory, words):
            lock.unlink()
            raise Overtaken
    entry = {
        "at": now.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "id": json.loads(lock.read_text())["id"] if lock.exists() else "",
        "event": words["event"],
        "name": words["name"],
    }
    if words["event"] == "begin":
        entry["by"] = f"{words['holder'].get('user', '')}@{words['holder'].get('controller', '')}"
    if words["note"]:
        entry["note"] = words["note"]
    with (directory / "journal.jsonl").open("a", encoding="utf-8") as file:
        os.chmod(file.fileno(), 0o600)
        file.write(json.dumps(entry, ensure_ascii=False) + "\n")
        file.flush()
        os.fsync(file.fileno())
    if words["event"] == "finish":
        lock.unlink(missing_ok=True)


def another(directory: Path, words: dict) -> bool:
    """Whether an operation was noted since the caller looked."""
    if words["event"] != "begin" or words["after"] is None:
        return False
    return (read(directory)["journal"] or [{}])[-1] != words["after"]


def publish(lock: Path, text: str) -> None:
    """Make the lock with its content in one step: a host that loses power must not keep an empty one."""
    aside = lock.with_name(f"lock.{os.getpid()}")
    handle = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with open(handle, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(aside, lock)
    finally:
        aside.unlink()


def end_programs(run: str) -> None:
    """End what a run that is no more left at work: its directory is among their arguments.

    They are asked first, since a program that is asked takes its transaction back.
    """
    for wanted, patience in ((signal.SIGTERM, 10), (signal.SIGKILL, 10)):
        deadline = time.monotonic() + patience
        for process in programs(run):
            tell(process, wanted)
            tell(process, signal.SIGCONT)
        while programs(run):
            if time.monotonic() > deadline:
                break
            time.sleep(0.1)
        else:
            return
    raise OSError(f"a program of the run before does not end: {programs(run)}")


def programs(run: str) -> list[int]:
    """Processes with this directory among their arguments."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if run.encode() in (process / "cmdline").read_bytes():
                found.append(int(process.name))
        except OSError:  # it ended
            continue
    return found


def tell(process: int, wanted: signal.Signals) -> None:
    """Send a signal to what may have ended by now."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(process, wanted)


def read(directory: Path) -> dict:
    """The lock, if one is held, and the phases of the last operation."""
    lock = directory / "lock.json"
    journal = directory / "journal.jsonl"
    entries = []
    if journal.exists():
        for line in journal.read_text(encoding="utf-8").splitlines():
            try:
                entries.append(json.loads(line))
            except ValueError:  # the last line of a host that lost power
                continue
    last = entries[-1]["id"] if entries else ""
    return {
        "lock": json.loads(lock.read_text()) if lock.exists() else {},
        "journal": [entry for entry in entries if entry["id"] == last],
    }


if __name__ == "__main__":
    main()
