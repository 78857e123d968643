"""The engine as the role leaves it, asked from the server itself."""

import json

import pytest

testinfra_hosts = ["ansible://brainer"]


@pytest.fixture
def info(host):
    return json.loads(host.check_output("docker info --format '{{ json . }}'"))


def test_engine_runs_and_starts_at_boot(host):
    assert host.service("docker").is_running
    assert host.service("docker").is_enabled


def test_compose_v2(host):
    version = host.check_output("docker compose version --short")
    assert int(version.lstrip("v").split(".")[0]) >= 2


def test_engine_runs_with_the_settings(info):
    assert info["LiveRestoreEnabled"] is True
    assert info["LoggingDriver"] == "json-file"
    assert info["RegistryConfig"]["Mirrors"] == ["http://registry.testbed:5055/"]


def test_settings_were_there_when_the_engine_started(host):
    started = host.check_output("stat --format %Y /proc/$(pidof dockerd)")
    written = host.check_output("stat --format %Y /etc/docker/daemon.json")
    assert int(written) <= int(started)


def test_a_container_gets_log_rotation(host):
    container = host.check_output("docker create postgres:17-trixie")
    try:
        inspected = json.loads(host.check_output("docker inspect %s", container))
    finally:
        host.check_output("docker rm %s", container)
    log = inspected[0]["HostConfig"]["LogConfig"]
    assert log == {"Type": "json-file", "Config": {"max-file": "3", "max-size": "10m"}}
