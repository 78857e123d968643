"""``python3 -m app_check``."""

import sys

from app_check.cli import main

sys.exit(main())
