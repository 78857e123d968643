# Runs in the image, with the settings to try: an empty cluster in memory, one start, one question, one stop.
set -euo pipefail
initdb --no-sync --no-instructions --auth-local=trust --auth-host=reject --encoding=UTF8 --locale=C.UTF-8 >/dev/null
# The settings are on the command's right, so the last word here makes the server talk to us and not to a file.
pg_ctl -w -s start -o "-c config_file=/etc/postgresql/postgresql.conf -c logging_collector=off -c port=5432 -k /tmp"
# A server starts with any name that has a dot. If no library knows it, nobody will ever read it.
unknown=$(psql -XAtq -h /tmp -p 5432 -d postgres <<'SQL'
SELECT format('unrecognized configuration parameter "%s" in file "%s" line %s', f.name, f.sourcefile, f.sourceline)
FROM pg_file_settings f WHERE f.sourcefile LIKE '/etc/postgresql/%' AND lower(f.name) NOT IN (SELECT lower(name) FROM pg_settings)
SQL
)
pg_ctl -w -s -m immediate stop
[[ -z $unknown ]] || { printf '%s\n' "$unknown" >&2; exit 1; }
