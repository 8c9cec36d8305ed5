-- Runs that existed before the turn, each only from the state it is expected in.
UPDATE dag_run AS r
SET state = t.to_state, started_at = t.started_at, ended_at = t.ended_at, reason = t.reason
FROM unnest($1::uuid[], $2::text[], $3::text[], $4::timestamptz[], $5::timestamptz[], $6::text[])
    AS t (id, from_state, to_state, started_at, ended_at, reason)
WHERE r.id = t.id AND r.state = t.from_state
