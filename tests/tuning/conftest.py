"""The role's arithmetic, importable as Ansible's modules find it."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "roles" / "tuning" / "module_utils"))
