-- Where else people can look at an attempt: pages of other systems, such as the UI of its Spark driver.

ALTER TABLE attempt ADD COLUMN links jsonb;
COMMENT ON COLUMN attempt.links IS 'Their URLs by name. Written beside the turns, and nothing is decided from it. Counts while the attempt is open: the pages go with what they show.';
