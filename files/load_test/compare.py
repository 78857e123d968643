"""Rounds of one load on two sides, as one line of a table each."""

from __future__ import annotations

import statistics
from dataclasses import asdict, dataclass

from load_test.measured import Measured

#: Those of the table; the page draws all.
SHOWN = ("50", "95", "99")


@dataclass(frozen=True)
class Side:
    """Medians of the rounds of one side under one load."""

    name: str
    load: str
    rounds: int
    requests: int  #: of all rounds
    failed: int  #: of all rounds
    per_second: float
    latency: dict[str, float]


def median(name: str, rounds: list[Measured]) -> Side:
    """One side under one load."""
    common = set.intersection(*(set(one.latency) for one in rounds))
    return Side(
        name,
        rounds[0].load,
        len(rounds),
        sum(one.requests for one in rounds),
        sum(one.failed for one in rounds),
        statistics.median(one.per_second for one in rounds),
        {
            percent: statistics.median(one.latency[percent] for one in rounds)
            for percent in sorted(common, key=int)
        },
    )


def sides(rounds: dict[str, list[list[Measured]]]) -> list[list[Side]]:
    """For each load its sides, in the order of ``rounds``: name to rounds, each a list of loads."""
    loads = len(next(iter(rounds.values()))[0])
    return [
        [median(name, [one[load] for one in found]) for name, found in rounds.items()]
        for load in range(loads)
    ]


def table(loads: list[list[Side]]) -> list[str]:
    """For a terminal."""
    wide = max(len(side.name) for load in loads for side in load) + 2
    lines = []
    for load in loads:
        lines += [
            f"{load[0].load}; median of {load[0].rounds} rounds",
            f"  {'':<{wide}}{'requests/s':>12}{'of them':>10}"
            + "".join(f"{f'p{percent} ms':>10}" for percent in SHOWN)
            + f"{'longest':>10}{'failed':>10}",
        ]
        for side in load:
            lines.append(
                f"  {side.name:<{wide}}{side.per_second:>12.1f}{side.per_second / load[0].per_second:>9.2f}×"
                + "".join(f"{side.latency[percent]:>10.1f}" for percent in SHOWN)
                + f"{side.latency['100']:>10.1f}{side.failed:>10}"
            )
    return lines


def verdict(loads: list[list[Side]]) -> list[str]:
    """One sentence a load; failures are told whatever the speed was."""
    told = []
    for load in loads:
        first, second = load[0], load[-1]
        told.append(
            f"{second.name} serves {second.per_second / first.per_second:.2f} × the requests of {first.name}:"
            f" {load[0].load}"
        )
        told += [
            f"{side.failed} of {side.requests} requests failed on {side.name}: {load[0].load}"
            for side in load
            if side.failed
        ]
    return told


def plain(loads: list[list[Side]]) -> list[list[dict[str, object]]]:
    """For JSON."""
    return [[asdict(side) for side in load] for load in loads]
