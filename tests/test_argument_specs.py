"""A role's argument_specs.yml and defaults/main.yml say the same: the same variables, the same values."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template

ROLES = sorted(
    path.parent.parent for path in Path(__file__).parent.parent.glob("roles/*/meta/main.yml")
)


def load(file: Path) -> dict[str, Any]:
    return (DataLoader().load_from_file(str(file)) if file.exists() else None) or {}


def entry_points(role: Path) -> dict[str, dict[str, Any]]:
    specs = load(role / "meta" / "argument_specs.yml")["argument_specs"]
    return {name: entry_point.get("options", {}) for name, entry_point in specs.items()}


def trusted(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: trusted(item) for key, item in value.items()}
    if isinstance(value, list):
        return [trusted(item) for item in value]
    return trust_as_template(value) if isinstance(value, str) else value


def test_there_are_roles():
    assert ROLES


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_defaults_are_those_of_the_specs(role):
    """Compared as the values they become: a spec may say `17` where the default computes it."""
    defaults = load(role / "defaults" / "main.yml")
    variables = trusted({**defaults, "role_path": str(role)})
    templar = Templar(loader=DataLoader(), variables=variables)
    specified = {
        name: option["default"]
        for options in entry_points(role).values()
        for name, option in options.items()
        if "default" in option
    }
    assert templar.template(trusted(specified)) == templar.template(trusted(defaults))


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_entry_points_agree_on_a_default(role):
    seen: dict[str, Any] = {}
    for options in entry_points(role).values():
        for name, option in options.items():
            if "default" in option:
                assert seen.setdefault(name, option["default"]) == option["default"], name


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_every_option_is_described_and_typed(role):
    found = [item for options in entry_points(role).values() for item in options.items()]
    assert found
    for name, option in found:
        assert name.startswith(f"{role.name}_"), name
        assert option.get("description"), name
        assert option.get("type"), name


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_the_readme_names_every_variable(role):
    readme = (role / "README.md").read_text()
    names = {name for options in entry_points(role).values() for name in options}
    assert not {name for name in names if f"`{name}`" not in readme}
    assert "## Idempotence" in readme


def test_the_table_of_variables_is_made_from_the_specs():
    script = Path(__file__).parent.parent / "testbed" / "variables"
    told = subprocess.run([sys.executable, script, "--check"], capture_output=True, text=True)
    assert told.returncode == 0, f"make variables: {told.stdout}{told.stderr}"
