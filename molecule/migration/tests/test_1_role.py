"""What converge left: the app lives on PostgreSQL."""

import json

from controller import SCRATCH
from sides import BEFORE, MIGRATION, on_postgresql
from testinfra.host import Host


def test_the_app_lives_on_postgresql(host: Host) -> None:
    on_postgresql(host)


def test_the_journal_tells_every_phase(host: Host) -> None:
    lines = host.file(f"{MIGRATION}/journal.jsonl").content_string.splitlines()
    entries = [json.loads(line) for line in lines]
    first = entries[0]["id"]
    told = [(entry["event"], entry["name"]) for entry in entries if entry["id"] == first]
    assert told[:5] == [
        ("begin", "migrate"),
        ("start", "load"),
        ("end", "load"),
        ("start", "cut over"),
        ("end", "cut over"),
    ]
    assert told[-1] == ("finish", "migrate")


def test_only_root_reads_what_holds_data(host: Host) -> None:
    assert host.file(MIGRATION).mode == 0o700
    assert host.check_output(f"find {MIGRATION} ! -user root -o -perm /077 ! -type l") == ""


def test_what_was_kept_is_what_the_app_had(host: Host) -> None:
    # byte for byte but for the header's counters, which a backup sets anew
    count = f"cmp -l {BEFORE}/brainer.db {MIGRATION}/kept/brainer.db | awk '$1 > 100' | wc -l"
    assert host.check_output(count) == "0"


def test_both_reports_of_the_one_migration_are_here(host: Host) -> None:
    found = sorted(path.name for path in (SCRATCH / "reports").glob("*/*/*"))
    assert found == ["cut_over.html", "cut_over.json", "load.html", "load.json"]
