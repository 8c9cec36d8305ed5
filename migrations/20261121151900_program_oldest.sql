-- Which programs may work on this schema: docs/decisions/0015-schema-upgrades.md.
ALTER TABLE installation ADD COLUMN program_oldest bigint NOT NULL DEFAULT 20260101000000;
COMMENT ON COLUMN installation.program_oldest IS 'A program must know at least this migration, else it refuses to work here. Raised only by migrations that take something away.';
