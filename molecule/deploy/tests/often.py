"""What takes too long for every day."""

import os

import pytest

slow = pytest.mark.skipif(os.environ.get("TEST_FAULTS") != "all", reason="make test-faults")
