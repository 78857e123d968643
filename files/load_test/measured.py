"""What one load on one side showed."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass

from pg_tools.errors import Failure


@dataclass(frozen=True)
class Measured:
    """Latencies in milliseconds, by percentile; throughput in requests a second."""

    load: str
    requests: int
    failed: int
    per_second: float
    latency: dict[str, float]


def call(words: list[str], seconds: float) -> str:
    """Run a load tool and return what it printed.

    Raises:
        Failure: it is missing, or could not do its work.
    """
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=seconds, check=False)
    except FileNotFoundError as error:
        raise Failure(
            f"{words[0]} is not installed", next="apt install apache2-utils wrk"
        ) from error
    except subprocess.TimeoutExpired as error:
        raise Failure(f"{words[0]} did not end in {seconds:.0f} s", where=words[-1]) from error
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip()).splitlines()
        raise Failure(
            f"{words[0]} could not put the app under load",
            where=words[-1],
            details=said[-4:],
            next="see what the app says: docker logs of its container",
        )
    return done.stdout
