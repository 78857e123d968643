"""A server that was in use before keeps what is its own."""

import json

testinfra_hosts = ["ansible://in-use"]


def test_the_settings_of_the_operator_stay(host):
    assert json.loads(host.check_output("docker info --format '{{ json .Labels }}'")) == [
        "owner=operator"
    ]


def test_the_file_as_it_was_is_kept(host):
    kept = host.check_output("cat /etc/docker/daemon.json.*~")
    assert "owner=operator" in kept
    assert "log-opts" not in kept


def test_the_running_container_did_not_notice(host):
    now = host.check_output("docker inspect --format '{{ .State.StartedAt }}' witness")
    assert now == host.file("/witness").content_string.strip()
    assert host.check_output("docker inspect --format '{{ .State.Running }}' witness") == "true"


def test_a_setting_the_engine_refuses_is_not_written(host):
    """What the role's `validate` relies on."""
    result = host.run(
        "echo '{\"log-optz\": 1}' >/tmp/d.json; dockerd --validate --config-file /tmp/d.json"
    )
    assert result.rc != 0
    assert "log-optz" in result.stderr
