"""What was wrong, and from when to when: read out of the samples."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from db_status.history import Sample
from db_status.seen import Row
from db_status.text import written

#: States of a container that serves; one that is being made or removed is no trouble.
_SERVES = ("running", "created", "removing")


@dataclass(frozen=True)
class Incident:
    """Samples in a row that found the same trouble."""

    begun: int  #: seconds since 1970, the first sample that found it
    ended: int  #: the last one; it may have gone on until the next sample
    what: str
    evidence: str  #: of the first one


def find(samples: Sequence[Sample], containers: Sequence[str]) -> list[Incident]:
    """Every trouble, the oldest first.

    Args:
        samples: the oldest first.
        containers: names of those that have to run; of others nobody knows whether they should.
    """
    found: list[Incident] = []
    going_on: dict[str, int] = {}  # by what it is: its place in ``found``
    before: Row = {}
    for sample in samples:
        now = dict(_troubles(sample.body, before, containers))
        going_on = {what: place for what, place in going_on.items() if what in now}
        for what, evidence in now.items():
            if what in going_on:
                place = going_on[what]
                found[place] = replace(found[place], ended=sample.at)
            else:
                going_on[what] = len(found)
                found.append(Incident(sample.at, sample.at, what, evidence))
        before = {**before, **_containers(sample.body)}
    return found


def lines(samples: Sequence[Sample], found: Sequence[Incident]) -> list[str]:
    """One line for each, and how much was looked at."""
    if not samples:
        return ["nothing was sampled: role monitoring arranges that, or the schedule does not run"]
    looked = f"{len(samples)} samples from {written(samples[0].at)} to {written(samples[-1].at)}"
    told = [
        f"{written(one.begun)} to {written(one.ended)}  {one.what}"
        + (f": {one.evidence}" if one.evidence else "")
        for one in found
    ]
    return [*told, f"{looked}, {len(found) or 'no'} trouble{'s' if len(found) > 1 else ''}"]


def _troubles(body: Row, before: Row, containers: Sequence[str]) -> Iterator[tuple[str, str]]:
    if "down" in body:
        yield "the server did not answer", str(body["down"])
    there = _containers(body)
    if not there:  # an engine that does not answer says nothing of any
        return
    for name in containers:
        row = there.get(name)
        if row is None:
            yield f"container {name} was not there", ""
            continue
        # one that has ended keeps the health that it had
        state = row.get("health") if row["state"] in _SERVES else row["state"]
        if state not in ("", "healthy", "starting", None):
            yield f"container {name} did not serve", state
        last = before.get(name) or row
        if row["restarts"] > last["restarts"]:
            yield f"container {name} was restarted by the engine", f"{row['restarts']} times so far"
        if row["oom_kills"] > last["oom_kills"] and row["started"] == last["started"]:
            yield f"the kernel killed a process in {name}", "out of memory"


def _containers(body: Row) -> dict[str, Row]:
    found = body.get("containers")
    return found if isinstance(found, dict) else {}
