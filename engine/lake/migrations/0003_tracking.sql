-- What identifies the rows that a run learned from.

ALTER TABLE datasets ADD COLUMN digest TEXT;

-- Descriptions and tags of registered models and their versions. They are told again from
-- the models' folders after a loss.

ALTER TABLE registered_models ADD COLUMN description TEXT;
ALTER TABLE model_versions ADD COLUMN description TEXT;

CREATE TABLE model_tags (
    name  TEXT NOT NULL REFERENCES registered_models (name),
    key   TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (name, key)
);

CREATE TABLE model_version_tags (
    name    TEXT   NOT NULL REFERENCES registered_models (name),
    version BIGINT NOT NULL,
    key     TEXT   NOT NULL,
    value   TEXT   NOT NULL,
    PRIMARY KEY (name, version, key)
);

-- An alias that was removed names no version: `version` may be missing. Neither SQLite nor
-- every PostgreSQL takes a constraint away in the same words, so the table is made anew.

CREATE TABLE alias_moves (
    name      TEXT   NOT NULL REFERENCES registered_models (name),
    move      BIGINT NOT NULL,
    alias     TEXT   NOT NULL,
    version   BIGINT,
    previous  BIGINT,
    timestamp BIGINT NOT NULL,
    run_id    TEXT   NOT NULL,
    reason    TEXT   NOT NULL,
    PRIMARY KEY (name, move)
);
INSERT INTO alias_moves (name, move, alias, version, previous, timestamp, run_id, reason)
SELECT name, move, alias, version, previous, timestamp, run_id, reason FROM alias_history;
DROP TABLE alias_history;
ALTER TABLE alias_moves RENAME TO alias_history;
