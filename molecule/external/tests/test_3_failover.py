"""Another leader between the proof and the last step; a real one dies in tests/patroni."""

from controller import play, slow
from outside import answers, on, sql
from testinfra.host import Host

SHORT = ("--skip-tags", "docker,toolkit,backup,monitoring")

#: What the record says of the server is then not what answers.
ANOTHER = """
CREATE FUNCTION migrate_db.another() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN NEW.proved_on := 'cluster 7, timeline 1'; RETURN NEW; END $$;
CREATE TRIGGER another BEFORE INSERT ON migrate_db.state FOR EACH ROW EXECUTE FUNCTION migrate_db.another();
"""


@slow
def test_the_app_goes_back_and_the_next_run_proves_it_again(host: Host) -> None:
    assert play("rollback.yml", "-e", "rollback_confirm=true").rc == 0
    was = answers(host)
    sql(host, ANOTHER)
    try:
        done = play("migrate.yml", *SHORT)
        assert done.rc != 0
        assert "a failover?" in done.failure and "runs on SQLite again" in done.failure
        on(host, "sqlite")
        assert answers(host) == was
    finally:
        sql(host, "DROP FUNCTION migrate_db.another CASCADE")
    assert play("migrate.yml", *SHORT).rc == 0
    on(host, "postgresql")
    assert answers(host) == was
