"""``python3 -m migrate_db``."""

import signal
import sys

try:
    from migrate_db.cli import main
except KeyboardInterrupt:
    sys.exit("interrupted before anything was done")

code = main()
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    signal.signal(number, signal.SIG_IGN)  # it is done, and the exit code is to say how
sys.exit(code)
