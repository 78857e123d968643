"""Time zones by their names: what the clocks of a place show, and which moment they mean."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone, tzinfo
from functools import lru_cache

UTC = "utc"


@lru_cache
def _zone(name: str) -> tzinfo:
    if name == UTC:
        return timezone.utc
    from zoneinfo import ZoneInfo  # which most runs don't need

    return ZoneInfo(name)


def is_known(name: str) -> bool:
    """Whether this machine knows a zone, as Europe/Berlin."""
    try:
        _zone(name)
    except (ValueError, OSError, KeyError):  # no name of a file, a directory, not there
        return False
    return True


def in_utc(shown: str, name: str) -> str | None:
    """The moment in UTC at which a zone's clocks show this; NULL where times end.

    Where they show it twice, it is the time of winter, and what they never show is counted from the time
    before, as PostgreSQL reads both.

    Args:
        shown: as ``datetime`` writes it, without a zone.
    """
    moment = datetime.fromisoformat(shown)
    zone = _zone(name)
    offsets = (moment.replace(tzinfo=zone, fold=fold).utcoffset() for fold in (0, 1))
    try:
        moment -= min(offset or timedelta() for offset in offsets)
    except OverflowError:
        return None
    return moment.isoformat(" ", "microseconds")


def shown(moment: str, name: str) -> str | None:
    """What a zone's clocks show at a moment in UTC; NULL where times end."""
    try:
        there = datetime.fromisoformat(moment).replace(tzinfo=timezone.utc).astimezone(_zone(name))
    except (OverflowError, ValueError):
        return None
    return there.replace(tzinfo=None).isoformat(" ", "microseconds")
