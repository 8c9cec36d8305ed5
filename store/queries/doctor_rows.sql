-- What can not be so, whatever happened: each line names a check (doctor/known.rs) and a row that breaks it.
-- $1 now, $2 how many of the newest runs and events are looked at, $3 how many rows of each check are named.
WITH newest AS (
    SELECT id FROM dag_run ORDER BY id DESC LIMIT $2
), watched AS (
    SELECT id, dag_id, run_id, dag_version_id, state, ended_at, reason FROM dag_run
    WHERE state = 'running' OR id IN (SELECT id FROM newest)
), open_attempt AS (
    SELECT a.dag_run_id, a.attempt_id, a.task_no, a.map_index, a.state, a.node_id, a.boot,
           r.id IS NULL AS has_no_run, r.dag_id, r.run_id, r.dag_version_id, ti.state AS ti_state,
           ti.attempt_id AS ti_attempt_id,
           ti.state IN ('success', 'failed', 'skipped', 'upstream_failed', 'removed') AS is_ti_finished
    FROM attempt AS a
    LEFT JOIN dag_run AS r ON r.id = a.dag_run_id
    LEFT JOIN task_instance AS ti ON (ti.dag_run_id, ti.task_no, ti.map_index) = (a.dag_run_id, a.task_no, a.map_index)
    WHERE a.is_open
), unfinished AS (
    SELECT ti.*, r.dag_id, r.run_id, r.dag_version_id, r.state AS run_state FROM task_instance AS ti
    JOIN watched AS r ON r.id = ti.dag_run_id
    WHERE ti.state NOT IN ('success', 'failed', 'skipped', 'upstream_failed', 'removed')
), found (name, subject) AS (
    SELECT 'run-aside', format('%s %s: %s', dag_id, run_id, reason) FROM dag_run
    WHERE state IN ('queued', 'running') AND reason IS NOT NULL
    UNION ALL
    SELECT 'run-ended-early', format('%s %s', dag_id, run_id) FROM unfinished
    WHERE run_state IN ('success', 'failed') GROUP BY dag_id, run_id
    UNION ALL
    SELECT 'run-tasks-missing', format('%s %s', r.dag_id, r.run_id) FROM watched AS r
    WHERE r.state = 'running'
      AND (SELECT count(*) FROM task_instance AS ti WHERE ti.dag_run_id = r.id AND ti.map_index = -1)
       <> (SELECT count(*) FROM dag_version_task AS t WHERE t.dag_version_id = r.dag_version_id)
    UNION ALL
    SELECT 'task-without-attempt', format('%s %s task %s, %s', u.dag_id, u.run_id, u.task_no, u.state) FROM unfinished AS u
    WHERE u.state IN ('queued', 'running') AND u.run_state = 'running'
      AND NOT EXISTS (SELECT FROM open_attempt AS a
                      WHERE (a.dag_run_id, a.attempt_id, a.task_no) = (u.dag_run_id, u.attempt_id, u.task_no))
    UNION ALL
    SELECT 'task-waits-for-nothing', format('%s %s task %s, %s', dag_id, run_id, task_no, state) FROM unfinished
    WHERE run_state = 'running'
      AND (state = 'up_for_retry' AND retry_at IS NULL OR state = 'deferred' AND waits_for_run IS NULL AND wait IS NULL)
    UNION ALL
    SELECT 'task-overdue', format('%s %s task %s, due %s', dag_id, run_id, task_no, retry_at) FROM unfinished
    WHERE run_state = 'running' AND state = 'up_for_retry' AND retry_at < $1::timestamptz - interval '1 minute'
    UNION ALL
    SELECT 'task-overdue', format('%s %s task %s waits for a run that has ended', u.dag_id, u.run_id, u.task_no)
    FROM unfinished AS u LEFT JOIN dag_run AS other ON other.id = u.waits_for_run
    WHERE u.run_state = 'running' AND u.state = 'deferred' AND u.waits_for_run IS NOT NULL
      AND (other.id IS NULL OR other.ended_at < $1::timestamptz - interval '1 minute')
    UNION ALL
    SELECT 'attempt-of-finished', format('%s %s task %s attempt %s', dag_id, run_id, task_no, attempt_id)
    FROM open_attempt WHERE is_ti_finished AND state IN ('queued', 'running')
    UNION ALL
    SELECT 'attempt-twice', format('%s %s task %s: %s attempts', dag_id, run_id, task_no, count(*)) FROM open_attempt
    GROUP BY dag_run_id, dag_id, run_id, task_no, map_index HAVING 1 < count(*)
    UNION ALL
    SELECT 'attempt-of-nothing', format('attempt %s of run %s', attempt_id, dag_run_id) FROM open_attempt
    WHERE has_no_run OR ti_state IS NULL
    UNION ALL
    SELECT 'pool-over', format('%s: %s of %s slots', p.name, sum(t.pool_slots), p.slots) FROM open_attempt AS a
    JOIN dag_version_task AS t ON (t.dag_version_id, t.task_no) = (a.dag_version_id, a.task_no)
    JOIN pool AS p ON p.name = t.pool
    WHERE 0 <= p.slots GROUP BY p.name, p.slots HAVING p.slots < sum(t.pool_slots)
    UNION ALL
    SELECT 'pool-missing', format('%s, wanted by %s', t.pool, u.dag_id) FROM unfinished AS u
    JOIN dag_version_task AS t ON (t.dag_version_id, t.task_no) = (u.dag_version_id, u.task_no)
    WHERE u.state = 'scheduled' AND NOT EXISTS (SELECT FROM pool AS p WHERE p.name = t.pool) GROUP BY t.pool, u.dag_id
    UNION ALL
    SELECT 'event-without-run', format('%s %s %s', e.dag_id, e.trigger_name, e.dedup_key)
    FROM (SELECT * FROM event ORDER BY id DESC LIMIT $2) AS e
    WHERE e.outcome = 'run' AND NOT EXISTS (SELECT FROM dag_run AS r WHERE r.id = e.dag_run_id)
    UNION ALL
    SELECT 'event-twice', format('%s %s %s: %s runs', e.dag_id, e.trigger_name, e.dedup_key, count(DISTINCT e.dag_run_id))
    FROM (SELECT * FROM event ORDER BY id DESC LIMIT $2) AS e
    JOIN event_dedup AS d USING (bundle_id, dag_id, trigger_name, dedup_key)
    WHERE d.expires_at IS NULL
    GROUP BY e.bundle_id, e.dag_id, e.trigger_name, e.dedup_key HAVING 1 < count(DISTINCT e.dag_run_id)
    UNION ALL
    -- The leader's own node tells of its life by its turns.
    SELECT 'node-silent', format('%s (%s), last seen %s: %s attempts', n.hostname, n.id, n.seen_at, count(*))
    FROM open_attempt AS a JOIN node AS n ON n.id = a.node_id
    WHERE n.seen_at < $1::timestamptz - interval '1 minute' AND n.leads IS DISTINCT FROM (SELECT holder FROM leader)
    GROUP BY n.id
    UNION ALL
    SELECT 'launches-held', format('since %s: node %s has seen turn %s, the database knows %s', since, node_id, turn_outside, turn_inside)
    FROM hold
    UNION ALL
    SELECT 'node-ahead', format('%s (%s) has seen turn %s', hostname, id, turn_highest) FROM node
    WHERE greatest((SELECT turn FROM leader), (SELECT max(turn) FROM transition_log)) < turn_highest
    UNION ALL
    SELECT 'import-error', format('%s: %s', file, message) FROM import_error
)
SELECT f.name AS "name!", count(*) AS "count!", (array_agg(f.subject ORDER BY f.subject))[:$3] AS "subjects!"
FROM found AS f GROUP BY f.name ORDER BY f.name
