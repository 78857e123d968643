"""The comparison as one self-contained HTML page: no script, nothing from anywhere else."""

from __future__ import annotations

from html import escape

from load_test.compare import SHOWN, Side, verdict

_STYLE = """
:root{color-scheme:light dark;--ink:#1c2430;--soft:#5c6675;--line:#dfe3e8;--back:#fff;--card:#f6f7f9;
--s0:#b65c00;--s1:#3b6fd4;--bad:#b3261e}
@media(prefers-color-scheme:dark){:root{--ink:#e6e9ee;--soft:#9aa4b2;--line:#333b46;--back:#14181e;--card:#1c222b;
--s0:#e59a4f;--s1:#7aa2f7;--bad:#ff8a80}}
*{box-sizing:border-box}body{font:16px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--back);max-width:60rem;
margin:0 auto;padding:1.5rem 1rem 3rem}h1{font-size:1.5rem;margin:0}h2{font-size:1.1rem;margin:2.2rem 0 .6rem}
.soft{color:var(--soft)}.bad{color:var(--bad);font-weight:600}.scroll{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}th,td{padding:.35rem .6rem;text-align:right;
border-bottom:1px solid var(--line);white-space:nowrap}
th{color:var(--soft);font-weight:600}th:first-child,td:first-child{text-align:left}
i{display:inline-block;width:.9rem;height:.25rem;vertical-align:middle;margin-right:.4rem}
.s0 i{background:var(--s0)}.s1 i{background:var(--s1)}
figure{margin:1rem 0 0}figcaption{color:var(--soft);font-size:.9rem}
svg{display:block;width:100%;height:auto;background:var(--card);
border-radius:.3rem}svg text{fill:var(--soft);font:12px system-ui,sans-serif}svg path{fill:none;stroke:var(--line);
vector-effect:non-scaling-stroke}svg .c0{stroke:var(--s0);stroke-width:2.5}svg .c1{stroke:var(--s1);stroke-width:2.5}
"""
#: Of the drawing, in its own units.
_WIDTH, _HEIGHT, _LEFT, _RIGHT, _BOTTOM = 640, 240, 72, 28, 28


def render(loads: list[list[Side]], where: str, at: str) -> str:
    """The whole page."""
    parts = [
        "<!doctype html><html lang=en><meta charset=utf-8>",
        "<meta name=viewport content='width=device-width,initial-scale=1'>",
        f"<title>load test – {escape(where)}</title><style>{_STYLE}</style>",
        "<h1>The same load on both databases</h1>",
        f"<p class=soft>{escape(where)}, {escape(at)}. One copy of the app at a time, each with the same rows.</p>",
        *(f"<p{' class=bad' if 'failed' in line else ''}>{escape(line)}</p>" for line in verdict(loads)),
    ]  # fmt: skip
    for load in loads:
        parts += [f"<h2>{escape(load[0].load)}</h2>", _table(load), _curves(load)]
    return "\n".join(parts) + "\n"


def _table(load: list[Side]) -> str:
    head = "".join(f"<th>p{percent}" for percent in SHOWN)
    rows = "".join(
        f"<tr class=s{number}><td><i></i>{escape(side.name)}<td>{side.per_second:,.1f}"
        + "".join(f"<td>{side.latency[percent]:,.1f} ms" for percent in SHOWN)
        + f"<td>{side.latency['100']:,.1f} ms<td{' class=bad' if side.failed else ''}>"
        + f"{side.failed} of {side.requests:,}"
        for number, side in enumerate(load)
    )
    return (
        f"<div class=scroll><table><tr><th>median of {load[0].rounds} rounds<th>requests/s{head}"
        f"<th>longest<th>failed{rows}</table></div>"
    )


def _curves(load: list[Side]) -> str:
    """Latency by percentile: each percentile has the same width, so that the slow few can be seen."""
    percents = sorted(set.intersection(*(set(side.latency) for side in load)), key=int)
    most = max(side.latency["100"] for side in load) or 1.0
    step = (_WIDTH - _LEFT - _RIGHT) / max(len(percents) - 1, 1)
    high = _HEIGHT - _BOTTOM - 12

    def at(number: int, value: float) -> str:
        return f"{_LEFT + number * step:.1f} {12 + high * (1 - value / most):.1f}"

    lines = "".join(
        f"<path d='M{at(0, most * part)}H{_WIDTH - _RIGHT}'/>"
        f"<text x={_LEFT - 6} y={16 + high * (1 - part):.0f} text-anchor=end>{most * part:,.0f} ms</text>"
        for part in (0, 0.5, 1)
    ) + "".join(
        f"<text x={_LEFT + number * step:.0f} y={_HEIGHT - 9} text-anchor=middle>"
        f"{'longest' if percent == '100' else f'p{percent}'}</text>"
        for number, percent in enumerate(percents)
    )
    curves = "".join(
        f"<path class='line c{number}' d='M"
        + "L".join(at(place, side.latency[percent]) for place, percent in enumerate(percents))
        + f"'><title>{escape(side.name)}</title></path>"
        for number, side in enumerate(load)
    )
    names = ", ".join(escape(side.name) for side in load)
    return (
        f"<figure><svg viewBox='0 0 {_WIDTH} {_HEIGHT}' role=img aria-label='Latency of {names}'>{lines}{curves}</svg>"
        "<figcaption>How many of a hundred requests were answered within what time; lower is better."
        "</figcaption></figure>"
    )
