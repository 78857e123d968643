"""Where the role refuses, it leaves nothing."""

testinfra_hosts = ["ansible://refused"]


def test_nothing_was_installed(host):
    assert not host.package("docker.io").is_installed
    assert not host.file("/etc/docker").exists
