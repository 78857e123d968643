"""``python3 -m migrate_db``."""

import sys

from migrate_db.cli import main

sys.exit(main())
