"""Running the module the way Ansible does, in this process."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.testing import patch_module_args

LIBRARY = Path(__file__).parents[2] / "roles" / "backend" / "library"
sys.path.insert(0, str(LIBRARY))

Run = Callable[..., dict[str, Any]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Call the module's main() with these arguments and return what it printed."""
    import backend_env

    def call(check: bool = False, **arguments: Any) -> dict[str, Any]:
        capsys.readouterr()
        with (
            patch_module_args({**arguments, "_ansible_check_mode": check}),
            pytest.raises(SystemExit),
        ):
            backend_env.main()
        answer: dict[str, Any] = json.loads(capsys.readouterr().out)
        return answer

    return call
