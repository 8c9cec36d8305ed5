-- Several nodes: who leads where, what a node reports through the inbox, and the stop after a database went back.

ALTER TABLE node ADD COLUMN leads uuid;
COMMENT ON COLUMN node.leads IS 'The leader.holder that a scheduler of this node leads as, or last led as. Equal to it: the leader is here, and tends the node itself.';
COMMENT ON COLUMN node.seen_at IS 'When a scheduler of the node last spoke, with its host at hand. By the database''s clock.';
COMMENT ON COLUMN node.turn_highest IS 'The highest turn that anything on the node carried when its host last told all it knows. Above leader.turn, the database went back in time: a node that does not lead can''t have launched anything since the takeover.';

CREATE UNIQUE INDEX inbox_report ON inbox (subject, kind) WHERE kind IN ('attempt_started', 'attempt_finished');
COMMENT ON INDEX inbox_report IS 'Serves inbox::report: a report that is repeated adds nothing while the first one waits.';

CREATE TABLE hold (
    singleton boolean NOT NULL DEFAULT true CONSTRAINT hold_key PRIMARY KEY,
    node_id uuid NOT NULL,
    turn_outside bigint NOT NULL,
    turn_inside bigint NOT NULL,
    since timestamptz NOT NULL,
    CONSTRAINT hold_single CHECK (singleton)
);
COMMENT ON TABLE hold IS 'One row while nothing may be launched, because the database went back in time. `gridflow recover --accept-data-loss` deletes it.';
COMMENT ON COLUMN hold.node_id IS 'Where the highest turn was seen.';

CREATE TABLE attempt_unknown (
    node_id uuid NOT NULL,
    attempt_id uuid NOT NULL,
    dag_run_id uuid NOT NULL,
    pid bigint,
    started_at timestamptz,
    ended_at timestamptz,
    outcome text,
    CONSTRAINT attempt_unknown_key PRIMARY KEY (node_id, attempt_id)
);
COMMENT ON TABLE attempt_unknown IS 'While there is a hold: what nodes run, or have run, that has no row in attempt.';
