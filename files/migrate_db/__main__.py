"""``python3 -m migrate_db``."""

import sys

try:
    from migrate_db.cli import main
except KeyboardInterrupt:
    sys.exit("interrupted before anything was done")

sys.exit(main())
