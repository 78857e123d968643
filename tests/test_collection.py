"""`ansible-galaxy collection build` gives a collection that has all the playbooks need, and nothing secret."""

import json
import os
import re
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parent.parent
NAME = "brainer_db.postgres"
PLAYBOOKS = sorted(path.stem for path in (ROOT / "playbooks").glob("*.yml"))
ROLES = sorted(path.parent.parent.name for path in ROOT.glob("roles/*/meta/main.yml"))
#: What a role keeps beside its tasks, and where a collection has the like.
PLUGINS = {
    "library": "modules",
    "module_utils": "module_utils",
    "action_plugins": "action",
    "lookup_plugins": "lookup",
}


def run(*words: str | Path, environment: dict[str, str] | None = None) -> str:
    command = [Path(sys.executable).with_name(str(words[0])), *words[1:]]
    return subprocess.run(
        command, env=os.environ | (environment or {}), cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout  # fmt: skip


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("built")
    run("ansible-galaxy", "collection", "build", "--output-path", directory)
    (built,) = directory.iterdir()
    return built


@pytest.fixture(scope="module")
def installed(archive: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    directory = tmp_path_factory.mktemp("installed")
    run("ansible-galaxy", "collection", "install", archive, "--no-deps", "-p", directory)
    # without the project's own configuration
    config = directory / "ansible.cfg"
    config.touch()
    yield {"ANSIBLE_COLLECTIONS_PATH": str(directory), "ANSIBLE_CONFIG": str(config)}


def test_what_is_in_it(archive: Path) -> None:
    with tarfile.open(archive) as tar:
        names = tar.getnames()
    tops = {name.partition("/")[0] for name in names}
    code = {"docs", "examples", "files", "meta", "playbooks", "plugins", "roles"}
    texts = {"CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "README.md"}
    made = {"FILES.json", "MANIFEST.json"}
    assert tops == code | texts | made | {"requirements.txt", "requirements.yml"}
    tracked = run_git("ls-files").splitlines()
    assert {name for name in names if name.startswith(("files/", "roles/")) and "." in name} == {
        name for name in tracked if name.startswith(("files/", "roles/")) and "." in name
    }, "neither more nor less than what is under version control"


def run_git(*words: str) -> str:
    command = ["git", "-c", "safe.directory=*", *words]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("playbook", PLAYBOOKS)
def test_each_playbook_finds_its_roles_and_plugins(
    playbook: str, installed: dict[str, str]
) -> None:
    words = ("ansible-playbook", "-i", "server,", f"{NAME}.{playbook}", "--syntax-check")
    assert f"{playbook}.yml" in run(*words, environment=installed)


def test_the_documentation_of_each_role(installed: dict[str, str]) -> None:
    names = [f"{NAME}.{role}" for role in ROLES]
    told = json.loads(run("ansible-doc", "-t", "role", "--json", *names, environment=installed))
    for role in ROLES:
        specs = yaml.safe_load((ROOT / "roles" / role / "meta" / "argument_specs.yml").read_text())
        for name, point in specs["argument_specs"].items():
            shown = told[f"{NAME}.{role}"]["entry_points"][name]
            assert set(shown.get("options", {})) == set(point.get("options", {})), (role, name)


def test_lookups_are_found_when_they_are_called(installed: dict[str, str], tmp_path: Path) -> None:
    """Unlike modules, they are looked for only when a task has need of them."""
    book = tmp_path / "book.yml"
    book.write_text("""
- hosts: localhost
  gather_facts: false
  vars: {postgres_mode: external, postgres_external_url: postgresql://a@b/c}
  tasks:
    - include_role: {name: brainer_db.postgres.toolkit, tasks_from: preview}
    - include_role: {name: brainer_db.postgres.toolkit, tasks_from: preview_remove}
    - include_role: {name: brainer_db.postgres.postgres, tasks_from: connection}
    - debug: {msg: "the address is {{ postgres_url }}"}
""")
    python = f"ansible_python_interpreter={sys.executable}"
    words = ("ansible-playbook", "-i", "localhost,", "-c", "local", "-e", python, book)
    assert "the address is postgresql://a@b:5432/c" in run(*words, environment=installed)


def test_every_plugin_of_a_role_is_one_of_the_collection() -> None:
    for kept, there in PLUGINS.items():
        own = {path.name: path for path in ROOT.glob(f"roles/*/{kept}/*.py")}
        linked = {path.name: path.resolve() for path in (ROOT / "plugins" / there).iterdir()}
        assert linked == own, f"ln -s ../../roles/ROLE/{kept}/NAME.py plugins/{there}/"


def test_it_depends_on_what_is_required() -> None:
    required = yaml.safe_load((ROOT / "requirements.yml").read_text())["collections"]
    galaxy = yaml.safe_load((ROOT / "galaxy.yml").read_text())
    assert galaxy["dependencies"] == {item["name"]: item["version"] for item in required}


def test_every_result_that_a_task_reads_was_kept() -> None:
    """A name that nothing registers is an error in the middle of a run, and then only where it is asked for."""
    texts = [
        path.read_text()
        for directory in ("roles", "playbooks")
        for path in (ROOT / directory).rglob("*")
        if path.suffix in (".yml", ".j2")
    ]
    read = {name for text in texts for name in re.findall(r"\b__[a-z][a-z_]+[a-z]\b", text)}
    kept = {
        name
        for text in texts
        for name in re.findall(r"(?:(?:register|loop_var|index_var): \"?|^ *)(__\w+)", text, re.M)
    }
    assert len(read) > 100
    assert read - kept - {"__pycache__"} == set()
