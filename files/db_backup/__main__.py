"""``python3 -m db_backup``."""

import sys

from db_backup.cli import main

sys.exit(main())
