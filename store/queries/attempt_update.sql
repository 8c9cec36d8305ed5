-- What of an attempt can change after it was queued; its identity and its turn never do.
UPDATE attempt AS a
SET state = t.to_state, node_id = t.node_id, boot = t.boot, spec_hash = t.spec_hash, started_at = t.started_at,
    ended_at = t.ended_at, pid = t.pid, outcome = t.outcome, exit_code = t.exit_code, signal = t.signal,
    message = t.message, cpu_user_ms = t.cpu_user_ms, cpu_system_ms = t.cpu_system_ms, rss_peak_bytes = t.rss_peak_bytes
FROM unnest(
    $1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::uuid[], $6::text[], $7::bytea[], $8::timestamptz[],
    $9::timestamptz[], $10::bigint[], $11::text[], $12::int[], $13::int[], $14::text[], $15::bigint[], $16::bigint[],
    $17::bigint[])
AS t (
    dag_run_id, attempt_id, from_state, to_state, node_id, boot, spec_hash, started_at, ended_at, pid, outcome, exit_code,
    signal, message, cpu_user_ms, cpu_system_ms, rss_peak_bytes)
WHERE a.dag_run_id = t.dag_run_id AND a.attempt_id = t.attempt_id
  AND a.state = t.from_state
  AND a.dag_run_id BETWEEN $18 AND $19
