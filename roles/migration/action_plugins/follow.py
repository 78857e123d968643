"""Runs one of our programs on the host and shows, while it runs, how far it is.

Ansible shows a command's output when it ended, which is too late for somebody
who watches their only copy of the data. The program appends its progress to a
file; this plugin follows it. The program runs as an asynchronous job, so a lost
connection doesn't kill it.
"""

from __future__ import annotations

import json
import shlex
import time
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

#: Seconds between two looks.
_EVERY = 0.5
#: Seconds between two lines about one table.
_LINE = 2.0

display = Display()


class ActionModule(ActionBase):  # type: ignore[misc]
    """``follow``: argv, directory (for events and reports), accept (exit codes that are fine)."""

    def run(
        self, tmp: str | None = None, task_vars: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """Run the program to its end.

        Returns:
            rc, report (the program's own), changed, and msg when it failed.
        """
        result: dict[str, Any] = super().run(tmp, task_vars)
        words = self._task.args
        directory, argv = str(words["directory"]), [str(word) for word in words["argv"]]
        accept = [int(code) for code in words.get("accept", [0])]
        timeout = int(words.get("timeout", 86400))
        events, report = f"{directory}/events.jsonl", f"{directory}/report.json"
        prepared = self._shell(
            f"umask 077 && mkdir -p {shlex.quote(directory)} && rm -f {shlex.quote(report)}"
            f" && : > {shlex.quote(events)}"
        )
        if prepared["rc"]:
            raise AnsibleActionFail(f"{directory} can't be written: {prepared['stderr']}")
        command = [
            *argv,
            "--events",
            events,
            "--report",
            report,
            "--html",
            f"{directory}/report.html",
        ]
        job = self._start(command, timeout, task_vars)
        ended = self._follow(job, events, time.monotonic() + timeout)
        told = self._shell(f"cat {shlex.quote(report)}")["stdout"]
        try:
            result["report"] = json.loads(told)
        except ValueError:
            result["report"] = {}
        result["rc"] = ended.get("rc", -1)
        # a program that was killed leaves no report
        result["said"] = ended.get("stderr") or ended.get("msg") or "it ended without a report"
        result["changed"] = bool(result["report"].get("changed"))
        # said outright: Ansible takes any other rc than 0 for a failure
        result["failed"] = result["rc"] not in accept
        if result["failed"]:
            lines = result["report"].get("error") or []
            findings = [f"  {_finding(f)}" for f in result["report"].get("findings", [])[:20]]
            result["msg"] = "\n".join([*lines, *findings] or [result["said"]])
            # Ansible prints all of a failed result: the message is what there is to read
            result["report"] = {
                key: result["report"][key] for key in ("verdict",) if result["report"]
            }
        return result

    def _start(
        self, command: list[str], timeout: int, task_vars: dict[str, Any] | None
    ) -> dict[str, Any]:
        self._task.async_val = timeout
        try:
            job: dict[str, Any] = self._execute_module(
                module_name="ansible.legacy.command",
                module_args={"argv": command},
                task_vars=task_vars,
                wrap_async=True,
            )
        finally:
            self._task.async_val = 0
        if not job.get("ansible_job_id"):
            raise AnsibleActionFail(f"the program could not be started: {job.get('msg', job)}")
        return job

    def _follow(
        self,
        job: dict[str, Any],
        events: str,
        deadline: float,
    ) -> dict[str, Any]:
        seen, teller = 0, _Teller()
        result = shlex.quote(str(job["results_file"]))
        while time.monotonic() < deadline:
            # one round trip: the job's result (one line), then what is new among the events
            look = f"cat {result}; echo; tail -c +{seen + 1} {shlex.quote(events)}"
            first, _, text = self._shell(look)["stdout"].lstrip("\n").partition("\n")
            whole = text[: text.rfind("\n") + 1].lstrip("\n")
            for line in whole.splitlines():
                teller.tell(line)
            seen += len(whole.encode())
            try:
                status: dict[str, Any] = json.loads(first)
            except ValueError:  # it is being written
                status = {"started": 1}
            if "started" not in status:
                self._shell(f"rm -f {result}")
                return status
            time.sleep(_EVERY)
        raise AnsibleActionFail("the program did not end in time; it still runs on the host")

    def _shell(self, command: str) -> dict[str, Any]:
        answer: dict[str, Any] = self._low_level_execute_command(command)
        return answer


class _Teller:
    """Events as lines a person can follow."""

    def __init__(self) -> None:
        self._told = 0.0
        self._item = ""
        self._begun = 0.0

    def tell(self, line: str) -> None:
        """Show one event."""
        try:
            event = json.loads(line)
        except ValueError:
            return
        if event["event"] == "end":
            note = event.get("note") or "done"
            self._say(f"[{event['phase']}] {note} ({event['seconds']:.1f} s)")
        elif event["event"] == "progress":
            self._progress(event)

    def _progress(self, event: dict[str, Any]) -> None:
        now = time.monotonic()
        if event["item"] != self._item:
            self._item, self._begun, self._told = event["item"], now, now
            return
        if now - self._told < _LINE:
            return
        self._told = now
        seconds = max(now - self._begun, 0.001)
        rate = event["done"] / seconds
        left = (event["total"] - event["done"]) / max(rate, 1)
        self._say(
            f"[{event['phase']}] {event['item']}: {event['done']:,} of {event['total']:,} rows,"
            f" {rate:,.0f} rows/s, {left:.0f} s left"
        )

    @staticmethod
    def _say(text: str) -> None:
        display.display(f"    {text}")


def _finding(found: dict[str, Any]) -> str:
    place = ".".join(part for part in (found["table"], found["column"]) if part)
    key = f" [{found['key']}]" if found["key"] else ""
    text = f"{place}{key} {found['value']}: {found['reason']}"
    return f"{text}\n      -> {found['resolve']}" if found["resolve"] else text
