-- A run that a person asked for, with the row that tells the leader, at once or not at all.
WITH run AS (
    INSERT INTO dag_run (
        id, dag_id, run_id, dag_version_id, run_type, state, logical_date, data_interval_start, data_interval_end,
        run_after, queued_at, triggered_by, actor, conf, trigger, parent_run_id, parent_task_no, parent_map_index, note,
        traceparent)
    VALUES ($1, $2, $3, $4, $5, 'queued', $6, $7, $8, $9, $10, $11, $12, $13::text::json, $14::text::json, $15, $16, $17,
        $18, $19)
    RETURNING id, queued_at
)
INSERT INTO inbox (kind, subject, created_at) SELECT 'run_queued', id, queued_at FROM run
