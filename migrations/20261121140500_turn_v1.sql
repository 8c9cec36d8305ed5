-- A turn of the leader as one statement: fence, rows, commit and its flush in one round trip.
--
-- Types and function carry a version. A release that needs other columns adds `turn_v2` beside this one; `turn_v1` is
-- dropped only after no release that calls it can run. Arguments without rows are null and cost nothing.
--
-- Rows that come by ones and tens are written one by one, each statement by the whole key. A set joined with its table
-- leaves the plan to statistics: on tables too young to have any it reads every row of the runs between the lowest and
-- the highest, again and again. A statement by whole key has one plan, touches one partition, and starts faster than a
-- join of one row. What comes by thousands (new task instances) is still one statement.

CREATE TYPE turn_v1_new_run AS (
    id uuid, dag_id text, run_id text, dag_version_id uuid, run_type text, state text, logical_date timestamptz,
    data_interval_start timestamptz, data_interval_end timestamptz, run_after timestamptz, queued_at timestamptz,
    started_at timestamptz, ended_at timestamptz, reason text, triggered_by text, actor text, conf text, trigger text,
    parent_run_id uuid, parent_task_no integer, parent_map_index integer, note text, traceparent text
);
CREATE TYPE turn_v1_run AS (
    id uuid, from_state text, state text, started_at timestamptz, ended_at timestamptz, reason text
);
CREATE TYPE turn_v1_task_instance AS (
    dag_run_id uuid, task_no integer, map_index integer, from_state text, state text, try_number integer,
    tries_max integer, losses integer, attempt_id uuid, scheduled_at timestamptz, queued_at timestamptz,
    started_at timestamptz, ended_at timestamptz, retry_at timestamptz, waits_for_run uuid, reason text
);
CREATE TYPE turn_v1_attempt AS (
    dag_run_id uuid, attempt_id uuid, from_state text, state text, task_no integer, map_index integer,
    try_number integer, executor text, node_id uuid, boot text, claim text, place text, queued_turn bigint, spec_hash bytea,
    queued_at timestamptz, started_at timestamptz, ended_at timestamptz, pid bigint, outcome text, exit_code integer,
    signal integer, message text, cpu_user_ms bigint, cpu_system_ms bigint, rss_peak_bytes bigint
);
CREATE TYPE turn_v1_xcom AS (
    dag_run_id uuid, task_no integer, map_index integer, name text, value text, bytes bigint
);
CREATE TYPE turn_v1_event AS (id uuid, dag_run_id uuid, reason text);
CREATE TYPE turn_v1_cursor AS (dag_id text, last timestamptz, next timestamptz);
CREATE TYPE turn_v1_pause AS (dag_id text, is_paused boolean);
CREATE TYPE turn_v1_command AS (id uuid, error text);
CREATE TYPE turn_v1_log AS (dag_run_id uuid, changes text);

CREATE FUNCTION turn_v1(
    in_epoch bigint,
    in_holder uuid,
    in_turn bigint,
    in_at timestamptz,
    in_new_runs turn_v1_new_run[],
    in_runs turn_v1_run[],
    in_new_task_instances turn_v1_task_instance[],
    in_task_instances turn_v1_task_instance[],
    in_new_attempts turn_v1_attempt[],
    in_attempts turn_v1_attempt[],
    in_xcoms turn_v1_xcom[],
    in_events turn_v1_event[],
    in_cursors turn_v1_cursor[],
    in_paused turn_v1_pause[],
    in_commands turn_v1_command[],
    in_consumed bigint[],
    in_log turn_v1_log[]
) RETURNS boolean LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    done bigint;
    a_run turn_v1_run;
    an_instance turn_v1_task_instance;
    an_attempt turn_v1_attempt;
    an_event turn_v1_event;
    an_entry turn_v1_log;
BEGIN
    -- The fence. It makes no row version, waits for a takeover, and then matches nothing.
    PERFORM FROM leader WHERE epoch = in_epoch AND holder = in_holder FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RETURN false;
    END IF;

    IF in_new_runs IS NOT NULL THEN
        INSERT INTO dag_run (
            id, dag_id, run_id, dag_version_id, run_type, state, logical_date, data_interval_start, data_interval_end,
            run_after, queued_at, started_at, ended_at, reason, triggered_by, actor, conf, trigger, parent_run_id,
            parent_task_no, parent_map_index, note, traceparent)
        SELECT
            id, dag_id, run_id, dag_version_id, run_type, state, logical_date, data_interval_start, data_interval_end,
            run_after, queued_at, started_at, ended_at, reason, triggered_by, actor, conf::json, trigger::json,
            parent_run_id, parent_task_no, parent_map_index, note, traceparent
        FROM unnest(in_new_runs);
        GET DIAGNOSTICS done = ROW_COUNT;
        IF done <> cardinality(in_new_runs) THEN
            PERFORM turn_v1_stale('dag_run', cardinality(in_new_runs), done);
        END IF;
    END IF;

    -- From here on each row only from the state it is expected in: a stale transition matches nothing.
    IF in_runs IS NOT NULL THEN
        done := 0;
        FOREACH a_run IN ARRAY in_runs LOOP
            UPDATE dag_run
            SET state = a_run.state, started_at = a_run.started_at, ended_at = a_run.ended_at, reason = a_run.reason
            WHERE id = a_run.id AND state = a_run.from_state;
            IF FOUND THEN
                done := done + 1;
            END IF;
        END LOOP;
        IF done <> cardinality(in_runs) THEN
            PERFORM turn_v1_stale('dag_run', cardinality(in_runs), done);
        END IF;
    END IF;

    IF in_new_task_instances IS NOT NULL THEN
        INSERT INTO task_instance (
            dag_run_id, task_no, map_index, state, try_number, tries_max, losses, attempt_id, scheduled_at, queued_at,
            started_at, ended_at, retry_at, waits_for_run, reason)
        SELECT
            dag_run_id, task_no, map_index, state, try_number, tries_max, losses, attempt_id, scheduled_at, queued_at,
            started_at, ended_at, retry_at, waits_for_run, reason
        FROM unnest(in_new_task_instances);
        GET DIAGNOSTICS done = ROW_COUNT;
        IF done <> cardinality(in_new_task_instances) THEN
            PERFORM turn_v1_stale('task_instance', cardinality(in_new_task_instances), done);
        END IF;
    END IF;

    IF in_task_instances IS NOT NULL THEN
        done := 0;
        FOREACH an_instance IN ARRAY in_task_instances LOOP
            UPDATE task_instance
            SET state = an_instance.state, try_number = an_instance.try_number, tries_max = an_instance.tries_max,
                losses = an_instance.losses, attempt_id = an_instance.attempt_id,
                scheduled_at = an_instance.scheduled_at, queued_at = an_instance.queued_at,
                started_at = an_instance.started_at, ended_at = an_instance.ended_at,
                retry_at = an_instance.retry_at, waits_for_run = an_instance.waits_for_run,
                reason = an_instance.reason
            WHERE dag_run_id = an_instance.dag_run_id AND task_no = an_instance.task_no
              AND map_index = an_instance.map_index AND state = an_instance.from_state;
            IF FOUND THEN
                done := done + 1;
            END IF;
        END LOOP;
        IF done <> cardinality(in_task_instances) THEN
            PERFORM turn_v1_stale('task_instance', cardinality(in_task_instances), done);
        END IF;
    END IF;

    IF in_new_attempts IS NOT NULL THEN
        FOREACH an_attempt IN ARRAY in_new_attempts LOOP
            INSERT INTO attempt (
                dag_run_id, attempt_id, state, task_no, map_index, try_number, executor, node_id, boot, claim, place,
                queued_turn, spec_hash, queued_at, started_at, ended_at, pid, outcome, exit_code, signal, message, cpu_user_ms,
                cpu_system_ms, rss_peak_bytes)
            VALUES (
                an_attempt.dag_run_id, an_attempt.attempt_id, an_attempt.state, an_attempt.task_no,
                an_attempt.map_index, an_attempt.try_number, an_attempt.executor, an_attempt.node_id, an_attempt.boot,
                an_attempt.claim, an_attempt.place, an_attempt.queued_turn, an_attempt.spec_hash, an_attempt.queued_at, an_attempt.started_at,
                an_attempt.ended_at, an_attempt.pid, an_attempt.outcome, an_attempt.exit_code, an_attempt.signal,
                an_attempt.message, an_attempt.cpu_user_ms, an_attempt.cpu_system_ms, an_attempt.rss_peak_bytes);
        END LOOP;
    END IF;

    -- What of an attempt can change after it was queued; its identity and its turn never do.
    IF in_attempts IS NOT NULL THEN
        done := 0;
        FOREACH an_attempt IN ARRAY in_attempts LOOP
            UPDATE attempt
            SET state = an_attempt.state, node_id = an_attempt.node_id, boot = an_attempt.boot,
                claim = an_attempt.claim, place = an_attempt.place, spec_hash = an_attempt.spec_hash, started_at = an_attempt.started_at, ended_at = an_attempt.ended_at,
                pid = an_attempt.pid, outcome = an_attempt.outcome, exit_code = an_attempt.exit_code,
                signal = an_attempt.signal, message = an_attempt.message, cpu_user_ms = an_attempt.cpu_user_ms,
                cpu_system_ms = an_attempt.cpu_system_ms, rss_peak_bytes = an_attempt.rss_peak_bytes
            WHERE dag_run_id = an_attempt.dag_run_id AND attempt_id = an_attempt.attempt_id
              AND state = an_attempt.from_state;
            IF FOUND THEN
                done := done + 1;
            END IF;
        END LOOP;
        IF done <> cardinality(in_attempts) THEN
            PERFORM turn_v1_stale('attempt', cardinality(in_attempts), done);
        END IF;
    END IF;

    -- Outputs; those of an earlier try are replaced.
    IF in_xcoms IS NOT NULL THEN
        INSERT INTO xcom (dag_run_id, task_no, map_index, name, value, bytes, created_at)
        SELECT dag_run_id, task_no, map_index, name, value::json, bytes, in_at FROM unnest(in_xcoms)
        ON CONFLICT (dag_run_id, task_no, map_index, name)
        DO UPDATE SET value = excluded.value, uri = NULL, bytes = excluded.bytes, created_at = excluded.created_at;
        GET DIAGNOSTICS done = ROW_COUNT;
        IF done <> cardinality(in_xcoms) THEN
            PERFORM turn_v1_stale('xcom', cardinality(in_xcoms), done);
        END IF;
    END IF;

    -- T2: what became of events, each once.
    IF in_events IS NOT NULL THEN
        done := 0;
        FOREACH an_event IN ARRAY in_events LOOP
            UPDATE event
            SET outcome = CASE WHEN an_event.dag_run_id IS NULL THEN 'ignored' ELSE 'run' END,
                dag_run_id = an_event.dag_run_id, reason = an_event.reason, decided_turn = in_turn
            WHERE id = an_event.id AND outcome IS NULL;
            IF FOUND THEN
                done := done + 1;
            END IF;
        END LOOP;
        IF done <> cardinality(in_events) THEN
            PERFORM turn_v1_stale('event', cardinality(in_events), done);
        END IF;
    END IF;

    IF in_cursors IS NOT NULL THEN
        UPDATE dag AS d SET cursor_last = t.last, next_run_after = t.next
        FROM unnest(in_cursors) AS t
        WHERE d.dag_id = t.dag_id AND d.workspace_id = 1;
        GET DIAGNOSTICS done = ROW_COUNT;
        IF done <> cardinality(in_cursors) THEN
            PERFORM turn_v1_stale('dag', cardinality(in_cursors), done);
        END IF;
    END IF;

    IF in_paused IS NOT NULL THEN
        UPDATE dag AS d SET is_paused = t.is_paused
        FROM unnest(in_paused) AS t
        WHERE d.dag_id = t.dag_id AND d.workspace_id = 1;
        GET DIAGNOSTICS done = ROW_COUNT;
        IF done <> cardinality(in_paused) THEN
            PERFORM turn_v1_stale('dag', cardinality(in_paused), done);
        END IF;
    END IF;

    IF in_commands IS NOT NULL THEN
        UPDATE command AS c
        SET outcome = CASE WHEN t.error IS NULL THEN 'done' ELSE 'refused' END, error = t.error, decided_at = in_at
        FROM unnest(in_commands) AS t
        WHERE c.id = t.id AND c.outcome IS NULL;
        GET DIAGNOSTICS done = ROW_COUNT;
        IF done <> cardinality(in_commands) THEN
            PERFORM turn_v1_stale('command', cardinality(in_commands), done);
        END IF;
    END IF;

    IF in_consumed IS NOT NULL THEN
        DELETE FROM inbox WHERE id = ANY (in_consumed);
        GET DIAGNOSTICS done = ROW_COUNT;
        IF done <> cardinality(in_consumed) THEN
            PERFORM turn_v1_stale('inbox', cardinality(in_consumed), done);
        END IF;
    END IF;

    IF in_log IS NOT NULL THEN
        FOREACH an_entry IN ARRAY in_log LOOP
            INSERT INTO transition_log (dag_run_id, turn, epoch, at, changes)
            VALUES (an_entry.dag_run_id, in_turn, in_epoch, in_at, an_entry.changes);
        END LOOP;
    END IF;

    RETURN true;
END
$$;
COMMENT ON FUNCTION turn_v1 IS 'Writes one turn, all of it or nothing; false: fenced, nothing is written. Raises T0001 when rows are not as the turn expects.';

CREATE FUNCTION turn_v1_stale(table_name text, expected bigint, matched bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION USING
        ERRCODE = 'T0001',
        MESSAGE = format('%s: %s rows to write, %s matched', table_name, expected, matched),
        TABLE = table_name,
        DETAIL = format('%s %s', expected, matched);
END
$$;
COMMENT ON FUNCTION turn_v1_stale IS 'Rolls a turn back that stands on rows that changed. The store reads table and detail (`EXPECTED MATCHED`).';

