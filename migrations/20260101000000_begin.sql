-- The whole schema of the durable core: who leads, what runs, what came in.
--
-- Conventions. Texts in keys and indexes are compared by bytes (COLLATE "C"): an upgrade of the system's libraries
-- changes other orders, and with them what a unique index finds. Instants are timestamptz and always come in as parameters. States are Airflow's names as text.
-- Constraints are named, because the store maps errors by name. Values that people or tasks wrote are `json`, not
-- `jsonb`: key order survives, and an escaped NUL in a task's output can't fail a whole turn. `key_id` names the key
-- that a row's values are encrypted with; null is plain text.
--
-- Tables whose key begins with a run (or an event) are range-partitioned by it: the ids are UUIDv7, so a month is a
-- range. `partition_ensure` makes the months; what no month holds (a clock that jumped) falls into the default one.

CREATE TABLE installation (
    singleton boolean NOT NULL DEFAULT true CONSTRAINT installation_key PRIMARY KEY,
    id uuid NOT NULL,
    created_at timestamptz NOT NULL,
    CONSTRAINT installation_single CHECK (singleton)
);
COMMENT ON TABLE installation IS 'One row: which installation this database is. Things outside that carry another id are not ours.';
INSERT INTO installation (id, created_at) VALUES (gen_random_uuid(), now());

CREATE TABLE leader (
    singleton boolean NOT NULL DEFAULT true CONSTRAINT leader_key PRIMARY KEY,
    epoch bigint NOT NULL,
    holder uuid NOT NULL,
    turn bigint NOT NULL,
    since timestamptz NOT NULL,
    CONSTRAINT leader_single CHECK (singleton)
);
COMMENT ON TABLE leader IS 'One row: the fence. Every turn locks it first; a takeover raises the epoch, after which older leaders match nothing.';
COMMENT ON COLUMN leader.turn IS 'The highest turn known at the last takeover. Turns do not update it (row versions would pile up under any old snapshot); the present one is the highest in the transition log.';
INSERT INTO leader (epoch, holder, turn, since) VALUES (0, gen_random_uuid(), 0, now());

CREATE TABLE node (
    id uuid NOT NULL CONSTRAINT node_key PRIMARY KEY,
    boot text NOT NULL,
    hostname text NOT NULL,
    seen_at timestamptz NOT NULL,
    turn_highest bigint NOT NULL DEFAULT 0
);
COMMENT ON TABLE node IS 'Machines that run local attempts, with their present boot.';
COMMENT ON COLUMN node.turn_highest IS 'The highest turn that anything on the node carries. Above the database''s own, the database went back in time.';

CREATE TABLE workspace (
    id smallint NOT NULL CONSTRAINT workspace_key PRIMARY KEY,
    name text COLLATE "C" NOT NULL CONSTRAINT workspace_name_taken UNIQUE
);
INSERT INTO workspace VALUES (1, 'default');

CREATE TABLE bundle (
    id smallint GENERATED ALWAYS AS IDENTITY CONSTRAINT bundle_key PRIMARY KEY,
    workspace_id smallint NOT NULL DEFAULT 1 CONSTRAINT bundle_workspace REFERENCES workspace,
    name text COLLATE "C" NOT NULL,
    CONSTRAINT bundle_name_taken UNIQUE (name, workspace_id)
);
COMMENT ON TABLE bundle IS 'Where DAG files come from.';
INSERT INTO bundle (name) VALUES ('dags');

-- DAGs and their versions --------------------------------------------------------------------------------------------

CREATE TABLE dag (
    dag_id text COLLATE "C" NOT NULL,
    workspace_id smallint NOT NULL DEFAULT 1 CONSTRAINT dag_workspace REFERENCES workspace,
    bundle_id smallint NOT NULL CONSTRAINT dag_bundle REFERENCES bundle,
    file text NOT NULL,
    is_paused boolean NOT NULL,
    current_version_id uuid NOT NULL,
    cursor_last timestamptz,
    next_run_after timestamptz,
    owner text,
    tags text[] NOT NULL DEFAULT '{}',
    description text,
    details json NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL,
    published_at timestamptz NOT NULL,
    removed_at timestamptz,
    CONSTRAINT dag_key PRIMARY KEY (dag_id, workspace_id)
) WITH (fillfactor = 80);
COMMENT ON TABLE dag IS 'DAGs seen so far; the key serves every look-up by id and the sorted list.';
COMMENT ON COLUMN dag.file IS 'Relative to the bundle. A file that is broken now keeps its last good version here and has an import error.';
COMMENT ON COLUMN dag.cursor_last IS 'The last instant of the schedule that made a run or was passed over.';
COMMENT ON COLUMN dag.details IS 'What lists show and nothing filters by (schedule in words, limits …), made by the loader.';
COMMENT ON COLUMN dag.removed_at IS 'When it left its bundle: no new scheduled runs; what is active goes on.';

CREATE TABLE blob (
    hash bytea NOT NULL CONSTRAINT blob_key PRIMARY KEY,
    content bytea NOT NULL,
    CONSTRAINT blob_hash_length CHECK (octet_length(hash) = 32),
    CONSTRAINT blob_size CHECK (octet_length(content) <= 16777216)
);
COMMENT ON TABLE blob IS 'Files of DAG versions by the BLAKE3 hash of their bytes, each once.';

CREATE TABLE dag_version (
    id uuid NOT NULL CONSTRAINT dag_version_key PRIMARY KEY,
    dag_id text COLLATE "C" NOT NULL,
    workspace_id smallint NOT NULL DEFAULT 1,
    number integer NOT NULL,
    hash bytea NOT NULL,
    source_hash bytea NOT NULL CONSTRAINT dag_version_source REFERENCES blob,
    bundle_version text,
    created_at timestamptz NOT NULL,
    CONSTRAINT dag_version_number_taken UNIQUE (dag_id, workspace_id, number),
    CONSTRAINT dag_version_hash_length CHECK (octet_length(hash) = 32)
);
COMMENT ON TABLE dag_version IS 'What a run is pinned to. A version without runs is overwritten in place; dag_version_number_taken also serves the list of a DAG''s versions.';
COMMENT ON COLUMN dag_version.hash IS 'Over the YAML and every file it refers to.';

CREATE TABLE dag_version_file (
    dag_version_id uuid NOT NULL CONSTRAINT dag_version_file_version REFERENCES dag_version ON DELETE CASCADE,
    path text COLLATE "C" NOT NULL,
    hash bytea NOT NULL CONSTRAINT dag_version_file_blob REFERENCES blob,
    mode integer NOT NULL DEFAULT 420,
    CONSTRAINT dag_version_file_key PRIMARY KEY (dag_version_id, path)
);
COMMENT ON TABLE dag_version_file IS 'The files of a version, by path relative to the DAG file. Mode is the permission bits (420 is 0644).';

CREATE TABLE dag_version_task (
    dag_version_id uuid NOT NULL CONSTRAINT dag_version_task_version REFERENCES dag_version ON DELETE CASCADE,
    task_no integer NOT NULL,
    task_id text COLLATE "C" NOT NULL,
    group_path text NOT NULL DEFAULT '',
    operator text NOT NULL,
    pool text NOT NULL DEFAULT 'default_pool',
    pool_slots integer NOT NULL DEFAULT 1,
    priority_weight integer NOT NULL DEFAULT 1,
    queue text,
    CONSTRAINT dag_version_task_key PRIMARY KEY (dag_version_id, task_no),
    CONSTRAINT dag_version_task_id_taken UNIQUE (dag_version_id, task_id)
);
COMMENT ON TABLE dag_version_task IS 'What the numbers in task_instance.task_no mean. dag_version_task_id_taken serves the look-up by task id.';

CREATE TABLE import_error (
    id bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT import_error_key PRIMARY KEY,
    bundle_id smallint NOT NULL CONSTRAINT import_error_bundle REFERENCES bundle,
    file text COLLATE "C" NOT NULL,
    dag_id text,
    message text NOT NULL,
    diagnostics json NOT NULL DEFAULT '[]',
    at timestamptz NOT NULL,
    CONSTRAINT import_error_file_taken UNIQUE (bundle_id, file)
);
COMMENT ON TABLE import_error IS 'Files that can not be loaded now, with every diagnostic. Gone as soon as the file is good or gone.';

-- Runs ---------------------------------------------------------------------------------------------------------------

CREATE TABLE dag_run (
    id uuid NOT NULL CONSTRAINT dag_run_key PRIMARY KEY,
    workspace_id smallint NOT NULL DEFAULT 1,
    dag_id text COLLATE "C" NOT NULL,
    run_id text COLLATE "C" NOT NULL,
    dag_version_id uuid NOT NULL,
    run_type text NOT NULL,
    state text NOT NULL,
    logical_date timestamptz,
    data_interval_start timestamptz,
    data_interval_end timestamptz,
    run_after timestamptz NOT NULL,
    queued_at timestamptz NOT NULL,
    started_at timestamptz,
    ended_at timestamptz,
    reason text,
    triggered_by text NOT NULL,
    actor text,
    conf json NOT NULL DEFAULT '{}',
    trigger json,
    key_id smallint,
    parent_run_id uuid,
    parent_task_no integer,
    parent_map_index integer,
    note text,
    traceparent text,
    CONSTRAINT dag_run_run_id_taken UNIQUE (dag_id, run_id, workspace_id),
    CONSTRAINT dag_run_state CHECK (state IN ('queued', 'running', 'success', 'failed')),
    CONSTRAINT dag_run_type CHECK (run_type IN
        ('scheduled', 'manual', 'backfill', 'asset_triggered', 'asset_materialization', 'operator_triggered')),
    CONSTRAINT dag_run_triggered_by CHECK (triggered_by IN
        ('cli', 'operator', 'rest_api', 'ui', 'test', 'timetable', 'asset', 'backfill')),
    CONSTRAINT dag_run_interval CHECK ((data_interval_start IS NULL) = (data_interval_end IS NULL)),
    CONSTRAINT dag_run_parent CHECK
        ((parent_run_id IS NULL) = (parent_task_no IS NULL) AND (parent_run_id IS NULL) = (parent_map_index IS NULL))
) WITH (fillfactor = 80);
COMMENT ON TABLE dag_run IS 'DAG runs, unpartitioned: it carries the unique keys. No foreign keys: runs outlive versions'' checks, and inserts stay cheap.';
COMMENT ON COLUMN dag_run.id IS 'UUIDv7. Orders runs by creation; rows about the run lie in the month of its id.';
COMMENT ON COLUMN dag_run.trigger IS 'What the trigger saw: {{ trigger.… }}.';
COMMENT ON CONSTRAINT dag_run_run_id_taken ON dag_run IS 'Also serves the look-up of a run by its DAG and name.';
CREATE UNIQUE INDEX dag_run_logical_date_taken ON dag_run (dag_id, logical_date, workspace_id)
    WHERE logical_date IS NOT NULL;
COMMENT ON INDEX dag_run_logical_date_taken IS 'One run per logical date. Serves look-ups by logical date.';
CREATE INDEX dag_run_queued ON dag_run (dag_id, run_after, id) WHERE state = 'queued';
COMMENT ON INDEX dag_run_queued IS 'Serves run::queued_after, recovery''s first queued runs of each DAG and their counts.';
CREATE INDEX dag_run_running ON dag_run (id) WHERE state = 'running';
COMMENT ON INDEX dag_run_running IS 'Serves recovery: the running runs.';
CREATE INDEX dag_run_of_dag ON dag_run (dag_id, run_after, id);
CREATE INDEX dag_run_of_version ON dag_run (dag_version_id);
COMMENT ON INDEX dag_run_of_version IS 'Serves dag::publish: does a version have runs?';
COMMENT ON INDEX dag_run_of_dag IS 'Serves the runs of a DAG in their order: the grid, the list, its latest run.';

CREATE TABLE task_instance (
    dag_run_id uuid NOT NULL,
    task_no integer NOT NULL,
    map_index integer NOT NULL DEFAULT -1,
    state text NOT NULL,
    try_number integer NOT NULL,
    tries_max integer NOT NULL,
    losses integer NOT NULL DEFAULT 0,
    attempt_id uuid,
    scheduled_at timestamptz,
    queued_at timestamptz,
    started_at timestamptz,
    ended_at timestamptz,
    retry_at timestamptz,
    waits_for_run uuid,
    wait json,
    key_id smallint,
    reason text,
    note text,
    rendered_map_index text,
    traceparent text,
    CONSTRAINT task_instance_key PRIMARY KEY (dag_run_id, task_no, map_index),
    CONSTRAINT task_instance_state CHECK (state IN ('none', 'scheduled', 'queued', 'running', 'success', 'failed',
        'skipped', 'upstream_failed', 'removed', 'up_for_retry', 'up_for_reschedule', 'deferred', 'awaiting_input',
        'restarting'))
) PARTITION BY RANGE (dag_run_id);
COMMENT ON TABLE task_instance IS 'Its key is its only index, so that updates stay heap-only; unfinished ones are found through unfinished runs.';
COMMENT ON COLUMN task_instance.task_no IS 'The place of the task in the run''s DAG version: dag_version_task.';
COMMENT ON COLUMN task_instance.map_index IS '-1: not mapped.';
COMMENT ON COLUMN task_instance.state IS 'Airflow''s names; `none` is its null.';
COMMENT ON COLUMN task_instance.attempt_id IS 'The attempt of the present try.';
COMMENT ON COLUMN task_instance.waits_for_run IS 'The run that a deferred trigger_dag waits for.';
COMMENT ON COLUMN task_instance.wait IS 'The state of any other wait, as its operator saved it.';

CREATE TABLE attempt (
    dag_run_id uuid NOT NULL,
    attempt_id uuid NOT NULL,
    task_no integer NOT NULL,
    map_index integer NOT NULL,
    try_number integer NOT NULL,
    state text NOT NULL,
    is_open boolean NOT NULL GENERATED ALWAYS AS (state <> 'closed') STORED,
    executor text NOT NULL,
    node_id uuid,
    boot text,
    claim text,
    place text,
    pid bigint,
    queued_turn bigint NOT NULL,
    spec_hash bytea,
    queued_at timestamptz NOT NULL,
    started_at timestamptz,
    ended_at timestamptz,
    outcome text,
    exit_code integer,
    signal integer,
    message text,
    cpu_user_ms bigint,
    cpu_system_ms bigint,
    rss_peak_bytes bigint,
    traceparent text,
    CONSTRAINT attempt_key PRIMARY KEY (dag_run_id, attempt_id),
    CONSTRAINT attempt_state CHECK (state IN ('queued', 'running', 'canceling', 'closed')),
    CONSTRAINT attempt_outcome CHECK (outcome IN ('exited', 'signaled', 'timed_out', 'canceled', 'never_started',
        'spawn_failed', 'output_invalid', 'lost')),
    CONSTRAINT attempt_binding CHECK ((node_id IS NULL) = (boot IS NULL)),
    CONSTRAINT attempt_spec_hash_length CHECK (octet_length(spec_hash) = 32)
) PARTITION BY RANGE (dag_run_id);
COMMENT ON TABLE attempt IS 'One row per try of a task instance that was launched, with its own state: it closes when its processes are gone.';
COMMENT ON COLUMN attempt.queued_turn IS 'The turn that committed it. What was launched for it outside carries that number.';
COMMENT ON COLUMN attempt.claim IS 'Of a pod: the uid of the one that may run for it.';
COMMENT ON COLUMN attempt.place IS 'Of a pod: where it was seen running, as NODE/BOOT-ID.';
CREATE INDEX attempt_open ON attempt (dag_run_id, attempt_id) WHERE is_open;
COMMENT ON INDEX attempt_open IS 'Serves recovery: attempts not closed, also of finished runs. Over is_open, not state, so that queued → running stays heap-only.';

CREATE TABLE xcom (
    dag_run_id uuid NOT NULL,
    task_no integer NOT NULL,
    map_index integer NOT NULL,
    name text COLLATE "C" NOT NULL,
    value json,
    uri text,
    bytes bigint NOT NULL,
    key_id smallint,
    created_at timestamptz NOT NULL,
    CONSTRAINT xcom_key PRIMARY KEY (dag_run_id, task_no, map_index, name),
    CONSTRAINT xcom_place CHECK ((value IS NULL) <> (uri IS NULL))
) PARTITION BY RANGE (dag_run_id);
COMMENT ON TABLE xcom IS 'Outputs of tasks. Above 32 KiB the value lies elsewhere and uri says where.';

CREATE TABLE transition_log (
    dag_run_id uuid NOT NULL,
    turn bigint NOT NULL,
    epoch bigint NOT NULL,
    at timestamptz NOT NULL,
    changes text NOT NULL,
    CONSTRAINT transition_log_key PRIMARY KEY (dag_run_id, turn)
) PARTITION BY RANGE (dag_run_id);
COMMENT ON TABLE transition_log IS 'Every change of state, one row per run and turn; replays exactly.';
COMMENT ON COLUMN transition_log.changes IS 'One change a line, in order: `run FROM TO`, `ti TASK_NO MAP_INDEX FROM TO TRY_NUMBER`, `attempt ID FROM TO`; FROM is `-` for a row that the turn made.';
CREATE INDEX transition_log_turn ON transition_log (turn);
COMMENT ON INDEX transition_log_turn IS 'Serves the event stream, which resumes after a turn, and the highest turn at a takeover.';

-- Outside events -----------------------------------------------------------------------------------------------------

CREATE TABLE event (
    id uuid NOT NULL CONSTRAINT event_key PRIMARY KEY,
    bundle_id smallint NOT NULL,
    dag_id text COLLATE "C" NOT NULL,
    trigger_name text COLLATE "C" NOT NULL,
    dedup_key text NOT NULL,
    payload json NOT NULL,
    key_id smallint,
    occurred_at timestamptz,
    received_at timestamptz NOT NULL,
    outcome text,
    dag_run_id uuid,
    reason text,
    decided_turn bigint,
    traceparent text,
    CONSTRAINT event_outcome CHECK (outcome IN ('run', 'ignored')),
    CONSTRAINT event_run CHECK ((outcome = 'run') = (dag_run_id IS NOT NULL) OR outcome IS NULL AND dag_run_id IS NULL)
) PARTITION BY RANGE (id);
COMMENT ON TABLE event IS 'What triggers received. Written once by the receiver (T1), decided once by the leader (T2).';
COMMENT ON COLUMN event.dag_run_id IS 'The run it belongs to; several events may share one.';
CREATE INDEX event_pending ON event (dag_id, id) WHERE outcome IS NULL;
COMMENT ON INDEX event_pending IS 'Serves event::pending and recovery: events without an outcome.';
CREATE INDEX event_of_run ON event (dag_run_id) WHERE dag_run_id IS NOT NULL;
COMMENT ON INDEX event_of_run IS 'Serves a run''s page: the events that it answers.';

CREATE TABLE event_dedup (
    bundle_id smallint NOT NULL,
    dag_id text COLLATE "C" NOT NULL,
    trigger_name text COLLATE "C" NOT NULL,
    dedup_key text COLLATE "C" NOT NULL,
    event_id uuid NOT NULL,
    expires_at timestamptz,
    CONSTRAINT event_dedup_key PRIMARY KEY (bundle_id, dag_id, trigger_name, dedup_key)
);
COMMENT ON TABLE event_dedup IS 'ONE-RUN: an event is taken once per trigger as long as its key is kept. Null expiry: for ever.';
COMMENT ON COLUMN event_dedup.event_id IS 'All zeros: the key was passed over, there is no event.';
CREATE INDEX event_dedup_expiry ON event_dedup (expires_at) WHERE expires_at IS NOT NULL;
COMMENT ON INDEX event_dedup_expiry IS 'Serves retention.';

CREATE TABLE trigger_cursor (
    bundle_id smallint NOT NULL,
    dag_id text COLLATE "C" NOT NULL,
    trigger_name text COLLATE "C" NOT NULL,
    position json NOT NULL,
    updated_at timestamptz NOT NULL,
    CONSTRAINT trigger_cursor_key PRIMARY KEY (bundle_id, dag_id, trigger_name)
) WITH (fillfactor = 50);
COMMENT ON TABLE trigger_cursor IS 'How far a trigger has read its source; moves with the events that it received.';

-- Requests to the leader ---------------------------------------------------------------------------------------------

CREATE TABLE inbox (
    id bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT inbox_key PRIMARY KEY,
    kind text NOT NULL,
    subject uuid,
    payload json NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL
);
COMMENT ON COLUMN inbox.subject IS 'The run or command that it is about.';
COMMENT ON TABLE inbox IS 'What the leader must look at. Read as all rows present, never from a remembered id (a lower id may commit later); deleted in the turn that dealt with it.';

CREATE TABLE command (
    id uuid NOT NULL CONSTRAINT command_key PRIMARY KEY,
    workspace_id smallint NOT NULL DEFAULT 1,
    actor text COLLATE "C" NOT NULL,
    idempotency_key text COLLATE "C" NOT NULL,
    kind text NOT NULL,
    payload json NOT NULL,
    outcome text,
    error text,
    created_at timestamptz NOT NULL,
    decided_at timestamptz,
    expires_at timestamptz NOT NULL,
    CONSTRAINT command_idempotency_key_taken UNIQUE (actor, idempotency_key),
    CONSTRAINT command_outcome CHECK (outcome IN ('done', 'refused')),
    CONSTRAINT command_decided CHECK ((outcome IS NULL) = (decided_at IS NULL)),
    CONSTRAINT command_error CHECK (outcome = 'refused' OR error IS NULL)
);
COMMENT ON TABLE command IS 'What people asked of the leader, with its answer; kept for a day.';
CREATE INDEX command_expiry ON command (expires_at);
COMMENT ON INDEX command_expiry IS 'Serves retention.';

CREATE TABLE pool (
    name text COLLATE "C" NOT NULL,
    workspace_id smallint NOT NULL DEFAULT 1 CONSTRAINT pool_workspace REFERENCES workspace,
    slots integer NOT NULL,
    description text NOT NULL DEFAULT '',
    include_deferred boolean NOT NULL DEFAULT false,
    CONSTRAINT pool_key PRIMARY KEY (name, workspace_id),
    CONSTRAINT pool_slots CHECK (-1 <= slots)
);
COMMENT ON COLUMN pool.slots IS '-1: unlimited.';
INSERT INTO pool (name, slots, description) VALUES ('default_pool', 128, 'Default pool');

CREATE TABLE audit_log (
    id bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT audit_log_key PRIMARY KEY,
    at timestamptz NOT NULL,
    workspace_id smallint NOT NULL DEFAULT 1,
    actor text,
    action text NOT NULL,
    dag_id text COLLATE "C",
    run_id text,
    task_id text,
    map_index integer,
    try_number integer,
    logical_date timestamptz,
    extra json
);
COMMENT ON TABLE audit_log IS 'Who changed what; append-only.';
CREATE INDEX audit_log_of_dag ON audit_log (dag_id, id) WHERE dag_id IS NOT NULL;
COMMENT ON INDEX audit_log_of_dag IS 'Serves a DAG''s page.';

-- Partitions ---------------------------------------------------------------------------------------------------------

CREATE FUNCTION partition_bound(instant timestamptz) RETURNS uuid LANGUAGE sql IMMUTABLE STRICT AS $$
    SELECT (lpad(to_hex(floor(extract(epoch FROM instant) * 1000)::bigint), 12, '0') || repeat('0', 20))::uuid
$$;
COMMENT ON FUNCTION partition_bound IS 'The lowest UUIDv7 of a millisecond.';

CREATE FUNCTION partition_ensure(parent text, month timestamptz) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    month_start timestamptz := date_trunc('month', month, 'UTC');
    -- In UTC throughout: adding a month in the session's time zone may cross a daylight change.
    month_end timestamptz := (date_trunc('month', month AT TIME ZONE 'UTC') + interval '1 month') AT TIME ZONE 'UTC';
    suffix text := to_char(month_start AT TIME ZONE 'UTC', 'YYYYMM');
    lower_bound uuid := partition_bound(month_start);
    upper_bound uuid := partition_bound(month_end);
    key text;
    fill integer;
BEGIN
    SELECT t.key, t.fill INTO STRICT key, fill FROM (VALUES
        ('task_instance', 'dag_run_id', 70), ('attempt', 'dag_run_id', 70), ('xcom', 'dag_run_id', 100),
        ('event', 'id', 80), ('transition_log', 'dag_run_id', 100)) AS t (name, key, fill)
    WHERE t.name = parent;
    PERFORM pg_advisory_xact_lock(hashtext('partition_ensure'));
    IF to_regclass(parent || '_' || suffix) IS NOT NULL THEN
        RETURN false;
    END IF;
    EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING ALL) WITH (fillfactor = %s)',
        parent || '_' || suffix, parent, fill);
    -- Rows that came before their month existed move over, else it could not be attached.
    PERFORM partition_move(parent, suffix, key, lower_bound, upper_bound);
    EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
        parent, parent || '_' || suffix, lower_bound, upper_bound);
    RETURN true;
END
$$;
COMMENT ON FUNCTION partition_ensure IS 'Makes the partition of a month where it is missing and says whether it was. One table a call: holding several would deadlock with turns.';

CREATE FUNCTION partition_move(parent text, suffix text, key text, lower_bound uuid, upper_bound uuid) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    columns text;
BEGIN
    SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) INTO columns
    FROM pg_attribute
    WHERE attrelid = parent::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = '';
    EXECUTE format(
        'WITH moved AS (DELETE FROM %I WHERE %I >= %L AND %I < %L RETURNING %s) INSERT INTO %I (%s) SELECT %s FROM moved',
        parent || '_default', key, lower_bound, key, upper_bound, columns, parent || '_' || suffix, columns, columns);
END
$$;
COMMENT ON FUNCTION partition_move IS 'Moves the rows of a month out of the default partition.';

CREATE TABLE task_instance_default PARTITION OF task_instance DEFAULT WITH (fillfactor = 70);
CREATE TABLE attempt_default PARTITION OF attempt DEFAULT WITH (fillfactor = 70);
CREATE TABLE xcom_default PARTITION OF xcom DEFAULT;
CREATE TABLE transition_log_default PARTITION OF transition_log DEFAULT;
CREATE TABLE event_default PARTITION OF event DEFAULT WITH (fillfactor = 80);
