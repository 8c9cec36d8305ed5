COMMENT ON COLUMN attempt.claim IS 'Of a pod: the one that may run for it, as CLUSTER/NAMESPACE/UID.';
