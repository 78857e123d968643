"""The end of the transition, on a server that isn't ours."""

from controller import play
from outside import answers, on, write
from testinfra.host import Host

YES = ("-e", "finalize_after_days=0", "-e", "finalize_confirm=true")
FILE = "/opt/brainer/data/brainer.db"


def test_the_file_goes_once_a_backup_was_drilled(host: Host) -> None:
    write(host, "after-the-move")
    was = answers(host)
    refused = play("finalize.yml", *YES)
    assert (refused.rc, refused.changed) == (2, 0)
    assert "db_backup drill" in refused.failure and host.file(FILE).exists
    assert play("backup.yml").rc == 0
    host.check_output("db_backup drill --quiet")
    done = play("finalize.yml", *YES)
    assert done.rc == 0, done.failure
    assert "FINALISED: the app lives on PostgreSQL alone" in done.told
    assert not host.file(FILE).exists
    on(host, "postgresql")
    assert answers(host) == was
