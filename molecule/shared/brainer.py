"""What scenarios that break things do with the app and its database; prepare has put the programs into /root/faults."""

from __future__ import annotations

import time

from testinfra.host import Host


def psql(host: Host, query: str, database: str = "brainer") -> str:
    """Ask the server, or change something, as its superuser."""
    words = f"-U postgres -d {database} -v ON_ERROR_STOP=1"
    return host.check_output(f"docker exec brainer-postgres psql {words} -Atc %s", query)


def answers(host: Host) -> str:
    """All that the API lists."""
    return host.check_output("python3 /root/faults/ask.py")


def written(host: Host) -> str:
    """Create, change and delete in every table through the API; what it answers then."""
    host.check_output("python3 /root/faults/write.py %s", f"t{time.time_ns()}")
    return answers(host)
