#!/bin/bash
# Test stand-in for the official postgres image's entrypoint: own code, same contract.
# The documentation of that image describes the variables.
set -Eeuo pipefail

say() { printf '%s entrypoint: %s\n' "$(date -u +%FT%TZ)" "$*" >&2; }

# from_env VAR [DEFAULT]: VAR, or the content of the file VAR_FILE names, never both.
from_env() {
    local var=$1 default=${2:-} file_var="${1}_FILE"
    if [[ -n ${!var:-} && -n ${!file_var:-} ]]; then
        say "error: both $var and $file_var are set (but are exclusive)"
        exit 1
    fi
    if [[ -n ${!file_var:-} ]]; then
        printf -v "$var" '%s' "$(<"${!file_var}")"
    elif [[ -z ${!var:-} ]]; then
        printf -v "$var" '%s' "$default"
    fi
    export "${var?}"
    unset "$file_var"
}

# Over the socket, as the superuser, into the database SQL_DB.
run_sql() {
    PGHOST='' PGHOSTADDR='' psql -v ON_ERROR_STOP=1 --no-psqlrc --no-password \
        --username "$POSTGRES_USER" --dbname "${SQL_DB-$POSTGRES_DB}" "$@"
}
docker_process_sql() { run_sql "$@"; } # the name that init scripts know

initialise() {
    local auth=${POSTGRES_HOST_AUTH_METHOD:-}
    if [[ -z $POSTGRES_PASSWORD && $auth != trust ]]; then
        say 'Error: Database is uninitialized and superuser password is not specified.'
        exit 1
    fi
    ls /docker-entrypoint-initdb.d/ >/dev/null # unreadable: fail before initdb

    if [[ -n ${POSTGRES_INITDB_WALDIR:-} ]]; then
        POSTGRES_INITDB_ARGS+=" --waldir=$POSTGRES_INITDB_WALDIR"
    fi
    # eval: the arguments come as one string, quoted as for a shell
    eval 'initdb --username="$POSTGRES_USER" --pwfile=<(printf "%s\n" "$POSTGRES_PASSWORD") '"$POSTGRES_INITDB_ARGS"
    printf '\nhost all all all %s\n' "${auth:-$(postgres -C password_encryption "${@:2}")}" >>"$PGDATA/pg_hba.conf"

    export PGPASSWORD="${PGPASSWORD:-$POSTGRES_PASSWORD}"
    # socket only while the init scripts run: a TCP health check stays red until the real start
    NOTIFY_SOCKET='' pg_ctl -D "$PGDATA" -w start \
        -o "$(printf '%q ' "${@:2}" -c listen_addresses='' -p "${PGPORT:-5432}")"
    if [[ -z $(SQL_DB=postgres run_sql -At --set db="$POSTGRES_DB" \
        <<<"SELECT 1 FROM pg_database WHERE datname = :'db';") ]]; then
        SQL_DB=postgres run_sql --set db="$POSTGRES_DB" <<<'CREATE DATABASE :"db";'
    fi
    local script
    for script in /docker-entrypoint-initdb.d/*; do
        say "init script $script"
        case $script in
            *.sh) if [[ -x $script ]]; then "$script"; else . "$script"; fi ;;
            *.sql) run_sql -f "$script" ;;
            *.sql.gz) gunzip -c "$script" | run_sql ;;
            *.sql.xz) xz -dc "$script" | run_sql ;;
            *.sql.zst) zstd -dc "$script" | run_sql ;;
            *) say "ignored $script" ;;
        esac
    done
    pg_ctl -D "$PGDATA" -m fast -w stop
    unset PGPASSWORD
    printf '\nPostgreSQL init process complete; ready for start up.\n\n'
}

[[ ${1:-} == -* ]] && set -- postgres "$@"
[[ ${1:-} == postgres ]] || exec "$@"
for argument in "$@"; do
    case $argument in -\? | --help | --describe-config | -V | --version) exec "$@" ;; esac
done

# while still root: the secret files may be root's alone
from_env POSTGRES_PASSWORD
from_env POSTGRES_USER postgres
from_env POSTGRES_DB "$POSTGRES_USER"
from_env POSTGRES_INITDB_ARGS

if [[ $(id -u) == 0 ]]; then
    mkdir -p "$PGDATA" /var/run/postgresql ${POSTGRES_INITDB_WALDIR:+"$POSTGRES_INITDB_WALDIR"}
    chmod 0700 "$PGDATA" ${POSTGRES_INITDB_WALDIR:+"$POSTGRES_INITDB_WALDIR"}
    chmod 3775 /var/run/postgresql
    find "$PGDATA" /var/run/postgresql ${POSTGRES_INITDB_WALDIR:+"$POSTGRES_INITDB_WALDIR"} \
        ! -user postgres -exec chown postgres {} +
    exec setpriv --reuid=postgres --regid=postgres --init-groups -- env HOME=/var/lib/postgresql "$0" "$@"
fi
mkdir -p "$PGDATA"
chmod 0700 "$PGDATA" || true
if [[ -s $PGDATA/PG_VERSION ]]; then
    printf '\nPostgreSQL Database directory appears to contain a database; Skipping initialization\n\n'
else
    initialise "$@"
fi
exec "$@"
