-- Every task instance that a turn changed, by whole key. The caller compares the row count.
UPDATE task_instance AS ti
SET state = t.to_state, try_number = t.try_number, tries_max = t.tries_max, losses = t.losses, attempt_id = t.attempt_id,
    scheduled_at = t.scheduled_at, queued_at = t.queued_at, started_at = t.started_at, ended_at = t.ended_at,
    retry_at = t.retry_at, waits_for_run = t.waits_for_run, reason = t.reason
FROM unnest(
    $1::uuid[], $2::int[], $3::int[], $4::text[], $5::int[], $6::int[], $7::int[], $8::uuid[], $9::timestamptz[],
    $10::timestamptz[], $11::timestamptz[], $12::timestamptz[], $13::timestamptz[], $14::uuid[], $15::text[],
    $16::text[])
AS t (
    dag_run_id, task_no, map_index, to_state, try_number, tries_max, losses, attempt_id, scheduled_at, queued_at,
    started_at, ended_at, retry_at, waits_for_run, reason, from_state)
WHERE ti.dag_run_id = t.dag_run_id AND ti.task_no = t.task_no AND ti.map_index = t.map_index
  AND ti.state = t.from_state                   -- a stale transition matches nothing
  AND ti.dag_run_id BETWEEN $17 AND $18         -- prunes the partitions once, before the first row
