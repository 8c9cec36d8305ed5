-- The next queued runs of a DAG: a short scan of dag_run_queued.
SELECT id, dag_id, dag_version_id, run_id, run_type, logical_date, data_interval_start, data_interval_end, run_after
FROM dag_run
WHERE state = 'queued' AND dag_id = $1 AND (run_after, id) > ($2, $3)
ORDER BY run_after, id
LIMIT $4
