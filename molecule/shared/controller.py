"""The operator's side of a test: ansible-playbook against the scenario's servers, as a person calls it."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PLAYBOOKS = ROOT / "playbooks"
SCRATCH = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"])
INVENTORY = os.environ["MOLECULE_INVENTORY_FILE"]

#: What takes long and is seldom the first to break.
slow = pytest.mark.skipif(os.environ.get("TEST_FAULTS") != "all", reason="make test-faults")

_RECAP = re.compile(r"^(\S+)\s+: ok=\d+\s+changed=(\d+)\s+unreachable=(\d+)\s+failed=(\d+)", re.M)


@dataclass(frozen=True)
class Run:
    """How a playbook ended, and what it said; pytest shows it when a test fails."""

    rc: int
    output: str

    @property
    def told(self) -> str:
        """All that it said, without the line breaks of YAML."""
        return " ".join(self.output.split())

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


def play(*words: str, inside: bool = False, installed: Path | None = None) -> Run:
    """Run a playbook to its end.

    Args:
        inside: call it from within playbooks/.
        installed: it is one of a collection that is installed there; call it from there.
    """
    with start(*words, inside=inside, installed=installed) as process:
        return finish(process)


def played(line: str) -> bool:
    """Whether this scenario ran a command of the documentation, with at least its options."""
    _, playbook, *options = shlex.split(line, comments=True)
    for done in (SCRATCH / "played").read_text(encoding="utf-8").splitlines():
        words = shlex.split(done)
        if f"playbooks/{words[0]}" == playbook and set(options) <= set(words[1:]):
            return True
    return False


@contextmanager
def start(
    *words: str, inside: bool = False, installed: Path | None = None
) -> Iterator[subprocess.Popen[str]]:
    """Begin a playbook in a process group of its own; at the end it is killed if it still runs."""
    playbook, *options = words
    # of Molecule's settings nothing may help: the project's own ansible.cfg has to do
    environment = {k: v for k, v in os.environ.items() if not k.startswith("ANSIBLE_")}
    if installed:
        # as a shell has it that stands there
        environment |= {"ANSIBLE_COLLECTIONS_PATH": str(installed), "PWD": str(installed)}
    command = ["ansible-playbook", playbook if inside or installed else f"playbooks/{playbook}"]
    with (SCRATCH / "played").open("a", encoding="utf-8") as record:
        record.write(" ".join(words) + "\n")
    process = subprocess.Popen(
        [*command, "-i", INVENTORY, *options],
        cwd=installed or (PLAYBOOKS if inside else ROOT),
        env=environment | {"ANSIBLE_NOCOLOR": "1", "COLUMNS": "1000"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            kill(process)


def finish(process: subprocess.Popen[str]) -> Run:
    """Wait for its end."""
    output, _ = process.communicate()
    sys.stdout.write(output)
    return Run(process.returncode, output)


@contextmanager
def held_at(task: str, *words: str) -> Iterator[Callable[[], Run]]:
    """A playbook that waits when ``task`` has just ended, as at a prompt; what is yielded lets it go on to its end."""
    with start(*words) as process:
        assert process.stdout is not None
        said = ""
        for line in process.stdout:
            said += line
            if re.search(rf"^TASK \[{task}", line):
                break
        else:
            raise AssertionError(f"the play ended (rc {process.wait()}) without the task {task!r}")
        os.killpg(process.pid, signal.SIGSTOP)

        def go_on() -> Run:
            os.killpg(process.pid, signal.SIGCONT)
            run = finish(process)
            return Run(run.rc, said + run.output)

        yield go_on


def kill(process: subprocess.Popen[str]) -> None:
    """Kill it with all its workers, as when the controller loses power."""
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def kill_at(task: str, *words: str) -> None:
    """Run a playbook and kill it when ``task`` (a regular expression) has just ended.

    Ansible prints a task's name together with its result.

    Raises:
        AssertionError: it never came to that task.
    """
    with start(*words) as process:
        assert process.stdout is not None
        for line in process.stdout:
            sys.stdout.write(line)
            if re.search(rf"^TASK \[{task}", line):
                kill(process)
                return
        raise AssertionError(f"the play ended (rc {process.wait()}) without the task {task!r}")
