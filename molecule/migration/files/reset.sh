#!/bin/sh
# The server as it was before the first migration: the app on SQLite, nothing in the target.
# With "foreign" the target keeps tables and rows, but nobody knows where they are from.
set -eu
before=/root/faults/before
cd /opt/brainer
docker ps --all --quiet --filter name=probe | xargs -r docker rm --force >/dev/null
pkill -KILL -f '[m]igrate_db run' || true
if ! curl -sf http://127.0.0.1:8000/health | grep -q sqlite || ! cmp -s .env $before/env; then
    docker compose down --timeout 5
fi
rm -rf docker-compose.override.yml /opt/brainer-db/migration
cp -a $before/env .env
cmp -s data/brainer.db $before/brainer.db || {
    docker compose down --timeout 5
    rm -f data/*
    cp -a $before/brainer.db data/brainer.db
}
cp -a --attributes-only $before/brainer.db data/brainer.db
{
    echo 'DROP SCHEMA IF EXISTS migrate_db CASCADE;'
    echo 'ALTER DATABASE brainer RESET ALL;'
    echo 'ALTER ROLE brainer IN DATABASE brainer RESET ALL;'
    [ "${1:-}" = foreign ] ||
        echo 'DROP SCHEMA public CASCADE; CREATE SCHEMA public AUTHORIZATION pg_database_owner;'
} | docker exec -i brainer-postgres psql -qU postgres -d brainer -v ON_ERROR_STOP=1 2>/dev/null
/root/faults/up.sh
