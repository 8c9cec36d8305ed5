INSERT INTO attempt (
    dag_run_id, attempt_id, state, task_no, map_index, try_number, executor, node_id, boot, queued_turn, spec_hash,
    queued_at, started_at, ended_at, pid, outcome, exit_code, signal, message, cpu_user_ms, cpu_system_ms, rss_peak_bytes)
SELECT * FROM unnest(
    $1::uuid[], $2::uuid[], $3::text[], $4::int[], $5::int[], $6::int[], $7::text[], $8::uuid[], $9::text[],
    $10::bigint[], $11::bytea[], $12::timestamptz[], $13::timestamptz[], $14::timestamptz[], $15::bigint[], $16::text[],
    $17::int[], $18::int[], $19::text[], $20::bigint[], $21::bigint[], $22::bigint[])
