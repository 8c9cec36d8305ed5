-- What is told of attempts that can be looked at elsewhere. $1 epoch and $2 holder of the leader; runs, attempts, all
-- their links. Returns those whose rows a turn has in its hands.
WITH pass AS (
    -- The fence beside the turns: docs/decisions/0010-fence-beside-the-turns.md.
    SELECT epoch FROM leader WHERE epoch = $1 AND holder = $2 FOR KEY SHARE
), news AS (
    SELECT run, attempt, links
    FROM unnest($3::uuid[], $4::uuid[], $5::jsonb[]) AS t (run, attempt, links)
), free AS (
    -- It never waits for a turn, which locks rows in an order of its own: a deadlock would cost the turn.
    SELECT a.dag_run_id, a.attempt_id, news.links
    FROM news JOIN attempt AS a ON a.dag_run_id = news.run AND a.attempt_id = news.attempt
    WHERE a.is_open AND EXISTS (SELECT FROM pass)
    FOR NO KEY UPDATE OF a SKIP LOCKED
), told AS (
    UPDATE attempt AS a SET links = free.links
    FROM free
    WHERE a.dag_run_id = free.dag_run_id AND a.attempt_id = free.attempt_id AND a.links IS DISTINCT FROM free.links
)
SELECT a.attempt_id AS "attempt_id!"
FROM news JOIN attempt AS a ON a.dag_run_id = news.run AND a.attempt_id = news.attempt
WHERE a.is_open
  AND NOT EXISTS (SELECT FROM free WHERE free.dag_run_id = a.dag_run_id AND free.attempt_id = a.attempt_id)
