INSERT INTO task_instance (
    dag_run_id, task_no, map_index, state, try_number, tries_max, losses, attempt_id, scheduled_at, queued_at, started_at,
    ended_at, retry_at, waits_for_run, reason)
SELECT * FROM unnest(
    $1::uuid[], $2::int[], $3::int[], $4::text[], $5::int[], $6::int[], $7::int[], $8::uuid[], $9::timestamptz[],
    $10::timestamptz[], $11::timestamptz[], $12::timestamptz[], $13::timestamptz[], $14::uuid[], $15::text[])
