"""The history as line plots: SVG that stretches, with its words in HTML beside it, so they stay readable on a phone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from html import escape

from db_status.history import Sample
from db_status.seen import Row
from db_status.text import number, percent, size, span

Point = tuple[int, float | None]  #: seconds since 1970; None where nothing is known

_WIDTH, _HEIGHT = 600, 100
#: More points than that, and a pixel would show several.
_POINTS = 200
_HOVERS = 50
_DAY = 86400


@dataclass(frozen=True)
class Plot:
    """One quantity over time; a second line has to be of the same kind."""

    title: str
    show: Callable[[float | None], str]
    lines: Sequence[tuple[str, list[Point]]]
    limit: float | None = None
    floor: float | None = 0.0  #: where the axis begins; None: at the smallest value
    down: list[int] = field(default_factory=list)  #: moments at which the server did not answer


def figures(samples: list[Sample], container: str = "") -> str:
    """All plots, of the last day and of everything, when that is more."""
    if not samples:
        said = "There is no sample yet: <code>db_status sample</code> takes one, its schedule many."
        return f"<h2>History</h2><p>{said}</p>"
    first, last = samples[0].at, samples[-1].at
    every = plots(samples, container)
    if last - first <= 1.2 * _DAY:
        return f"<h2>History</h2>{_grid(every, first, last, '')}"
    day = plots([one for one in samples if one.at >= last - _DAY], container)
    return (
        "<h2>History</h2><input class=range type=radio name=range id=day checked><label for=day>one day</label>"
        f"<input class=range type=radio name=range id=all><label for=all>{span(last - first)}</label>"
        f"{_grid(day, last - _DAY, last, 'day')}{_grid(every, first, last, 'all')}"
    )


def plots(samples: list[Sample], container: str) -> list[Plot]:
    """What is worth a plot; one without a single value is left out."""
    down = [one.at for one in samples if "down" in one.body]
    limits = [value for _, value in _values(samples, "", "limit") if value is not None]
    disks = [name for one in samples[-1:] for name in _at(one.body, "disks")]
    disk = disks[0] if disks else ""
    found = [
        Plot("Connections", number,
             [("in use", _values(samples, "connections", "used")),
              ("active", _values(samples, "connections", "active"))],
             limit=limits[-1] if limits else None),
        Plot("Transactions per second", _rate,
             [("", _rates(samples, "database", "xact_commit", "xact_rollback"))]),
        Plot("Statements at work", _rate,
             [("", _scaled(_rates(samples, "statements", "ms"), 0.001))]),
        Plot("Rows written per second", _rate,
             [("", _rates(samples, "database", "tup_inserted", "tup_updated", "tup_deleted"))]),
        Plot("Cache hit", _percent, [("", _hits(samples))], floor=None),
        Plot("Size of the database", size, [("", _values(samples, "database", "bytes"))], floor=None),
        Plot(f"Free on {disk}", size, [("", _disk(samples, disk))]),
        Plot("Memory", size,
             [("available", _values(samples, "memory", "available")),
              (container or "server", _memory(samples, container))]),
        Plot("WAL per hour", size, [("", _scaled(_rates(samples, "", "wal"), 3600))]),
        Plot("Oldest transaction", span, [("", _values(samples, "", "oldest"))]),
    ]  # fmt: skip
    seen = []
    for plot in found:
        lines = [(name, points) for name, points in plot.lines if any(v is not None for _, v in points)]  # fmt: skip
        if lines:
            seen.append(Plot(plot.title, plot.show, lines, plot.limit, plot.floor, down))
    return seen


def _grid(found: list[Plot], since: int, until: int, kind: str) -> str:
    return f"<div class='plots {kind}'>{''.join(draw(plot, since, until) for plot in found)}</div>"


def draw(plot: Plot, since: int, until: int) -> str:
    """One figure."""
    until = max(until, since + 1)
    thin = [(name, _thinned(points, since, until)) for name, points in plot.lines]
    values = [value for _, points in thin for _, value in points if value is not None]
    low = min(values) if plot.floor is None else min(plot.floor, *values, 0)
    high = max(values)
    if plot.limit is not None and high > plot.limit / 2:
        high = max(high, plot.limit)
    if plot.floor is None:  # a line that hardly moves must not look like an alarm
        margin = max((high - low) * 0.1, abs(high) * 0.005)
        low, high = low - margin, high + margin
        if plot.show is _percent:
            low, high = max(low, 0.0), min(high, 100.0)
    if high <= low:
        high = low + 1

    def x(at: float) -> float:
        return (at - since) / (until - since) * _WIDTH

    def y(value: float) -> float:
        return _HEIGHT - 3 - (value - low) / (high - low) * (_HEIGHT - 6)

    marks = [low + (high - low) * part for part in (0, 0.5, 1)]
    parts = [f"<path class=grid d='M0 {y(mark):.1f}H{_WIDTH}'/>" for mark in marks]
    parts += [_gap(x, at, until - since) for at in plot.down]
    for index, (_, points) in enumerate(thin):
        parts += _path(points, x, y, index)
    if plot.limit is not None and low <= plot.limit <= high:
        parts.append(f"<path class=limit d='M0 {y(plot.limit):.1f}H{_WIDTH}'/>")
    parts += _hovers(plot, thin, x)
    numbers = "".join(f"<span>{escape(plot.show(mark))}</span>" for mark in reversed(marks))
    said = f"{plot.title}: {plot.show(_last(thin[0][1]))} now, {plot.show(min(values))} to {plot.show(max(values))}"
    return (
        f"<figure><figcaption>{escape(plot.title)}{_key(plot, thin)}</figcaption><div class=frame>"
        f"<svg viewBox='0 0 {_WIDTH} {_HEIGHT}' preserveAspectRatio=none role=img"
        f" aria-label='{escape(said, quote=True)}'>"
        f"{''.join(parts)}</svg><div class=ys>{numbers}</div></div>"
        f"<div class=xs>{_times(since, until)}</div></figure>"
    )


def _key(plot: Plot, thin: list[tuple[str, list[Point]]]) -> str:
    if len(thin) == 1 and not thin[0][0]:
        return f"<span>now {escape(plot.show(_last(thin[0][1])))}</span>"
    items = [
        f"<i class='k s{index}'></i>{escape(name)} {escape(plot.show(_last(points)))}"
        for index, (name, points) in enumerate(thin)
    ]
    if plot.limit is not None:
        items.append(f"limit {escape(plot.show(plot.limit))}")
    return f"<span>{' · '.join(items)}</span>"


def _last(points: list[Point]) -> float | None:
    return next((value for _, value in reversed(points) if value is not None), None)


def _path(
    points: list[Point], x: Callable[[float], float], y: Callable[[float], float], index: int
) -> list[str]:
    """Strokes between gaps; a point that stands alone is a dot."""
    strokes: list[list[Point]] = [[]]
    for point in points:
        if point[1] is None:
            strokes.append([])
        else:
            strokes[-1].append(point)
    parts = []
    for stroke in filter(None, strokes):
        dots = [(x(at), y(value)) for at, value in stroke if value is not None]
        line = "L".join(f"{a:.1f} {b:.1f}" for a, b in dots)
        if len(dots) == 1:
            line += "h.01"
        elif index == 0:
            parts.append(f"<path class=area d='M{line}V{_HEIGHT}H{dots[0][0]:.1f}Z'/>")
        parts.append(f"<path class='line s{index}' d='M{line}'/>")
    return parts


def _gap(x: Callable[[float], float], at: int, whole: int) -> str:
    width = max(_WIDTH * 300 / whole, 2)
    return (
        f"<rect class=gap x='{max(x(at) - width, 0):.1f}' y=0 width='{width:.1f}' height={_HEIGHT}>"
        f"<title>{_time(at)}: the server did not answer</title></rect>"
    )


def _hovers(plot: Plot, thin: list[tuple[str, list[Point]]], x: Callable[[float], float]) -> list[str]:  # fmt: skip
    """Words for whoever points at a place."""
    points = thin[0][1]
    step = max(len(points) // _HOVERS, 1)
    parts = []
    for number_ in range(0, len(points), step):
        at = points[number_][0]
        said = ", ".join(
            f"{name} {plot.show(line[number_][1])}".strip()
            for name, line in thin
            if number_ < len(line) and line[number_][1] is not None
        )
        if said:
            width = _WIDTH / max(len(points) / step, 1)
            parts.append(
                f"<rect class=h x='{max(x(at) - width / 2, 0):.1f}' y=0 width='{width:.1f}' height={_HEIGHT}>"
                f"<title>{_time(at)}: {escape(said)}</title></rect>"
            )
    return parts


def _times(since: int, until: int) -> str:
    form = "%H:%M" if until - since <= 1.2 * _DAY else "%b %-d"
    return "".join(
        f"<span>{datetime.fromtimestamp(since + (until - since) * part, timezone.utc).strftime(form)}</span>"
        for part in (0, 0.5, 1)
    )


def _time(at: int) -> str:
    return datetime.fromtimestamp(at, timezone.utc).strftime("%a %-d %b %H:%M")


def _thinned(points: list[Point], since: int, until: int) -> list[Point]:
    """At most so many as can be seen: the highest of each stretch, so that no peak is lost."""
    inside = [point for point in points if since <= point[0] <= until]
    if len(inside) <= _POINTS:
        return inside
    step = (until - since) / _POINTS
    stretches: dict[int, list[Point]] = {}
    for point in inside:
        stretches.setdefault(min(int((point[0] - since) / step), _POINTS - 1), []).append(point)
    found: list[Point] = []
    for number_ in range(_POINTS):
        stretch = stretches.get(number_, [])
        known = [value for _, value in stretch if value is not None]
        found.append((int(since + (number_ + 0.5) * step), max(known) if known else None))
    return found


def _at(body: Row, group: str) -> Row:
    found = body.get(group, {}) if group else body
    return found if isinstance(found, dict) else {}


def _number(value: object) -> float | None:
    """A value of the history, which somebody may have written into."""
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _values(samples: list[Sample], group: str, key: str) -> list[Point]:
    return [(one.at, _number(_at(one.body, group).get(key))) for one in samples]


def _rates(samples: list[Sample], group: str, *keys: str) -> list[Point]:
    """Per second, between two samples; unknown after a restart of the counters."""
    found: list[Point] = []
    before: tuple[int, float] | None = None
    for one in samples:
        values = [_number(_at(one.body, group).get(key)) for key in keys]
        if None in values:
            found.append((one.at, None))
            continue
        total = sum(value for value in values if value is not None)
        rate = None
        if before is not None and one.at > before[0] and total >= before[1]:
            rate = (total - before[1]) / (one.at - before[0])
        found.append((one.at, rate))
        before = (one.at, total)
    return found


def _scaled(points: list[Point], factor: float) -> list[Point]:
    return [(at, None if value is None else value * factor) for at, value in points]


def _hits(samples: list[Sample]) -> list[Point]:
    """Percent of the pages between two samples that the cache had."""
    hit = _rates(samples, "database", "blks_hit")
    read = _rates(samples, "database", "blks_read")
    return [
        (at, percent(a, a + b) if a is not None and b is not None and a + b > 0 else None)
        for (at, a), (_, b) in zip(hit, read, strict=True)
    ]


def _disk(samples: list[Sample], disk: str) -> list[Point]:
    found: list[Point] = []
    for one in samples:
        pair = _at(one.body, "disks").get(disk)
        found.append((one.at, _number(pair[0]) if isinstance(pair, list) and pair else None))
    return found


def _memory(samples: list[Sample], container: str) -> list[Point]:
    return [
        (one.at, _number(_at(_at(one.body, "containers"), container).get("memory")) if container else None)
        for one in samples
    ]  # fmt: skip


def _rate(value: float | None) -> str:
    if value is None:
        return "?"
    return f"{value:.2f}" if value < 10 else f"{value:,.0f}"


def _percent(value: float | None) -> str:
    return "?" if value is None else f"{value:.1f} %"
