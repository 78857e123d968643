"""What stays and what goes: on thousands of histories, and on a directory that others use, too."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone

import pytest
from db_backup import manifest, retention
from db_backup.retention import Rule
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from .program import Program

START = datetime(2026, 1, 1, 2, tzinfo=timezone.utc)
RULE = Rule(days=7, weeks=4, months=6, least=3)

#: Nights: hours to the next one (a gap, twice a day, or a clock that goes back), and whether it was a good one.
HISTORY = st.lists(
    st.tuples(
        st.one_of(
            st.just(24), st.integers(1, 40), st.integers(24 * 5, 24 * 80), st.integers(-24 * 20, -1)
        ),
        st.booleans(),
    ),
    min_size=1,
    max_size=60,
)


def live(nights: list[tuple[int, bool]], rule: Rule) -> None:
    """Every night a backup that may fail; only a good one is followed by a prune."""
    sets: set[datetime] = set()
    deleted: set[datetime] = set()
    now = START
    for hours, good in nights:
        now += timedelta(hours=hours)
        if not good or now in sets:
            continue
        sets.add(now)
        before = set(sets)
        decisions = retention.decide(sorted(sets), now, rule)
        assert {decision.at for decision in decisions} == sets
        sets = {decision.at for decision in decisions if decision.keep}
        gone = before - sets
        deleted |= gone
        past = {at for at in before if at <= now}
        assert now in sets, "the newest stays"
        assert len(sets & past) >= min(rule.least, len(past)), "never below three"
        assert not {at for at in gone if at > now - timedelta(days=rule.days)}, (
            "seven days stay whole"
        )
        for at in gone:
            assert [other for other in sets & past if other > at], "something newer outlives it"
            week = [other for other in past if other.isocalendar()[:2] == at.isocalendar()[:2]]
            weeks = sorted({other.isocalendar()[:2] for other in past}, reverse=True)[: rule.weeks]
            assert at != max(week) or at.isocalendar()[:2] not in weeks, (
                "the last of a kept week stays"
            )
        again = retention.decide(sorted(sets), now, rule)
        assert all(decision.keep for decision in again), "a second prune removes nothing"


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(HISTORY, st.integers(0, 10), st.integers(0, 6), st.integers(0, 6), st.integers(0, 5))
def test_histories(
    nights: list[tuple[int, bool]], days: int, weeks: int, months: int, least: int
) -> None:
    live(nights, Rule(days, weeks, months, max(least, 1)))


@pytest.mark.slow
@settings(max_examples=10_000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(HISTORY)
def test_ten_thousand_histories(nights: list[tuple[int, bool]]) -> None:
    live(nights, RULE)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(st.tuples(st.integers(1, 24 * 80), st.booleans()), min_size=1, max_size=60),
    st.integers(0, 3),
)
def test_the_newest_with_rows_stays(nights: list[tuple[int, bool]], keep: int) -> None:
    sets: set[datetime] = set()
    empty: set[datetime] = set()
    now = START
    for hours, has_rows in nights:
        now += timedelta(hours=hours)
        sets.add(now)
        empty |= set() if has_rows else {now}
        rule = Rule(keep, keep, keep, 1)
        filled = max(sets - empty, default=now)
        sets = {one.at for one in retention.decide(sorted(sets), now, rule, empty) if one.keep}
        assert {filled, now} <= sets
        again = retention.decide(sorted(sets), now, rule, empty)
        assert all(decision.keep for decision in again), "a second prune removes nothing"


def test_a_year_of_nights() -> None:
    taken = [START + timedelta(days=day) for day in range(365)]
    kept: list[datetime] = []
    for night in taken:
        decisions = retention.decide([*kept, night], night, RULE)
        kept = [decision.at for decision in decisions if decision.keep]
    ages = [(taken[-1] - at).days for at in kept]
    assert ages[-7:] == [6, 5, 4, 3, 2, 1, 0]
    assert len(kept) <= 7 + 4 + 6 and max(ages) > 140


@contextmanager
def at(monkeypatch: pytest.MonkeyPatch, moment: datetime) -> Iterator[None]:
    with monkeypatch.context() as patch:
        patch.setattr(manifest, "now", lambda: moment)
        yield


def nights(
    program: Program, monkeypatch: pytest.MonkeyPatch, number: int, **changed: str
) -> list[int]:
    """So many nights in a row, by the clock of the program; their exit codes."""
    codes = []
    last = max([manifest.parse(name.rpartition("-")[2]) for name in program.sets] or [START])
    for night in range(1, number + 1):
        with at(monkeypatch, last + timedelta(days=night)):
            codes.append(program("nightly", **changed).code)
    return codes


def test_thirty_failing_nights(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    assert nights(program, monkeypatch, 10) == [0] * 10
    assert len(program.sets) < 10, "pruned"
    before = program.bytes()
    assert nights(program, monkeypatch, 30, container="no-such-container") == [1] * 30
    assert program.bytes() == before, "none of them took anything"
    last = manifest.parse(program.sets[-1].rpartition("-")[2])
    with at(monkeypatch, last + timedelta(hours=27)):
        told = program("status", max_drill_age_days="0")
        assert told.code == 1
        bad = {limit["name"] for limit in told.report["limits"] if not limit["ok"]}
        assert bad == {"newest backup", "failed since"}, "the alarm rings from the first night on"
    with at(monkeypatch, last + timedelta(days=31)):
        assert program("nightly").code == 0
        assert program("status", max_drill_age_days="0").code == 0


def test_only_our_own_sets_go(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    name = program.backup()
    prefix = name.rpartition("-")[0]
    here = program.directory
    foreign = [
        f"{prefix}-20200101T000000Z.bak",
        f"{prefix}-20200101",
        f"{prefix}-20200101T000000Z-copy",
        "backup_20200101.sql",
        f"x{prefix}-20200102T000000Z",
    ]
    for other in foreign:
        (here / other).mkdir()
        (here / other / "precious").write_text("not ours")
    (here / f"{prefix}-20200103T000000Z").write_text("a file")
    (here / f"{prefix}-20200104T000000Z").symlink_to(here / name)
    before = sorted(path.name for path in here.iterdir())
    later = manifest.now() + timedelta(days=400)
    with at(monkeypatch, later):
        result = program("prune", keep_days="0", keep_weeks="0", keep_months="0", keep_least="1")
    assert result.code == 0 and result.report["removed"] == []
    assert sorted(path.name for path in here.iterdir()) == before


def test_a_dry_run_says_what_and_why(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    nights(program, monkeypatch, 3)
    later = manifest.parse(program.sets[-1].rpartition("-")[2]) + timedelta(days=30)
    before = program.bytes()
    words = {"keep_days": "0", "keep_weeks": "0", "keep_months": "0", "keep_least": "1"}
    with at(monkeypatch, later):
        told = program("prune", "--dry-run", **words)
        assert [entry["set"] for entry in told.report["removed"]] == program.sets[:2]
        assert all(entry["why"] for entry in told.report["removed"] + told.report["kept"])
        assert program.bytes() == before
        assert program("prune", **words).code == 0
    assert len(program.sets) == 1


def test_what_would_outlive_them_is_read_first(
    program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The newest set is damaged: then it is not what the others go for, and it stays to be looked at."""
    nights(program, monkeypatch, 4)
    newest = program.sets[-1]
    with (program.directory / newest / "database.dump").open("r+b") as file:
        file.seek(99)
        file.write(b"\x00\xff")
    later = manifest.parse(newest.rpartition("-")[2]) + timedelta(days=30)
    with at(monkeypatch, later):
        program("prune", keep_days="0", keep_weeks="0", keep_months="0", keep_least="2")
    assert len(program.sets) == 3 and newest in program.sets
    assert program("verify", program.sets[0]).code == program("verify", program.sets[1]).code == 0


def test_two_databases_in_one_directory(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    nights(program, monkeypatch, 2)
    own = program.sets
    other = [f"other-{name.rpartition('-')[2]}" for name in own]
    for name, theirs in zip(own, other, strict=True):
        shutil.copytree(program.directory / name, program.directory / theirs)
        path = program.directory / theirs / "manifest.json"
        found = json.loads(path.read_text()) | {"name": theirs}
        path.write_text(json.dumps(found))
    later = manifest.parse(own[-1].rpartition("-")[2]) + timedelta(days=30)
    with at(monkeypatch, later):
        program("prune", keep_days="0", keep_weeks="0", keep_months="0", keep_least="1")
    # theirs were changed by hand above, so they are damaged, and stay
    assert set(program.sets) == {own[-1], *other}
