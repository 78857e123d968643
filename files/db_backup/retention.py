"""Which sets stay. A pure function of their times, so that it can be tried on thousands of histories."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

#: A clock may be this far off before a set counts as one of the future.
SKEW = timedelta(minutes=5)


@dataclass(frozen=True)
class Rule:
    """Days: every set. Weeks and months: the last set of each that has one. Least: whatever their age."""

    days: int
    weeks: int
    months: int
    least: int


@dataclass(frozen=True)
class Decision:
    """About one set, and why."""

    at: datetime
    keep: bool
    why: str


def decide(
    taken: Sequence[datetime], now: datetime, rule: Rule, empty: Collection[datetime] = ()
) -> list[Decision]:
    """Judge proved sets; the oldest first, as the answer is.

    Args:
        taken: when each proved set was taken. What is damaged is not asked about: it neither counts
            nor goes.
        now: the clock, which may be wrong: a set that is newer than it is never deleted, and
            never stands in for one of the ``least``.
        empty: those without a single row. However many there are, the newest one with rows stays:
            after a loss they are all that is taken.
    """
    ordered = sorted(taken)
    past = [at for at in ordered if at <= now + SKEW]
    reasons: dict[datetime, list[str]] = {at: [] for at in ordered}
    for at in ordered:
        if at > now + SKEW:
            reasons[at].append("newer than the clock")
        elif at > now - timedelta(days=rule.days):
            reasons[at].append(f"of the last {rule.days} days")
    newest_first = past[::-1]
    for at in newest_first[: max(rule.least, 1)]:
        reasons[at].append(f"one of the newest {max(rule.least, 1)}")
    filled = [at for at in newest_first if at not in empty]
    if filled and filled[0] != newest_first[0]:
        reasons[filled[0]].append("the newest that has rows")
    _last_of_each(newest_first, rule.weeks, "week", "%G-W%V", reasons)
    _last_of_each(newest_first, rule.months, "month", "%Y-%m", reasons)
    outlived = f"older than {rule.days} days, not the last of a week or month that is kept"
    return [Decision(at, bool(why), ", ".join(why) or outlived) for at, why in reasons.items()]


def _last_of_each(
    newest_first: list[datetime],
    number: int,
    what: str,
    form: str,
    reasons: dict[datetime, list[str]],
) -> None:
    """Periods without a set don't count: a pause does not eat what is older."""
    seen: set[str] = set()
    for at in newest_first:
        period = at.strftime(form)
        if period in seen:
            continue
        if len(seen) == number:
            return
        seen.add(period)
        reasons[at].append(f"last of {what} {period}")
