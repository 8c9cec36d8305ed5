-- The server's settings and state, for doctor/judge.rs. $1 and $2 are the leader's lock, $3 the tables by month.
WITH holder AS (
    SELECT a.pid, a.state, clock_timestamp() - a.state_change AS silent
    FROM pg_locks AS l JOIN pg_stat_activity AS a ON a.pid = l.pid
    WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 2 AND l.classid = $1::int::oid AND l.objid = $2::int::oid
      AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
)
SELECT
    clock_timestamp() AS "now!",
    current_setting('server_version_num')::int AS "version!",
    current_setting('server_encoding') AS "encoding!",
    current_setting('fsync') = 'on' AS "fsync!",
    current_setting('full_page_writes') = 'on' AS "full_page_writes!",
    current_setting('synchronous_commit') AS "synchronous_commit!",
    current_setting('synchronous_standby_names') AS "synchronous_standbys!",
    current_setting('autovacuum') = 'on' AS "autovacuum!",
    current_setting('track_activities') = 'on' AS "track_activities!",
    pg_is_in_recovery() AS "is_replica!",
    current_setting('max_connections')::bigint - current_setting('superuser_reserved_connections')::bigint
        AS "connections_max!",
    (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend') AS "connections!",
    (SELECT count(*) FROM pg_stat_replication) AS "replicas!",
    (SELECT max(extract(epoch FROM clock_timestamp() - xact_start))::float8 FROM pg_stat_activity
     WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()) AS "oldest_transaction_s",
    (SELECT max(age(datfrozenxid))::bigint FROM pg_database) AS "xid_age!",
    EXISTS (SELECT FROM holder) AS "has_leader!",
    (SELECT extract(epoch FROM silent)::float8 FROM holder WHERE state <> 'active' LIMIT 1) AS "leader_silent_s",
    (SELECT count(*) FROM pg_stat_activity WHERE application_name = 'gridflow leader' AND datname = current_database())
        AS "candidates!",
    (SELECT extract(epoch FROM clock_timestamp() - min(created_at))::float8 FROM inbox) AS "inbox_oldest_s",
    (SELECT count(*) FROM inbox) AS "inbox!",
    (SELECT extract(epoch FROM clock_timestamp() - min(e.received_at))::float8 FROM event AS e
     JOIN dag AS d ON d.dag_id = e.dag_id
     WHERE e.outcome IS NULL AND NOT d.is_paused AND d.removed_at IS NULL
       AND NOT EXISTS (SELECT FROM import_error AS i WHERE i.bundle_id = d.bundle_id AND i.file = d.file))
        AS "event_oldest_s",
    (SELECT array_agg(relname::text || ': ' || n_dead_tup || ' dead of ' || n_live_tup + n_dead_tup ORDER BY relname)
     FROM pg_stat_user_tables WHERE 100000 < n_dead_tup AND n_live_tup < n_dead_tup) AS "bloated",
    (SELECT array_agg(t.name || '_' || m.suffix ORDER BY t.name, m.suffix)
     FROM unnest($3::text[]) AS t (name)
     CROSS JOIN (SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC' + i * interval '1 month', 'YYYYMM') AS suffix
                 FROM generate_series(0, 1) AS i) AS m
     WHERE to_regclass(t.name || '_' || m.suffix) IS NULL) AS "months_missing",
    (SELECT count(*) FROM task_instance_default) + (SELECT count(*) FROM attempt_default)
        + (SELECT count(*) FROM transition_log_default) + (SELECT count(*) FROM event_default) AS "rows_of_no_month!"
