"""The operator's side of a test: ansible-playbook against the scenario's servers, as a person calls it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO

ROOT = Path(__file__).resolve().parents[2]
PLAYBOOKS = ROOT / "playbooks"
SCRATCH = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"])
INVENTORY = os.environ["MOLECULE_INVENTORY_FILE"]

_RECAP = re.compile(r"^(\S+)\s+: ok=\d+\s+changed=(\d+)\s+unreachable=(\d+)\s+failed=(\d+)", re.M)


@dataclass(frozen=True)
class Run:
    """How a playbook ended, and what it said; pytest shows it when a test fails."""

    rc: int
    output: str

    @property
    def changed(self) -> int:
        """Changed tasks of all hosts."""
        found = _RECAP.findall(self.output)
        assert found, "the play has no recap"
        return sum(int(changed) for _, changed, _, _ in found)

    @property
    def failure(self) -> str:
        """What the last failed task says, without the indent of YAML."""
        _, found, text = self.output.rpartition("[ERROR]: Task failed")
        if not found:
            _, _, text = self.output.rpartition("fatal: ")
        text = re.split(r"\n(?:TASK|PLAY RECAP|PLAY|RUNNING HANDLER) ", text)[0]
        return re.sub(r"[ \n]+", " ", text)


def play(*words: str, inside: bool = False) -> Run:
    """Run a playbook to its end; ``inside`` calls it from within playbooks/."""
    with start(*words, inside=inside) as process:
        return finish(process)


def start(*words: str, inside: bool = False) -> subprocess.Popen[str]:
    """Begin a playbook in a process group of its own."""
    playbook, *options = words
    # of Molecule's settings nothing may help: the project's own ansible.cfg has to do
    environment = {k: v for k, v in os.environ.items() if not k.startswith("ANSIBLE_")}
    command = ["ansible-playbook", playbook if inside else f"playbooks/{playbook}"]
    return subprocess.Popen(
        [*command, "-i", INVENTORY, *options],
        cwd=PLAYBOOKS if inside else ROOT,
        env=environment | {"ANSIBLE_NOCOLOR": "1", "COLUMNS": "1000"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def finish(process: subprocess.Popen[str], seen: str = "") -> Run:
    """Wait for its end; ``seen`` was read of its output before."""
    output = seen + _out(process).read()
    run = Run(process.wait(), output)
    sys.stdout.write(output)
    return run


def read_until(process: subprocess.Popen[str], sign: str) -> str:
    """Read its output up to a line that matches ``sign``.

    Raises:
        AssertionError: it ended before.
    """
    seen: list[str] = []
    for line in _out(process):
        seen.append(line)
        sys.stdout.write(line)
        if re.search(sign, line):
            return "".join(seen)
    raise AssertionError(f"the play ended (rc {process.wait()}) without a line like {sign!r}")


def kill(process: subprocess.Popen[str]) -> None:
    """Kill it with all its workers, as when the controller loses power."""
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def kill_at(sign: str, *words: str, then: Callable[[], None] | None = None) -> None:
    """Run a playbook until it prints ``sign``, do ``then``, and kill it."""
    with start(*words) as process:
        try:
            read_until(process, sign)
            if then is not None:
                then()
        finally:
            kill(process)


def _out(process: subprocess.Popen[str]) -> IO[str]:
    assert process.stdout is not None
    return process.stdout
