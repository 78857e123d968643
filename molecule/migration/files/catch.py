"""Wait until migrate_db is at work and send it a signal: catch.py STOP|KILL load|cut_over. Prints its number."""

import os
import signal
import sys
import time
from pathlib import Path

SECONDS = 120


def program(directory: str) -> int | None:
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().decode().split("\0")
        except (OSError, UnicodeDecodeError):
            continue
        if "migrate_db" not in words or "run" not in words or "--events" not in words:
            continue
        events = Path(words[words.index("--events") + 1])
        # its first event says that it has a connection and the lock of the database
        if events.parent.name == directory and events.exists() and events.stat().st_size:
            return int(process.name)
    return None


def main() -> int:
    wanted, directory = sys.argv[1:]
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        found = program(directory)
        if found is not None:
            os.kill(found, signal.Signals[f"SIG{wanted}"])
            print(found)
            return 0
        time.sleep(0.01)
    print(f"no migrate_db came by in {SECONDS} s", file=sys.stderr)
    return 1


sys.exit(main())
