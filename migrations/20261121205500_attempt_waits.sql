-- What keeps an attempt from beginning, or from ending: for people, who may ask another process than the one that knows.

ALTER TABLE attempt ADD COLUMN waits text, ADD COLUMN waits_started boolean;
COMMENT ON COLUMN attempt.waits IS 'Why it has not begun, or does not end, in at most 500 characters. Written beside the turns, and nothing is decided from it. Counts while the attempt is open and waits_started still says what started_at does.';
COMMENT ON COLUMN attempt.waits_started IS 'Whether it had started when waits was said: what kept it from starting counts for nothing once it has.';
