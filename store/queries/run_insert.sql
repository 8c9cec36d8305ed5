-- Runs that the leader creates, with the state that the same turn leaves them in.
INSERT INTO dag_run (
    id, dag_id, run_id, dag_version_id, run_type, state, logical_date, data_interval_start, data_interval_end, run_after,
    queued_at, started_at, ended_at, reason, triggered_by, actor, conf, trigger, parent_run_id, parent_task_no,
    parent_map_index, note, traceparent)
SELECT
    id, dag_id, run_id, dag_version_id, run_type, state, logical_date, data_interval_start, data_interval_end, run_after,
    queued_at, started_at, ended_at, reason, triggered_by, actor, conf::json, trigger::json, parent_run_id,
    parent_task_no, parent_map_index, note, traceparent
FROM unnest(
    $1::uuid[], $2::text[], $3::text[], $4::uuid[], $5::text[], $6::text[], $7::timestamptz[], $8::timestamptz[],
    $9::timestamptz[], $10::timestamptz[], $11::timestamptz[], $12::timestamptz[], $13::timestamptz[], $14::text[],
    $15::text[], $16::text[], $17::text[], $18::text[], $19::uuid[], $20::int[], $21::int[], $22::text[], $23::text[])
AS t (
    id, dag_id, run_id, dag_version_id, run_type, state, logical_date, data_interval_start, data_interval_end, run_after,
    queued_at, started_at, ended_at, reason, triggered_by, actor, conf, trigger, parent_run_id, parent_task_no,
    parent_map_index, note, traceparent)
