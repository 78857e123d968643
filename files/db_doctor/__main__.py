"""``python3 -m db_doctor``."""

import sys

from db_doctor.cli import main

sys.exit(main())
