-- How often a stage was tried in its run, and of one that failed whose fault it was (`user`,
-- `data` or `system`) and whether the failure was one that passes by itself (1) or not (0).

ALTER TABLE stages ADD COLUMN attempts BIGINT;
ALTER TABLE stages ADD COLUMN fault TEXT;
ALTER TABLE stages ADD COLUMN transient BIGINT;
