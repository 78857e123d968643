"""The sizes as a table, and what holds for every machine."""

from __future__ import annotations

import doctest
import re

import pytest
import tuning_budget
from hypothesis import given
from hypothesis import strategies as st
from tuning_budget import LEAST_RAM, Machine, Plan, Refused, Wishes, at_most, nominal, plan

# RAM, CPUs | limit, shared_buffers, effective_cache_size, maintenance_work_mem, work_mem, parallel workers
TABLE = """
  512  1 |   256    64MB   256MB    16MB    3MB   0
 1024  1 |   512   128MB   512MB    32MB    8MB   0
 2048  1 |  1024   256MB     1GB    64MB   16MB   0
 2048  2 |  1024   256MB     1GB    64MB   16MB   2
 2048  8 |  1024   256MB     1GB    64MB   16MB   2
 4096  2 |  2816   704MB  2816MB   176MB   44MB   2
 8192  4 |  6400  1600MB  6400MB   400MB  100MB   4
16384  4 | 13568  3392MB 13568MB   848MB  128MB   4
32768  8 | 29952  7488MB 29952MB     1GB  128MB   8
65536 16 | 62720 15680MB 62720MB     1GB  128MB  16
"""
ROWS = [line.split() for line in TABLE.strip().splitlines()]
MAJORS = (14, 15, 16, 17, 18)


def machine(ram: int = 2048, cpus: int = 2, disk: int = 40_000, free: int = 30_000) -> Machine:
    return Machine(ram=ram, cpus=cpus, disk_size=disk, disk_free=free)


def mib(text: object) -> float:
    found = re.fullmatch(r"(\d+)(kB|MB|GB)", str(text))
    assert found, text
    return int(found[1]) * {"kB": 2**-10, "MB": 1, "GB": 2**10}[found[2]]


def worst(made: Plan, pool: int) -> float:
    """What the server takes when everybody hashes at once; summed up anew, from the settings alone."""
    found = made.settings
    users = pool + int(found["max_parallel_workers"])
    shared = mib(found["shared_buffers"]) * 33 / 32 + mib(found["wal_buffers"])
    vacuum = 3 * mib(found["autovacuum_work_mem"]) + mib(found["maintenance_work_mem"])
    return shared + vacuum + users * (2 * mib(found["work_mem"]) + 3)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row[0]}-{row[1]}")
@pytest.mark.parametrize("major", MAJORS)
def test_the_table(row: list[str], major: int) -> None:
    ram, cpus, _, limit, buffers, cache, maintenance, work, parallel = row
    made = plan(machine(int(ram), int(cpus)), Wishes(major=major))
    found = made.settings
    assert made.limit == int(limit)
    assert (found["shared_buffers"], found["effective_cache_size"]) == (buffers, cache)
    assert (found["maintenance_work_mem"], found["work_mem"]) == (maintenance, work)
    assert found["max_parallel_workers"] == int(parallel)
    assert found["max_connections"] == 50
    assert found["wal_compression"] == ("on" if major == 14 else "lz4")
    assert worst(made, 15) <= made.limit


def test_a_virtual_server_shows_less_than_it_is_sold_as() -> None:
    assert doctest.testmod(tuning_budget).failed == 0
    assert plan(machine(nominal(1963)), Wishes()).settings["shared_buffers"] == "256MB"


@given(
    ram=st.integers(LEAST_RAM, 2**18),
    cpus=st.integers(1, 128),
    workers=st.integers(1, 32),
    pool=st.integers(1, 40),
    disk=st.integers(100, 10**7),
    full=st.floats(0, 1),
    limit=st.sampled_from([0, 192, 300, 768, 4096]),
    major=st.sampled_from(MAJORS),
)
def test_every_plan_is_within_the_budget_or_refused(
    ram: int, cpus: int, workers: int, pool: int, disk: int, full: float, limit: int, major: int
) -> None:
    wishes = Wishes(major=major, workers=workers, pool=pool, limit=limit)
    try:
        made = plan(machine(ram, cpus, disk, int(disk * full)), wishes)
    except Refused as refused:
        assert re.search(r"MB|at least", str(refused))
        return
    found = made.settings
    assert worst(made, workers * pool) <= made.limit
    assert made.limit + made.app + made.drill < ram
    assert int(found["max_connections"]) >= workers * pool + 3
    assert mib(found["max_wal_size"]) <= max(128, disk * full / 4)
    assert mib(found["min_wal_size"]) * 2 <= mib(found["max_wal_size"])
    assert 64 <= made.shm <= max(64, made.limit // 4)


@pytest.mark.parametrize(
    ("disk", "free", "most"),
    [
        (20_000, 15_000, "1GB"),
        (40_000, 30_000, "2GB"),
        (80_000, 70_000, "4GB"),
        (80_000, 3_000, "512MB"),
        (5_000, 4_000, "256MB"),
        (10**6, 10**6, "8GB"),
        (500, 100, "128MB"),
    ],
)
def test_the_log_of_changes_follows_the_disk(disk: int, free: int, most: str) -> None:
    small, large = (plan(machine(ram, disk=disk, free=free), Wishes()) for ram in (1024, 16384))
    assert small.settings["max_wal_size"] == large.settings["max_wal_size"] == most


def test_more_workers_of_the_app_share_what_there_is() -> None:
    made = [plan(machine(4096), Wishes(workers=workers)) for workers in (1, 4, 8)]
    assert [int(found.settings["max_connections"]) for found in made] == [50, 80, 140]
    work = [mib(found.settings["work_mem"]) for found in made]
    assert work == sorted(work, reverse=True) and work[0] > work[-1] >= 1


class TestWishes:
    def test_they_are_left_out_and_the_rest_follows(self) -> None:
        made = plan(machine(), Wishes(settings={"shared_buffers": "512MB", "jit": True}))
        assert not {"shared_buffers", "jit"} & set(made.settings)
        assert mib(made.settings["work_mem"]) < 16, "less is left"
        assert any("512 MB" in line for line in made.budget)

    @pytest.mark.parametrize("same", ["32MB", "32768kB", "32768", 32768, " 32 MB "])
    def test_sizes_as_postgresql_reads_them(self, same: object) -> None:
        with pytest.raises(Refused, match=r"32MB x 2"):
            plan(machine(), Wishes(settings={"work_mem": same}))

    @pytest.mark.parametrize(
        ("settings", "words"),
        [
            ({"work_mem": "64MB"}, r"15 connections.* 1965 MB\n.*\n.*limit +2624 MB\n.*work_mem = 64MB back"),
            ({"shared_buffers": "1GB"}, "more than the container may have"),
            ({"shared_buffers": "0.5 gigabytes"}, "reads sizes as 64MB"),
            ({"max_connections": 10}, "the app may open 15 .*18 at least"),
            ({"max_connections": "many"}, "is no number"),
        ],
    )  # fmt: skip
    def test_refused_with_the_sums(self, settings: dict[str, object], words: str) -> None:
        with pytest.raises(Refused, match=f"(?s){words}"):
            plan(machine(), Wishes(settings=settings))

    @pytest.mark.parametrize(
        ("wishes", "words"),
        [
            (Wishes(limit=128), "A container of 128 MB is too small"),
            (
                Wishes(limit=1536),
                r"(?s)PostgreSQL's container +1536 MB.*2560 MB\n.*postgres_memory",
            ),
            (Wishes(app=1600), "tuning_app_mb"),
            (Wishes(workers=0), "1 at least"),
            (Wishes(major=13), "too old"),
            (Wishes(workers=20), "at least|more than"),
        ],
    )
    def test_what_makes_no_sense(self, wishes: Wishes, words: str) -> None:
        with pytest.raises(Refused, match=words):
            plan(machine(), wishes)

    @pytest.mark.parametrize("ram", [0, 2, 256, -1])
    def test_absurd_memory(self, ram: int) -> None:
        with pytest.raises(Refused, match="tuning_ram_mb: 2048"):
            plan(machine(ram), Wishes())

    def test_more_memory_than_the_machine_has(self) -> None:
        with pytest.raises(Refused, match="has 2048 MB"):
            at_most(machine(), 4096)
        assert at_most(machine(), 1024).ram == 1024
