"""ApacheBench, as the usual guide calls it: so many GETs of one path, so many at a time."""

from __future__ import annotations

import re

from pg_tools.errors import Failure

from load_test.measured import Measured, call
from load_test.settings import Settings

#: Lines of its summary.
_SERVED = re.compile(r"^\s+(\d+)%\s+(\d+)", re.MULTILINE)
_COUNT = r"^{}:\s+([\d.]+)"


def measure(url: str, settings: Settings) -> Measured:
    """``ab -n REQUESTS -c CONCURRENCY URL``.

    Raises:
        Failure: the app did not answer, or refused every request.
    """
    words = [
        "ab", "-q",
        "-l",  # answers of different length are no failures
        "-n", str(settings.requests), "-c", str(settings.concurrency), "-s", str(settings.timeout),
        url + settings.path,
    ]  # fmt: skip
    text = call(words, 60 + settings.requests * settings.timeout / settings.concurrency)
    load = f"GET {settings.path}, {settings.concurrency} at a time"
    failed = _number(text, "Failed requests") + _number(text, "Non-2xx responses")
    done = int(_number(text, "Complete requests"))
    if not done or failed >= done:
        raise Failure(
            "not one request was answered with 200",
            where=url + settings.path,
            next="take a path that the app has: benchmark_path",
        )
    return Measured(
        load,
        done,
        int(failed),
        _number(text, "Requests per second"),
        {percent: float(ms) for percent, ms in _SERVED.findall(text)},
    )


def _number(text: str, name: str) -> float:
    found = re.search(_COUNT.format(re.escape(name)), text, re.MULTILINE)
    return float(found.group(1)) if found else 0.0
