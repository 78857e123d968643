#!/usr/bin/env python3
"""Run groups of tests, three jobs at a time, one line for each, and count them at the end.

    run_tests.py lint unit molecule e2e

Each job's whole output goes to .cache/tests/JOB.log, and to the screen if it fails.
"""

import os
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOGS = ROOT / ".cache" / "tests"
BIN = ROOT / ".venv" / "bin"

# Two cores are what a small CI machine has. A scenario keeps not quite one of them busy: two at a time leave a quarter
# of the machine idle.
PARALLEL = 3
# A job that hangs must not hang the whole run: the longest takes a quarter of an hour, on a busy machine twice that.
TIMEOUT_S = 2400
# Of the scenarios, in this order.
LONGEST = (
    "rollback",
    "migration",
    "upgrade",
    "external",
    "backup",
    "deploy",
    "doctor",
    "depot",
    "monitoring",
)


@dataclass(frozen=True)
class Job:
    name: str
    command: Sequence[str | Path]
    junit: Path | None = None


@dataclass(frozen=True)
class Result:
    job: Job
    passed: int
    failed: int
    seconds: float

    @property
    def log(self) -> Path:
        return log_of(self.job)


def log_of(job: Job) -> Path:
    return LOGS / f"{job.name}.log"


def lint() -> list[Job]:
    return [
        Job("ansible-lint", [BIN / "ansible-lint", "--offline"]),
        Job("yamllint", [BIN / "yamllint", "--strict", "."]),
        Job("ruff", [BIN / "ruff", "check", "."]),
        Job("ruff-format", [BIN / "ruff", "format", "--check", "."]),
        Job("mypy", [BIN / "mypy"]),
        Job("import-linter", ["env", "PYTHONPATH=files", BIN / "lint-imports", "--no-cache"]),
    ]


def unit() -> list[Job]:
    junit = LOGS / "unit.xml"
    return [Job("unit", [BIN / "pytest", "--quiet", f"--junit-xml={junit}"], junit)]


def scenario(name: str) -> Job:
    return Job(f"molecule-{name}", [ROOT / "testbed" / "molecule", name])


def molecule() -> list[Job]:
    found = {path.parent.name for path in (ROOT / "molecule").glob("*/molecule.yml")} - {"e2e"}
    # a long one that begins last runs alone at the end
    first = [name for name in LONGEST if name in found]
    return [scenario(name) for name in first + sorted(found - set(first))]


def e2e() -> list[Job]:
    return [scenario("e2e")]


# In this order, and within one pool: a person wants to hear of a typo before the servers are booted.
GROUPS: dict[str, Callable[[], list[Job]]] = {
    "lint": lint,
    "unit": unit,
    "e2e": e2e,
    "molecule": molecule,
}


def run(job: Job) -> Result:
    started = time.monotonic()
    if job.junit:
        job.junit.unlink(missing_ok=True)
    with log_of(job).open("w") as log:
        try:
            status = subprocess.run(
                job.command,
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                timeout=TIMEOUT_S,
                env=os.environ | {"PATH": f"{BIN}:{os.environ['PATH']}", "NO_COLOR": "1"},
                check=False,
            ).returncode
        except subprocess.TimeoutExpired:
            log.write(f"\nstopped: {job.name} took longer than {TIMEOUT_S} s\n")
            status = 1
    passed, failed = count(job, status)
    return Result(job, passed, failed, time.monotonic() - started)


def count(job: Job, status: int) -> tuple[int, int]:
    """A job counts as one, unless its report says how many tests it was."""
    if not job.junit or not job.junit.exists():
        return (1, 0) if status == 0 else (0, 1)
    suites = ElementTree.parse(job.junit).getroot().iter("testsuite")
    totals = {"tests": 0, "failures": 0, "errors": 0, "skipped": 0}
    for suite in suites:
        for key in totals:
            totals[key] += int(suite.get(key, 0))
    failed = totals["failures"] + totals["errors"]
    passed = totals["tests"] - failed - totals["skipped"]
    # a run that failed, or tested nothing, without a failing test in its report failed as a whole
    if failed == 0 and (status != 0 or passed == 0):
        failed = 1
    return passed, failed


def show(result: Result) -> None:
    verdict = "FAILED" if result.failed else "ok"
    tests = f"  ({result.passed} passed, {result.failed} failed)" if result.job.junit else ""
    print(f"{verdict:<7} {result.job.name:<24} {result.seconds:5.0f} s{tests}", flush=True)
    if result.failed:
        print(result.log.read_text(errors="replace"), flush=True)
        print(f"FAILED  {result.job.name}: the log above is {result.log}\n", flush=True)


def main(groups: Sequence[str]) -> int:
    unknown = set(groups) - set(GROUPS)
    if unknown or not groups:
        print(f"usage: run_tests.py [{' '.join(GROUPS)}]...", file=sys.stderr)
        return 2
    LOGS.mkdir(parents=True, exist_ok=True)
    jobs = [job for name, group in GROUPS.items() if name in groups for job in group()]
    results = []
    with ThreadPoolExecutor(PARALLEL) as pool:
        for future in as_completed([pool.submit(run, job) for job in jobs]):
            results.append(future.result())
            show(results[-1])
    failures = [result.job.name for result in results if result.failed]
    if failures:
        print(f"failed: {', '.join(failures)}")
    passed = sum(result.passed for result in results)
    failed = sum(result.failed for result in results)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
