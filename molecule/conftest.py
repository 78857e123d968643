"""When a Testinfra test fails, its report says what the server has to say about it."""

from collections.abc import Generator

import pytest

EVIDENCE = (
    "systemctl --failed --no-pager --no-legend",
    "docker ps --all",
    "journalctl --no-pager --lines 30 --priority warning",
    'for c in $(docker ps --all --quiet); do echo "-- $c"; docker logs --tail 20 $c 2>&1; done',
)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    host = getattr(item, "funcargs", {}).get("host")
    if report.when == "call" and report.failed and host is not None:
        for command in EVIDENCE:
            result = host.run(command)
            report.sections.append((f"on the server: {command}", result.stdout + result.stderr))
    return report
