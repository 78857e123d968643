"""The look and its history as one self-contained HTML page; no script, nothing from anywhere else."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from db_status import show
from db_status.history import Sample
from db_status.options import Options
from db_status.plot import figures
from db_status.seen import Row, Seen
from db_status.show import Section
from db_status.text import duration, line, number, percent, size, span

_STYLE = """
:root{color-scheme:light dark;--ink:#1c2430;--soft:#5c6675;--line:#dfe3e8;--back:#fff;--card:#f6f7f9;
--good:#14733a;--bad:#b3261e;--warn:#8a5300;--bar:#3b6fd4;--second:#b65c00;--gap:#f6d5d2}
@media(prefers-color-scheme:dark){:root{--ink:#e6e9ee;--soft:#9aa4b2;--line:#333b46;--back:#14181e;
--card:#1c222b;--good:#5bd08b;--bad:#ff8a80;--warn:#f0b35a;--bar:#7aa2f7;--second:#e59a4f;--gap:#5a2a2a}}
*{box-sizing:border-box}
body{font:16px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--back);max-width:72rem;
margin:0 auto;padding:1.5rem 1rem 3rem}
h1{font-size:1.6rem;margin:0;overflow-wrap:anywhere}h2{font-size:1.1rem;margin:2.2rem 0 .6rem}
p{margin:.3rem 0}.soft{color:var(--soft)}.good{color:var(--good)}.critical{color:var(--bad)}
.warning{color:var(--warn)}.hint{color:var(--soft)}
ul.limits{list-style:none;margin:1rem 0 0;padding:0;display:grid;gap:.5rem}
ul.limits li{border-left:.3rem solid currentColor;background:var(--card);padding:.5rem .8rem;
border-radius:.2rem;overflow-wrap:anywhere}ul.limits div{color:var(--ink)}
code{font:.86em/1.45 ui-monospace,monospace;overflow-wrap:anywhere}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(9.5rem,1fr));gap:.6rem;margin:1.2rem 0 0}
.tile{background:var(--card);border-radius:.4rem;padding:.6rem .8rem;min-width:0}
.tile b{display:block;font-size:1.35rem;line-height:1.3;overflow-wrap:anywhere}
.tile span{display:block;color:var(--soft);font-size:.85rem}
.plots{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(19rem,100%),1fr));gap:1.2rem 1.6rem}
figure{margin:0;min-width:0;display:flex;flex-direction:column;justify-content:flex-end}
figcaption{font-weight:600;display:flex;flex-wrap:wrap;gap:0 .8rem;
justify-content:space-between;align-items:baseline}figcaption span{font-weight:400;color:var(--soft);font-size:.85rem}
.frame{display:grid;grid-template-columns:1fr auto;gap:0 .4rem}.frame svg{width:100%;height:7.5rem;display:block;
background:var(--card);border-radius:.2rem}.ys{display:flex;flex-direction:column;justify-content:space-between;
font-size:.75rem;color:var(--soft);min-width:3.2rem}.xs{display:flex;justify-content:space-between;font-size:.75rem;
color:var(--soft);margin-right:3.6rem}
svg path{fill:none;stroke:var(--bar);stroke-width:2;vector-effect:non-scaling-stroke;stroke-linejoin:round;
stroke-linecap:round}svg path.s1{stroke:var(--second)}svg path.area{fill:var(--bar);stroke:none;opacity:.14}
svg path.limit{stroke:var(--bad);stroke-width:1;stroke-dasharray:4 4}svg path.grid{stroke:var(--line);stroke-width:1}
svg rect.gap{fill:var(--gap)}svg rect.h{fill:transparent}svg rect.h:hover{fill:var(--ink);opacity:.1}
i.k{display:inline-block;width:.9rem;height:.2rem;vertical-align:middle;background:var(--bar);margin-right:.3rem}
i.k.s1{background:var(--second)}
.range{position:absolute;opacity:0}.range+label{display:inline-block;padding:.15rem .7rem;border:1px solid var(--line);
border-radius:1rem;font-size:.85rem;color:var(--soft);cursor:pointer;margin:0 .3rem .8rem 0}
.range:checked+label{color:var(--back);background:var(--ink);border-color:var(--ink)}
.range:focus-visible+label{outline:2px solid var(--bar);outline-offset:2px}
#all:checked~.plots.day,#day:checked~.plots.all{display:none}
.bars{display:grid;gap:.45rem;margin:0;padding:0;list-style:none}
.bars li{display:grid;grid-template-columns:minmax(0,14rem) minmax(0,1fr) 10.5rem;gap:0 .8rem;align-items:center}
.bars .n{overflow-wrap:anywhere}.bars .v{text-align:right;font-variant-numeric:tabular-nums}
.track{display:flex;height:.9rem;background:var(--card);border-radius:2px;overflow:hidden}
.bar{background:var(--bar);min-width:2px}.bar.s1{background:var(--second)}
.statements{list-style:none;margin:0;padding:0;display:grid;gap:.9rem}
.statements .track{height:.35rem;margin:.25rem 0}.statements li{min-width:0}
.statements p{font-variant-numeric:tabular-nums;font-size:.9rem}
details{margin:.5rem 0}summary{cursor:pointer;overflow-wrap:anywhere}details pre{white-space:pre-wrap;
overflow-wrap:anywhere;background:var(--card);padding:.7rem;border-radius:.2rem;margin:.3rem 0;
font:.86em/1.45 ui-monospace,monospace}
.scroll{overflow-x:auto}table{border-collapse:collapse;width:100%;font-size:.92rem}
th,td{padding:.35rem .6rem;border-bottom:1px solid var(--line);text-align:right;white-space:nowrap;
font-variant-numeric:tabular-nums}th{color:var(--soft);font-weight:600}.l{text-align:left}
td.w{white-space:normal;overflow-wrap:anywhere;min-width:16rem}
@media(max-width:40rem){.bars li{grid-template-columns:1fr auto}.bars .track{grid-column:1/-1;grid-row:2}}
"""


def render(seen: Seen, samples: list[Sample], options: Options) -> str:
    """The whole page."""
    verdict = show.verdict(seen)
    kind = {"fine": "good", "critical": "critical"}.get(verdict, "warning")
    where = seen.server.get("database", "the database")
    version = f", PostgreSQL {str(seen.server['version']).split()[0]}" if seen.server else ""
    parts = [
        "<!doctype html><html lang=en><meta charset=utf-8>",
        "<meta name=viewport content='width=device-width,initial-scale=1'>",
        "<meta name=referrer content=no-referrer>",
        f"<title>{escape(verdict)} – {escape(seen.host)} – db_status</title><style>{_STYLE}</style>",
        f"<h1 class={kind}>{escape(verdict.capitalize())}: {show.counts(seen)}</h1>",
        f"<p class=soft>{escape(where)} on {escape(seen.host)}{escape(version)},"
        f" {escape(seen.at.replace('T', ' ').replace('Z', ' UTC'))}</p>",
        _limits(seen),
        _tiles(seen),
        figures(samples, options.container),
        _sizes(seen, samples),
        _statements(seen),
        *(_section(section) for section in show.sections(seen, options)),
    ]
    return "\n".join(part for part in parts if part) + "\n"


def _limits(seen: Seen) -> str:
    items = [
        f"<li class={one.level}><strong>{one.level}: {escape(one.name)}</strong>"
        f"<div>{escape(one.evidence)}</div><div>next: <code>{escape(one.next)}</code></div>"
        for one in seen.crossed
    ] + [
        f"<li class=warning><strong>not seen: {escape(one.what)}</strong><div>{escape(one.why)}</div>"
        f"<div>next: <code>{escape(one.next)}</code></div>"
        for one in seen.unseen
    ]
    items += [f"<li class=hint><strong>note</strong><div>{escape(text)}</div>" for text in seen.notes]  # fmt: skip
    if not items:
        return "<p class=good>No limit is crossed, and everything was seen.</p>"
    return f"<ul class=limits>{''.join(items)}</ul>"


def _tiles(seen: Seen) -> str:
    tiles: list[tuple[str, str, str]] = []
    if seen.connections and seen.server:
        used, most = seen.connections["used"], seen.server["usable_connections"]
        tiles.append((f"{used} of {most}", "connections", f"{seen.connections['active']} active"))
    if seen.database:
        name = str(seen.database["name"])
        tiles.append((size(seen.database["bytes"]), f"database {name}", f"{len(seen.tables)} tables"))  # fmt: skip
        hit = show.cache_hit(seen.database)
        if hit:
            tiles.append((hit, "cache hit", f"of {size(seen.server['shared_buffers'])}"))
    for row in seen.disks[:2]:
        free = percent(row["free"], row["bytes"])
        tiles.append((size(row["free"]), f"free on {row['paths'][0]}", f"{free:.0f} %"))
    if seen.memory:
        free = percent(seen.memory["available"], seen.memory["bytes"])
        tiles.append((size(seen.memory["available"]), "memory available", f"{free:.0f} %"))
    newest = next((row for row in seen.backups if row["name"] == "newest backup"), None)
    if newest:
        age = span(newest["value"] * 3600) if newest["value"] >= 0 else "none"
        tiles.append((age, "age of the newest backup", "proved" if newest["ok"] else "too old"))
    oldest = max((row["seconds"] for row in seen.transactions), default=0)
    if seen.server:
        tiles.append((span(oldest), "oldest transaction", f"{len(seen.locks)} waiting for a lock"))
    cells = "".join(
        f"<div class=tile><span>{escape(what)}</span><b>{escape(value)}</b><span>{escape(more)}</span></div>"
        for value, what, more in tiles
    )
    return f"<div class=tiles>{cells}</div>"


def _sizes(seen: Seen, samples: list[Sample]) -> str:
    tables = seen.tables[:15]
    if not tables:
        return ""
    most = max(tables[0]["bytes"], 1)
    grown, days = _growth(samples)
    rows = []
    for row in tables:
        rest = row["bytes"] - row["index_bytes"]
        bars = (
            f"<span class=bar style='width:{percent(rest, most):.2f}%'></span>"
            f"<span class='bar s1' style='width:{percent(row['index_bytes'], most):.2f}%'></span>"
        )
        was = grown.get(f"{row['schema']}.{row['name']}")
        more = row["bytes"] - was if was is not None else 0
        growth = f" <span class=soft>{'+' if more > 0 else '−'}{size(abs(more))}</span>" if more else ""  # fmt: skip
        title = f"{number(row['live'])} rows, {number(row['dead'])} dead"
        rows.append(
            f"<li title='{escape(title, quote=True)}'><span class=n>{escape(show.name(row))}</span>"
            f"<span class=track>{bars}</span><span class=v>{size(row['bytes'])}{growth}</span>"
        )
    key = "<i class=k></i>rows <i class='k s1'></i>indexes"
    since = f"; grown in {span(days * 86400)}" if grown else ""
    return (
        f"<h2>Tables by size</h2><p class=soft>{key}{since}</p><ul class=bars>{''.join(rows)}</ul>"
    )


def _growth(samples: list[Sample]) -> tuple[dict[str, int], float]:
    """What tables weighed in the oldest sample, and how many days ago that was."""
    known = [one for one in samples if isinstance(one.body.get("tables"), dict)]
    if len(known) < 2:
        return {}, 0.0
    weights = known[0].body["tables"].items()
    found = {str(name).replace('"', ""): value for name, value in weights if isinstance(value, int)}
    return found, (known[-1].at - known[0].at) / 86400


def _statements(seen: Seen) -> str:
    if not seen.statements:
        return ""
    total = seen.statements_total.get("ms") or sum(r["total_exec_time"] for r in seen.statements)
    items = "".join(_statement(row, total) for row in seen.statements[:12])
    since = str(seen.statements_total.get("since") or "")[:16]
    return (
        f"<h2>Slowest statements</h2><p class=soft>by the time they took in all, since {escape(since)}</p>"
        f"<ol class=statements>{items}</ol>"
    )


def _statement(row: Row, total: float) -> str:
    share = percent(row["total_exec_time"], total)
    text = str(row["query"] or "(not ours to see)")
    short = line(text, 160)
    shown = f"<code>{escape(short)}</code>"
    if short != text.strip():
        cut = "\n…" if row["cut"] else ""
        shown = f"<details><summary>{shown}</summary><pre>{escape(text + cut)}</pre></details>"
    return (
        f"<li>{shown}<div class=track><span class=bar style='width:{share:.2f}%'></span></div>"
        f"<p><b>{duration(row['total_exec_time'])}</b> ({share:.0f} %)"
        f" <span class=soft>· {number(row['calls'])} calls · mean {duration(row['mean_exec_time'])}"
        f" · slowest {duration(row['max_exec_time'])} · {number(row['rows'])} rows"
        f" · {escape(str(row['role'] or '?'))}</span></p>"
    )


#: Shown above in another way.
_ELSEWHERE = ("Slowest statements",)


def _section(section: Section) -> str:
    if section.title.startswith(_ELSEWHERE):
        return ""
    lines = "".join(f"<p>{escape(text)}</p>" for text in section.lines)
    return f"<h2>{escape(section.title)}</h2>{lines}{_table(section)}"


def _table(section: Section) -> str:
    if not section.rows:
        return ""
    last = len(section.head) - 1

    def cells(tag: str, row: Iterable[str]) -> str:
        return "".join(f"<{tag}{_class(section, i, last)}>{escape(cell)}" for i, cell in enumerate(row))  # fmt: skip

    rows = "".join(f"<tr>{cells('td', row)}" for row in section.rows)
    return f"<div class=scroll><table><tr>{cells('th', section.head)}{rows}</table></div>"


def _class(section: Section, number: int, last: int) -> str:
    if section.words and number == last:
        return " class='l w'"
    return " class=l" if number < section.left else ""
