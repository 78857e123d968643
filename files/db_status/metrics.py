"""What the sampler saw, for Prometheus' textfile collector. The server's own numbers come from its exporter."""

from __future__ import annotations

import time

from db_status.options import Options
from db_status.seen import Row


def text(sample: Row, options: Options) -> str:
    """The whole file."""
    lines = [
        *_gauge("db_status_timestamp_seconds", "Moment of the last sample.", [("", time.time())]),
        *_gauge("db_status_server_up", "Whether the server answered (1).",
                [("", float("down" not in sample))]),
        *_gauge("db_status_container_restarts", "Restarts of a container since it was made.",
                [(f'{{name="{_label(name)}"}}', row["restarts"]) for name, row in sample["containers"].items()]),
        *_gauge("db_status_container_oom_kills", "Processes that the kernel killed in a running container.",
                [(f'{{name="{_label(name)}"}}', row["oom_kills"]) for name, row in sample["containers"].items()]),
        *_gauge("db_status_disk_free_bytes", "Free space of a disk.",
                [(f'{{path="{_label(path)}"}}', free) for path, (free, _) in sample["disks"].items()]),
        *_gauge("db_status_disk_bytes", "Size of a disk.",
                [(f'{{path="{_label(path)}"}}', whole) for path, (_, whole) in sample["disks"].items()]),
    ]  # fmt: skip
    if "down" not in sample:
        lines += [
            *_gauge("db_status_cost_seconds", "What the sample's questions took.",
                    [("", sample["cost_ms"] / 1000)]),
            *_gauge("db_status_usable_connections", "Connections that roles without special rights may have.",
                    [("", sample["limit"])]),
            *_gauge("db_status_oldest_transaction_seconds", "Age of the oldest open transaction.",
                    [("", sample["oldest"])]),
            *_gauge("db_status_xid_age", "Age of the oldest transaction id of all databases.",
                    [("", sample["xid_age"])]),
            *_gauge("db_status_migration", "What a migration left: nothing, a database held read-only, or an open one.",
                    [(f'{{state="{state}"}}', float(state == sample["migration"]))
                     for state in ("none", "held", "open")]),
        ]  # fmt: skip
    return "\n".join(lines) + "\n"


def _gauge(name: str, said: str, values: list[tuple[str, float]]) -> list[str]:
    if not values:
        return []
    return [
        f"# HELP {name} {said}",
        f"# TYPE {name} gauge",
        *(f"{name}{label} {value:.10g}" for label, value in values),
    ]


def _label(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
