"""Numbers as a person reads them."""

from __future__ import annotations

from datetime import datetime, timezone


def size(count: float | None) -> str:
    """Bytes: ``812 kB``, ``4.2 GB``; 1024 of one is one of the next, as the server counts."""
    if count is None:
        return "?"
    value = float(count)
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if abs(value) < 1024 or unit == "TB":
            return f"{value:.0f} {unit}" if value >= 100 or unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    raise AssertionError


def span(seconds: float | None) -> str:
    """A duration: ``12 s``, ``4 min``, ``3.2 h``, ``9 days``."""
    if seconds is None:
        return "?"
    for limit, divisor, unit in ((120, 1, "s"), (7200, 60, "min"), (172800, 3600, "h")):
        if abs(seconds) < limit:
            value = seconds / divisor
            return f"{value:.1f} {unit}" if unit == "h" else f"{value:.0f} {unit}"
    return f"{seconds / 86400:.1f} days"


def duration(ms: float) -> str:
    """A statement's time: ``0.42 ms``, ``31 ms``, ``2.1 s``, ``12 min``."""
    if ms < 1000:
        return f"{ms:.2f} ms" if ms < 10 else f"{ms:.0f} ms"
    return f"{ms / 1000:.1f} s" if ms < 120_000 else span(ms / 1000)


def number(count: float | None) -> str:
    """``950``, ``12,000``, ``3.4 M``."""
    if count is None:
        return "?"
    if abs(count) < 1_000_000:
        return f"{count:,.0f}"
    return f"{count / 1e6:,.1f} M" if abs(count) < 1e9 else f"{count / 1e9:,.2f} G"


def line(text: str, most: int = 100) -> str:
    """A statement on one line, cut."""
    text = " ".join(text.split())
    return text if len(text) <= most else f"{text[: most - 1]}…"


def moment(text: str | None) -> datetime | None:
    """What the server, docker or we write as a time."""
    if not text:
        return None
    try:
        text = text.replace("Z", "+00:00")
        found = datetime.fromisoformat(text if text[-3] in "+-:" else f"{text}+00:00")
    except (ValueError, IndexError):
        try:  # the server's "+00", which 3.10 does not read
            found = datetime.fromisoformat(f"{text}:00")
        except ValueError:
            return None
    return found if found.tzinfo else found.replace(tzinfo=timezone.utc)


def written(at: int) -> str:
    """Seconds since 1970 as we write a time: ``2026-11-23T02:00:00Z``."""
    return f"{datetime.fromtimestamp(at, timezone.utc):%Y-%m-%dT%H:%M:%SZ}"


def ago(text: str | None, at: str) -> str:
    """How long before ``at`` something was."""
    then, now = moment(text), moment(at)
    if then is None or now is None:
        return "never"
    return f"{span(max((now - then).total_seconds(), 0))} ago"


def percent(part: float | None, whole: float | None) -> float:
    """Of nothing, nothing."""
    return 100.0 * float(part or 0) / float(whole) if whole else 0.0
