"""On the bare server the engine never ran without log rotation."""

testinfra_hosts = ["ansible://bare"]


def test_the_engine_was_started_once(host):
    starts = host.check_output("journalctl --unit docker --grep 'Starting up' --output cat | wc -l")
    assert starts == "1"
