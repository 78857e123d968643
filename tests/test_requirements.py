"""requirements.yml names what the code uses, at the versions that the package `ansible` bundles."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parent.parent
REQUIRED = {
    collection["name"]: collection["version"]
    for collection in yaml.safe_load((ROOT / "requirements.yml").read_text())["collections"]
}


@pytest.fixture(scope="module")
def bundled() -> dict[str, str]:
    galaxy = Path(sys.executable).with_name("ansible-galaxy")
    listing = subprocess.run(
        [galaxy, "collection", "list", "--format", "json"],
        capture_output=True,
        text=True,
        check=True,
    )
    return {
        name: collection["version"]
        for directory in json.loads(listing.stdout).values()
        for name, collection in directory.items()
    }


def used() -> set[str]:
    """Every `namespace.collection.` that a YAML file of ours calls a module or a plugin of."""
    files = [
        file
        for folder in ("roles", "playbooks", "molecule", "testbed", "benchmarks")
        for file in (ROOT / folder).rglob("*.yml")
    ]
    assert files
    call = re.compile(r"\b(community\.[a-z]+|ansible\.(?!builtin|plugins)[a-z]+)\.[a-z_]+")
    return {name for file in files for name in call.findall(file.read_text())}


def test_versions_are_those_that_ansible_bundles(bundled):
    assert REQUIRED
    assert {name: bundled.get(name) for name in REQUIRED} == REQUIRED


def test_exactly_the_collections_in_use_are_required():
    assert set(REQUIRED) == used()
