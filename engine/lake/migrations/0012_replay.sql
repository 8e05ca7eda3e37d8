-- What a run ran, so that it can be made again: the hash of the file that holds its definitions
-- (`_sluice/definitions/<pipeline>/<hash>.json`), and for each stage what it was made from and
-- what the asset was before (JSON).

ALTER TABLE runs ADD COLUMN definitions TEXT;
ALTER TABLE stages ADD COLUMN made_from TEXT;
