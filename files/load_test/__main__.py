"""``python3 -m load_test``."""

import sys

from load_test.cli import main

sys.exit(main())
