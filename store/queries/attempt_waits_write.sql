-- What is told of attempts that wait. $1 epoch and $2 holder of the leader; runs, attempts, whether they had started,
-- reasons. Returns those whose rows a turn has in its hands.
WITH pass AS (
    -- The fence beside the turns: docs/decisions/0010-fence-beside-the-turns.md.
    SELECT epoch FROM leader WHERE epoch = $1 AND holder = $2 FOR KEY SHARE
), news AS (
    SELECT run, attempt, has_started, reason
    FROM unnest($3::uuid[], $4::uuid[], $5::boolean[], $6::text[]) AS t (run, attempt, has_started, reason)
), free AS (
    -- It never waits for a turn, which locks rows in an order of its own: a deadlock would cost the turn.
    SELECT a.dag_run_id, a.attempt_id, news.has_started, news.reason
    FROM news JOIN attempt AS a ON a.dag_run_id = news.run AND a.attempt_id = news.attempt
    WHERE a.is_open AND (a.started_at IS NULL OR news.has_started) AND EXISTS (SELECT FROM pass)
    FOR NO KEY UPDATE OF a SKIP LOCKED
), told AS (
    UPDATE attempt AS a SET waits = free.reason, waits_started = free.has_started
    FROM free
    WHERE a.dag_run_id = free.dag_run_id AND a.attempt_id = free.attempt_id
      AND (a.waits, a.waits_started) IS DISTINCT FROM (free.reason, free.has_started)
)
SELECT a.attempt_id AS "attempt_id!"
FROM news JOIN attempt AS a ON a.dag_run_id = news.run AND a.attempt_id = news.attempt
WHERE a.is_open AND (a.started_at IS NULL OR news.has_started)
  AND NOT EXISTS (SELECT FROM free WHERE free.dag_run_id = a.dag_run_id AND free.attempt_id = a.attempt_id)
