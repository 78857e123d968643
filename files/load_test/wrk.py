"""wrk: reads and writes mixed, as fast as the app answers."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from pg_tools.errors import Failure

from load_test.measured import Measured, call
from load_test.settings import Call, Settings, reads, writes

#: The percentiles that ab shows, too.
_PERCENTILES = (50, 66, 75, 80, 90, 95, 98, 99, 100)
_MARK = "@@"

_SCRIPT = """
local percent, reads, writes = {percent}, {{}}, {{}}
function init(args)
  math.randomseed(1)  -- the same order on both sides
  wrk.headers["Content-Type"] = "application/json"
{calls}
end
function request()
  if #writes > 0 and math.random(100) <= percent then return writes[math.random(#writes)] end
  return reads[math.random(#reads)]
end
function done(summary, latency, requests)
  local e = summary.errors
  io.write(string.format('{mark}{{"requests":%d,"seconds":%f,"refused":%d,"broken":%d,"latency":{{',
    summary.requests, summary.duration / 1e6, e.status, e.connect + e.read + e.write + e.timeout))
  for i, p in ipairs({{{percentiles}}}) do
    local late = p == 100 and latency.max or latency:percentile(p)
    io.write(string.format('%s"%d":%f', i > 1 and "," or "", p, late / 1e3))
  end
  io.write("}}}}\\n")
end
"""


def measure(url: str, settings: Settings) -> Measured:
    """So many connections that ask again as soon as they are answered, for so many seconds.

    Raises:
        Failure: the app did not answer, or refused every request.
    """
    changing = writes(settings, url) if settings.write_percent else []
    percent = settings.write_percent if changing else 0
    script = _SCRIPT.format(
        percent=percent,
        calls="\n".join([*_calls("reads", reads(settings)), *_calls("writes", changing)]),
        percentiles=", ".join(map(str, _PERCENTILES)),
        mark=_MARK,
    )
    with tempfile.TemporaryDirectory(prefix="load_test.") as directory:
        path = Path(directory, "mixed.lua")
        path.write_text(script, encoding="ascii")
        words = [
            "wrk", "--threads", "1", "--connections", str(settings.concurrency), "--duration", f"{settings.seconds}s",
            "--timeout", f"{settings.timeout}s", "--script", str(path), url,
        ]  # fmt: skip
        text = call(words, 60 + settings.seconds + settings.timeout)
    found = json.loads(text.rpartition(_MARK)[2])
    load = (
        f"{100 - percent} % reads, {percent} % writes, {settings.concurrency} at a time,"
        f" {settings.seconds} s"
    )
    failed = found["refused"] + found["broken"]
    if not found["requests"] or found["refused"] >= found["requests"]:
        raise Failure(
            "not one request of the mixed load was answered well",
            where=url,
            next="see what benchmark_reads and benchmark_writes ask for",
        )
    return Measured(
        load, found["requests"], failed, found["requests"] / found["seconds"], found["latency"]
    )


def _calls(table: str, calls: list[Call]) -> list[str]:
    return [
        f"  {table}[{number}] = wrk.format({_text(one.method)}, {_text(one.path)}, nil,"
        f" {_text(one.body) if one.body else 'nil'})"
        for number, one in enumerate(calls, 1)
    ]


def _text(value: str) -> str:
    """As Lua writes any bytes."""
    return '"' + "".join(f"\\{byte:03d}" for byte in value.encode()) + '"'
