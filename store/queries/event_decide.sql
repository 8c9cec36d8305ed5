-- T2: what became of events, each once.
UPDATE event AS e
SET outcome = CASE WHEN t.run IS NULL THEN 'ignored' ELSE 'run' END, dag_run_id = t.run, reason = t.reason,
    decided_turn = $4
FROM unnest($1::uuid[], $2::uuid[], $3::text[]) AS t (id, run, reason)
WHERE e.id = t.id AND e.outcome IS NULL
  AND e.id BETWEEN $5 AND $6
