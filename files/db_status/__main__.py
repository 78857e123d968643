"""``python3 -m db_status``."""

import sys

from db_status.cli import main

sys.exit(main())
