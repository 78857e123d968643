"""Adds who we are, and takes over the lock of a run that is no more.

The holder of a lock is a process on a controller: only there can be seen
whether it still runs. A killed run must not be in the way of the next one.
"""

from __future__ import annotations

import getpass
import os
import platform
from pathlib import Path
from typing import Any

from ansible.plugins.action import ActionBase


class ActionModule(ActionBase):  # type: ignore[misc]
    """``operation`` on the controller's side."""

    def run(
        self, tmp: str | None = None, task_vars: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """Run the module; refuse politely, or take over."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        words = dict(self._task.args)
        force = bool(words.pop("break_lock", False))
        if words["event"] == "begin":
            words["holder"] = _ourselves()
            found = self._ask({"directory": words["directory"], "event": "read"}, task_vars)
            held = found.get("lock") or {}
            if held and (force or not _alive(held)):
                words["take_over"] = held["id"]
        result.update(self._ask(words, task_vars))
        held = result.get("lock") or {}
        if words["event"] == "look" and held and not force and _alive(held):
            result.update(failed=True, msg="locked")
        if result.get("msg") == "locked":
            result["msg"] = _refusal(result["lock"], str(words["directory"]))
        return result

    def _ask(self, words: dict[str, Any], task_vars: dict[str, Any] | None) -> dict[str, Any]:
        answer: dict[str, Any] = self._execute_module(
            module_name="operation", module_args=words, task_vars=task_vars
        )
        return answer


def _ourselves() -> dict[str, Any]:
    process = os.getppid()  # we are a worker; our parent is ansible-playbook
    return {
        "controller": platform.node(),
        "user": _user(),
        "process": process,
        "born": _born(process),
    }


def _user() -> str:
    """Whose command it is: the journal says who did what."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's number without a name
        return str(os.getuid())


def _born(process: int) -> str:
    """Start time of a process, since numbers are used again; empty where there is no /proc."""
    try:
        stat = Path(f"/proc/{process}/stat").read_text(encoding="utf-8")
    except OSError:
        return ""
    return stat.rpartition(")")[2].split()[19]


def _alive(held: dict[str, Any]) -> bool:
    if held.get("controller") != platform.node():
        return True  # can't be seen from here
    try:
        os.kill(int(held["process"]), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return str(held.get("born", "")) == _born(int(held["process"]))


def _refusal(held: dict[str, Any], directory: str) -> str:
    return (
        f"Another operation is at work on this host: {held.get('operation')}, begun {held.get('id')}.\n"
        f"  where: {directory}/lock.json, held by process {held.get('process')}"
        f" on {held.get('controller')}\n"
        "Nothing was changed. Next: wait for it; if that controller is gone for good, run again with"
        " -e migration_break_lock=true"
    )
