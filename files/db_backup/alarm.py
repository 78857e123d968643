"""Who hears of a run: a monitor by HTTP (the protocol of healthchecks.io), and a command of the operator."""

from __future__ import annotations

import os
import subprocess
import urllib.error
import urllib.request

from db_backup.log import Log
from db_backup.options import Options

_TRIES, _SECONDS = 3, 10
_BODY = 10_000


class Alarm:
    """Start, success, failure of one command."""

    def __init__(self, options: Options, command: str, log: Log) -> None:
        self._options, self._command, self._log = options, command, log

    @property
    def _url(self) -> str:
        """A drill has a rhythm of its own, so an address of its own; if it fails, anybody must know."""
        return self._options.drill_ping_url if self._command == "drill" else self._options.ping_url

    def started(self) -> None:
        """A run begins: a monitor can see that one never ends."""
        self._ping(self._url, "/start", "")

    def succeeded(self) -> bool:
        """Every leg of a run went well."""
        return self._ping(self._url, "", self._log.tail)

    def failed(self, code: int) -> bool:
        """A run failed; both ways are tried, whatever the other does."""
        told = self._ping(self._url or self._options.ping_url, "/fail", self._log.tail)
        return self._call(code) and told

    def _ping(self, url: str, suffix: str, body: str) -> bool:
        if not url:
            return True
        request = urllib.request.Request(
            url.rstrip("/") + suffix, data=body.encode()[-_BODY:], method="POST"
        )
        said = ""
        for _ in range(_TRIES):
            try:
                with urllib.request.urlopen(request, timeout=_SECONDS):
                    return True
            except (OSError, ValueError) as error:
                said = str(getattr(error, "reason", error))
        # the address is a secret: who has it can say that all is well
        self._log.say(f"[alarm] the monitor does not answer: {said}")
        return False

    def _call(self, code: int) -> bool:
        if not self._options.on_failure:
            return True
        try:
            done = subprocess.run(
                list(self._options.on_failure),
                input=self._log.tail.encode(),
                env=os.environ | {"DB_BACKUP_COMMAND": self._command, "DB_BACKUP_CODE": str(code)},
                timeout=60,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            self._log.say(f"[alarm] the command on failure can't be run: {error}")
            return False
        if done.returncode:
            self._log.say(f"[alarm] the command on failure ended with {done.returncode}")
        return done.returncode == 0
