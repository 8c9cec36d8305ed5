-- Runs that memory must hold: running ones, and finished ones whose attempts are not gone yet.
SELECT id AS "id!" FROM dag_run WHERE state = 'running'
UNION
SELECT dag_run_id FROM attempt WHERE is_open
