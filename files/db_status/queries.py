"""The questions, for PostgreSQL 14 to 18. Each carries a mark, by which their own cost can be asked for."""

from __future__ import annotations

#: pg_stat_statements keeps a comment that stands inside a statement.
MARK = "/* db_status */"

SERVER = f"""
SELECT {MARK} current_database()::text AS database, current_setting('server_version') AS version,
  current_setting('server_version_num')::int / 10000 AS major,
  extract(epoch FROM now() - pg_postmaster_start_time())::float8 AS up_seconds,
  pg_is_in_recovery() AS recovery,
  pg_has_role(current_user, 'pg_monitor', 'USAGE') AS sees_all, current_user::text AS "user",
  current_setting('max_connections')::int AS max_connections,
  current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
    - coalesce(current_setting('reserved_connections', true), '0')::int AS usable_connections,
  current_setting('autovacuum')::bool AS autovacuum, current_setting('track_counts')::bool AS track_counts,
  current_setting('fsync')::bool AS fsync, current_setting('full_page_writes')::bool AS full_page_writes,
  current_setting('data_checksums')::bool AS checksums,
  pg_size_bytes(current_setting('shared_buffers'))::int8 AS shared_buffers,
  pg_size_bytes(current_setting('max_wal_size'))::int8 AS max_wal_size,
  pg_size_bytes(current_setting('work_mem'))::int8 AS work_mem,
  (SELECT coalesce(array_agg(name::text ORDER BY name), '{{}}') FROM pg_settings WHERE pending_restart)
    AS pending_restart,
  CASE WHEN NOT EXISTS (SELECT 1 FROM pg_namespace WHERE nspname = 'migrate_db') THEN 'none'
    WHEN EXISTS (SELECT 1 FROM pg_db_role_setting s JOIN pg_database d ON d.oid = s.setdatabase
                 WHERE d.datname = current_database() AND 'default_transaction_read_only=on' = ANY (s.setconfig))
    THEN 'held' ELSE 'open' END AS migration
"""

CONNECTIONS = f"""
SELECT {MARK} count(*)::int AS used, count(*) FILTER (WHERE state = 'active')::int AS active,
  count(*) FILTER (WHERE state = 'idle')::int AS idle,
  count(*) FILTER (WHERE state LIKE 'idle in transaction%%')::int AS idle_in_transaction,
  count(*) FILTER (WHERE wait_event_type = 'Lock')::int AS waiting,
  (SELECT coalesce(json_agg(json_build_object('role', usename, 'application', application_name, 'count', n)
      ORDER BY n DESC), '[]')
   FROM (SELECT usename::text, application_name, count(*) AS n FROM pg_stat_activity
         WHERE backend_type = 'client backend' AND application_name <> 'db_status'
         GROUP BY 1, 2 ORDER BY 3 DESC LIMIT 8) t) AS who
FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()
"""

DATABASES = f"""
SELECT {MARK} d.datname::text AS name,
  CASE WHEN has_database_privilege(d.oid, 'CONNECT') OR pg_has_role(current_user, 'pg_read_all_stats', 'USAGE')
    THEN pg_database_size(d.oid) END AS bytes,
  age(d.datfrozenxid)::int8 AS xid_age, mxid_age(d.datminmxid)::int8 AS mxid_age,
  s.xact_commit, s.xact_rollback, s.blks_hit, s.blks_read, s.tup_inserted, s.tup_updated, s.tup_deleted,
  s.temp_bytes, s.deadlocks, s.checksum_failures, s.stats_reset::text
FROM pg_database d LEFT JOIN pg_stat_database s ON s.datid = d.oid
WHERE d.datallowconn OR age(d.datfrozenxid) > 100000000
ORDER BY d.datname
"""

# A table that somebody holds exclusively, or waits for so, would make its size wait: then the last known number of
# pages counts.
# The largest ones by that number, and the liveliest: a new one may not have been counted yet.
_TABLES = """
WITH held AS MATERIALIZED (
  SELECT coalesce(i.indrelid, l.relation) AS oid FROM pg_locks l LEFT JOIN pg_index i ON i.indexrelid = l.relation
  WHERE l.locktype = 'relation' AND l.mode = 'AccessExclusiveLock' AND l.pid <> pg_backend_pid()),
largest AS MATERIALIZED (
  SELECT c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE c.relkind IN ('r', 'm') AND n.nspname NOT IN ('pg_catalog', 'information_schema')
    AND n.nspname !~ '^pg_(toast|temp)'
  ORDER BY greatest(c.relpages, coalesce(pg_stat_get_live_tuples(c.oid) / 50, 0)) DESC LIMIT %(most)s)
"""

TABLES = f"""{_TABLES}
SELECT {MARK} n.nspname::text AS schema, c.relname::text AS name, c.reltuples::int8 AS rows_estimated,
  CASE WHEN h.held THEN c.relpages::int8 * 8192 ELSE pg_total_relation_size(c.oid) END AS bytes,
  CASE WHEN h.held THEN c.relpages::int8 * 8192 ELSE pg_relation_size(c.oid) END AS heap_bytes,
  CASE WHEN h.held THEN 0 ELSE pg_indexes_size(c.oid) END AS index_bytes,
  h.held, coalesce(s.seq_scan, 0) AS seq_scan, coalesce(s.seq_tup_read, 0) AS seq_tup_read,
  coalesce(s.idx_scan, 0) AS idx_scan, coalesce(s.n_live_tup, 0) AS live, coalesce(s.n_dead_tup, 0) AS dead,
  s.last_vacuum::text, s.last_autovacuum::text, s.last_analyze::text, s.last_autoanalyze::text,
  coalesce('autovacuum_enabled=false' = ANY (c.reloptions) OR 'autovacuum_enabled=off' = ANY (c.reloptions), false)
    AS autovacuum_off,
  age(c.relfrozenxid)::int8 AS xid_age
FROM largest JOIN pg_class c USING (oid) JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_stat_all_tables s ON s.relid = c.oid,
LATERAL (SELECT c.oid IN (SELECT oid FROM held) AS held) h
ORDER BY bytes DESC, schema, name
"""

# Whose scans were never counted, and those that a failed CREATE INDEX CONCURRENTLY left. What a constraint, a foreign
# key's other side or a key needs is no candidate, however idle.
INDEXES = f"""
SELECT {MARK} n.nspname::text AS schema, t.relname::text AS table, c.relname::text AS name,
  c.relpages::int8 * 8192 AS bytes, s.idx_scan AS scans, i.indisvalid AS valid,
  (SELECT extract(epoch FROM now() - stats_reset)::float8 FROM pg_stat_database WHERE datname = current_database())
    AS counted_seconds
FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_class t ON t.oid = i.indrelid
JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_stat_all_indexes s ON s.indexrelid = c.oid
WHERE n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_'
  AND (NOT i.indisvalid OR s.idx_scan = 0 AND NOT i.indisunique AND NOT i.indisreplident
       AND NOT EXISTS (SELECT 1 FROM pg_constraint k WHERE k.conindid = c.oid)
       AND c.relpages::int8 * 8192 >= %(least)s)
ORDER BY c.relpages DESC LIMIT 20
"""

EXTENSION = f"""
SELECT {MARK} quote_ident(n.nspname) AS schema,
  (SELECT count(*) FROM pg_settings WHERE name = 'pg_stat_statements.max') > 0 AS loaded
FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = 'pg_stat_statements'
"""

# {schema} is an identifier, quoted by the server. One statement of several users is one line.
STATEMENTS = (
    f"SELECT {MARK}"
    """ s.queryid::text AS id, d.datname::text AS database, r.rolname::text AS role,
  left(s.query, 2000) AS query, length(s.query) > 2000 AS cut, s.calls, s.rows,
  s.total_exec_time, s.mean_exec_time, s.max_exec_time, s.shared_blks_hit, s.shared_blks_read,
  s.temp_blks_written
FROM {schema}.pg_stat_statements s LEFT JOIN pg_database d ON d.oid = s.dbid LEFT JOIN pg_roles r ON r.oid = s.userid
WHERE position('db_status *' IN s.query) = 0 AND s.toplevel
ORDER BY s.total_exec_time DESC LIMIT %(most)s
"""
)

STATEMENTS_TOTAL = (
    f"SELECT {MARK}"
    """ coalesce(sum(calls), 0)::int8 AS calls, coalesce(sum(total_exec_time), 0)::float8 AS ms,
  count(*)::int AS statements, current_setting('pg_stat_statements.max')::int AS most,
  coalesce(sum(total_exec_time) FILTER (WHERE position('db_status *' IN query) > 0), 0)::float8 AS own_ms,
  coalesce(sum(calls) FILTER (WHERE position('db_status *' IN query) > 0), 0)::int8 AS own_calls,
  (SELECT stats_reset::text FROM {schema}.pg_stat_statements_info) AS since
FROM {schema}.pg_stat_statements WHERE toplevel
"""
)

# The sampler's: without texts, so that the file of texts is not read.
STATEMENTS_SUM = (
    f"SELECT {MARK}"
    """ coalesce(sum(calls), 0)::int8 AS calls, coalesce(sum(total_exec_time), 0)::float8 AS ms
FROM {schema}.pg_stat_statements(false) WHERE toplevel
"""
)

TRANSACTIONS = f"""
SELECT {MARK} pid, usename::text AS role, datname::text AS database, application_name AS application, state,
  extract(epoch FROM clock_timestamp() - xact_start)::float8 AS seconds,
  extract(epoch FROM clock_timestamp() - state_change)::float8 AS state_seconds,
  backend_type AS kind, left(query, 300) AS query, '' AS gid
FROM pg_stat_activity
WHERE xact_start IS NOT NULL AND pid <> pg_backend_pid() AND backend_type IN ('client backend', 'walsender')
UNION ALL
SELECT NULL, owner::text, database::text, 'prepared transaction', 'prepared',
  extract(epoch FROM clock_timestamp() - prepared)::float8, NULL, 'prepared', gid, gid FROM pg_prepared_xacts
ORDER BY seconds DESC LIMIT 10
"""

LOCKS = f"""
SELECT {MARK} a.pid, a.usename::text AS role, a.application_name AS application,
  extract(epoch FROM clock_timestamp() - l.waitstart)::float8 AS seconds, l.mode,
  coalesce(l.relation::regclass::text, l.locktype) AS what, pg_blocking_pids(a.pid) AS blocked_by,
  left(a.query, 300) AS query,
  (SELECT left(b.query, 300) FROM pg_stat_activity b WHERE b.pid = (pg_blocking_pids(a.pid))[1]) AS blocking_query
FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid
WHERE NOT l.granted ORDER BY seconds DESC NULLS LAST LIMIT 10
"""

CHECKPOINTS_16 = f"""
SELECT {MARK} checkpoints_timed AS timed, checkpoints_req AS requested, checkpoint_write_time AS write_ms,
  checkpoint_sync_time AS sync_ms, buffers_checkpoint AS buffers, stats_reset::text AS since
FROM pg_stat_bgwriter
"""
CHECKPOINTS_17 = f"""
SELECT {MARK} num_timed AS timed, num_requested AS requested, write_time AS write_ms, sync_time AS sync_ms,
  buffers_written AS buffers, stats_reset::text AS since
FROM pg_stat_checkpointer
"""

WAL = f"""
SELECT {MARK} w.wal_bytes::int8 AS written, extract(epoch FROM now() - w.stats_reset)::float8 AS seconds,
  current_setting('wal_level') AS level, current_setting('archive_mode') AS archive_mode,
  a.archived_count AS archived, a.failed_count AS failed, a.last_archived_time::text AS last_archived,
  a.last_failed_time::text AS last_failed, a.last_failed_time > coalesce(a.last_archived_time, '-infinity') AS failing
FROM pg_stat_wal w, pg_stat_archiver a
"""
WAL_SIZE = f"SELECT {MARK} sum(size)::int8 AS bytes, count(*)::int AS files FROM pg_ls_waldir()"

SLOTS = f"""
SELECT {MARK} slot_name::text AS name, slot_type AS kind, active, wal_status AS state,
  CASE WHEN NOT pg_is_in_recovery() THEN pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn)::int8 END AS held_bytes,
  greatest(age(xmin), age(catalog_xmin))::int8 AS xid_age
FROM pg_replication_slots WHERE NOT temporary ORDER BY 5 DESC NULLS LAST
"""

REPLICAS = f"""
SELECT {MARK} application_name AS application, client_addr::text AS address, state,
  CASE WHEN NOT pg_is_in_recovery() THEN pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn)::int8 END AS behind_bytes,
  extract(epoch FROM replay_lag)::float8 AS behind_seconds
FROM pg_stat_replication
"""

# The sampler's view of the tables: the sizes of the few that matter, and the sum of dead rows.
SAMPLE_TABLES = f"""{_TABLES}
SELECT {MARK} quote_ident(n.nspname) || '.' || quote_ident(c.relname) AS name,
  CASE WHEN c.oid IN (SELECT oid FROM held) THEN c.relpages::int8 * 8192
    ELSE pg_total_relation_size(c.oid) END AS bytes
FROM largest JOIN pg_class c USING (oid) JOIN pg_namespace n ON n.oid = c.relnamespace
ORDER BY 2 DESC, 1
"""
SAMPLE_DEAD = f"""
SELECT {MARK} coalesce(sum(pg_stat_get_dead_tuples(oid)), 0)::int8 AS dead FROM pg_class WHERE relkind IN ('r', 'm')
"""
SAMPLE_OLDEST = f"""
SELECT {MARK} coalesce(max(extract(epoch FROM clock_timestamp() - xact_start)), 0)::float8 AS seconds
FROM pg_stat_activity WHERE xact_start IS NOT NULL AND pid <> pg_backend_pid() AND backend_type = 'client backend'
"""
