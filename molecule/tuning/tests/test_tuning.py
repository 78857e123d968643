"""Sizes, and what becomes of good and bad settings. The running server is asked, not its files."""

from __future__ import annotations

import json

import pytest
from controller import Run, play
from testinfra.host import Host

CONF = "/opt/brainer-db/postgres/etc/conf.d"


def sql(host: Host, query: str) -> str:
    return host.check_output(
        "docker exec brainer-postgres psql -XAtq -U postgres -c %s", query
    ).strip()


def show(host: Host, *names: str) -> dict[str, str]:
    wanted = ",".join(f"'{name}'" for name in names)
    query = f"SELECT json_object_agg(n, current_setting(n)) FROM unnest(ARRAY[{wanted}]) n"
    found: dict[str, str] = json.loads(sql(host, query))
    return found


def born(host: Host) -> str:
    return sql(host, "SELECT pg_postmaster_start_time()")


def tune(*words: str, settings: dict[str, object]) -> Run:
    extra = json.dumps({"postgres_settings": settings})
    return play("site.yml", "--tags", "tuning", "-e", extra, *words)


class TestSizes:
    def test_the_guides_numbers_for_2_gb(self, host: Host) -> None:
        wanted = {
            "shared_buffers": "256MB",
            "effective_cache_size": "1GB",
            "maintenance_work_mem": "64MB",
            "work_mem": "16MB",
            "max_connections": "50",
        }
        assert show(host, *wanted) == wanted

    def test_what_the_guide_leaves_out(self, host: Host) -> None:
        wanted = {
            "shared_preload_libraries": "pg_stat_statements",
            "random_page_cost": "1.1",
            "wal_compression": "lz4",
            "jit": "off",
            "max_parallel_workers": "2",
            "idle_in_transaction_session_timeout": "10min",
            "log_min_duration_statement": "1s",
            "log_temp_files": "16MB",
        }
        assert show(host, *wanted) == wanted

    def test_the_containers_limits_follow(self, host: Host) -> None:
        (found,) = json.loads(host.check_output("docker inspect brainer-postgres"))
        assert found["HostConfig"]["Memory"] == 1024 * 2**20
        assert found["HostConfig"]["ShmSize"] == 256 * 2**20

    def test_the_sums_hold_what_the_server_says_of_itself(self, host: Host) -> None:
        """shared_buffers and the line after it, against the server's own word."""
        assert int(sql(host, "SHOW shared_memory_size").removesuffix("MB")) <= 256 + 29

    def test_nothing_waits_and_nothing_is_wrong(self, host: Host) -> None:
        assert sql(host, "SELECT name FROM pg_settings WHERE pending_restart") == ""
        assert sql(host, "SELECT * FROM pg_file_settings WHERE error IS NOT NULL") == ""


class TestRefused:
    """The server still runs, with what it ran with."""

    @pytest.mark.parametrize(
        ("settings", "said"),
        [
            ({"work_mem": "64MB"}, "15 connections of the app, 64MB x 2 + 3 MB each 1965 MB"),
            ({"worc_mem": "8MB"}, 'unrecognized configuration parameter "worc_mem"'),
            # a server starts with it
            ({"pg_stat_statement.max": "100"}, '"pg_stat_statement.max" in file'),
        ],
        ids=["budget", "unknown", "prefix"],
    )
    def test_before_anything_changes(
        self, host: Host, settings: dict[str, object], said: str
    ) -> None:
        before = born(host), host.check_output("cat %s/*.conf", CONF)
        run = tune(settings=settings)
        assert run.rc != 0 and said in run.failure, run.failure
        assert (born(host), host.check_output("cat %s/*.conf", CONF)) == before
        assert show(host, "work_mem") == {"work_mem": "16MB"}


def test_what_an_operator_changes(host: Host) -> None:
    """A restart waits until it may; where a reload does there is none; an edited file is kept."""
    settings: dict[str, object] = {"max_connections": 60, "log_min_duration_statement": "700ms"}
    before = born(host)
    run = tune("-e", "tuning_restart=never", settings=settings)
    assert run.rc == 0 and "until a restart: max_connections" in run.output
    assert born(host) == before
    reloaded = show(host, "max_connections", "log_min_duration_statement")
    assert list(reloaded.values()) == ["50", "700ms"]

    # the files are as they should be already: the server says what is missing
    assert tune(settings=settings).rc == 0
    assert born(host) != before
    assert show(host, "max_connections") == {"max_connections": "60"}

    before = born(host)
    host.check_output("sed -i s/16MB/17MB/ %s/05-tuning.conf", CONF)
    sql(host, "ALTER SYSTEM SET deadlock_timeout = '7s'")
    run = tune(settings={"max_connections": 60, "deadlock_timeout": "2s"})
    assert run.rc == 0 and born(host) == before
    assert "05-tuning.conf on brainer-tuning had been edited by hand" in run.output
    assert "17MB" in host.check_output("cat %s/05-tuning.conf.edited-*", CONF)
    assert "ALTER SYSTEM RESET deadlock_timeout" in " ".join(run.output.split())
    changed = show(host, "work_mem", "deadlock_timeout", "log_min_duration_statement")
    assert list(changed.values()) == ["16MB", "7s", "1s"]
