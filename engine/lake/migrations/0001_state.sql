-- The state of a lakehouse: runs, tracking in MLflow's data model, the file
-- ledger, transaction counters and the registry.
--
-- Portable between SQLite and PostgreSQL: TEXT, BIGINT and DOUBLE PRECISION
-- only; times are milliseconds since 1970-01-01 UTC; identifiers are made by
-- the program. No table holds what cannot be told again from Delta commits and
-- model folders, except the history of runs.

CREATE TABLE experiments (
    experiment_id BIGINT NOT NULL PRIMARY KEY,
    name          TEXT   NOT NULL UNIQUE,
    creation_time BIGINT NOT NULL
);

CREATE TABLE runs (
    run_id        TEXT   NOT NULL PRIMARY KEY,
    experiment_id BIGINT NOT NULL REFERENCES experiments (experiment_id),
    run_name      TEXT   NOT NULL,
    kind          TEXT   NOT NULL,
    parent_run_id TEXT   REFERENCES runs (run_id),
    status        TEXT   NOT NULL,
    start_time    BIGINT NOT NULL,
    end_time      BIGINT,
    error         TEXT,
    project       TEXT   NOT NULL,
    pipeline      TEXT   NOT NULL
);
CREATE INDEX runs_by_project ON runs (project, status);
CREATE INDEX runs_by_parent ON runs (parent_run_id);

CREATE TABLE params (
    run_id TEXT NOT NULL REFERENCES runs (run_id),
    key    TEXT NOT NULL,
    value  TEXT NOT NULL,
    PRIMARY KEY (run_id, key)
);

-- A value that is not a number (NaN) is stored as NULL: no comparison with it
-- is true and no aggregate counts it.
CREATE TABLE metrics (
    run_id    TEXT   NOT NULL REFERENCES runs (run_id),
    key       TEXT   NOT NULL,
    step      BIGINT NOT NULL,
    timestamp BIGINT NOT NULL,
    value     DOUBLE PRECISION,
    PRIMARY KEY (run_id, key, step, timestamp)
);

CREATE TABLE tags (
    run_id TEXT NOT NULL REFERENCES runs (run_id),
    key    TEXT NOT NULL,
    value  TEXT NOT NULL,
    PRIMARY KEY (run_id, key)
);

CREATE TABLE datasets (
    run_id  TEXT   NOT NULL REFERENCES runs (run_id),
    name    TEXT   NOT NULL,
    version BIGINT NOT NULL,
    context TEXT   NOT NULL,
    PRIMARY KEY (run_id, name, version, context)
);

CREATE TABLE artifacts (
    run_id TEXT   NOT NULL REFERENCES runs (run_id),
    path   TEXT   NOT NULL,
    hash   TEXT   NOT NULL,
    bytes  BIGINT NOT NULL,
    PRIMARY KEY (run_id, path)
);

CREATE TABLE stages (
    run_id     TEXT   NOT NULL REFERENCES runs (run_id),
    asset      TEXT   NOT NULL,
    kind       TEXT   NOT NULL,
    status     TEXT   NOT NULL,
    reason     TEXT,
    key        TEXT,
    rows       BIGINT,
    version    BIGINT,
    start_time BIGINT NOT NULL,
    end_time   BIGINT,
    error      TEXT,
    PRIMARY KEY (run_id, asset)
);

CREATE TABLE expectations (
    run_id    TEXT   NOT NULL REFERENCES runs (run_id),
    asset     TEXT   NOT NULL,
    name      TEXT   NOT NULL,
    rule      TEXT   NOT NULL,
    otherwise TEXT   NOT NULL,
    rows      BIGINT NOT NULL,
    failed    BIGINT NOT NULL,
    PRIMARY KEY (run_id, asset, name)
);

-- The ledger: the files whose rows a table holds.
CREATE TABLE files (
    project      TEXT   NOT NULL,
    table_name   TEXT   NOT NULL,
    path         TEXT   NOT NULL,
    content_hash TEXT   NOT NULL,
    bytes        BIGINT NOT NULL,
    rows         BIGINT,
    version      BIGINT NOT NULL,
    PRIMARY KEY (project, table_name, path)
);

-- Exactly once: an intent is recorded before its Delta commit is tried.
-- `record` is what that commit says about itself (JSON); `state` is
-- INTENT, COMMITTED or ABANDONED.
CREATE TABLE txns (
    app_id        TEXT   NOT NULL,
    version       BIGINT NOT NULL,
    run_id        TEXT   NOT NULL,
    state         TEXT   NOT NULL,
    record        TEXT   NOT NULL,
    table_version BIGINT,
    time          BIGINT NOT NULL,
    PRIMARY KEY (app_id, version)
);
CREATE INDEX txns_open ON txns (state, app_id);

-- What made each asset as it is now; equal keys need no work.
CREATE TABLE asset_keys (
    project   TEXT   NOT NULL,
    asset     TEXT   NOT NULL,
    key       TEXT   NOT NULL,
    semantics BIGINT NOT NULL,
    outcome   TEXT   NOT NULL,
    run_id    TEXT   NOT NULL,
    time      BIGINT NOT NULL,
    PRIMARY KEY (project, asset)
);

CREATE TABLE registered_models (
    name              TEXT   NOT NULL PRIMARY KEY,
    creation_time     BIGINT NOT NULL,
    last_updated_time BIGINT NOT NULL,
    last_version      BIGINT NOT NULL
);

CREATE TABLE model_versions (
    name          TEXT   NOT NULL REFERENCES registered_models (name),
    version       BIGINT NOT NULL,
    run_id        TEXT   NOT NULL,
    creation_time BIGINT NOT NULL,
    source        TEXT   NOT NULL,
    status        TEXT   NOT NULL,
    project       TEXT   NOT NULL,
    asset         TEXT   NOT NULL,
    key           TEXT   NOT NULL,
    metrics       TEXT   NOT NULL,
    PRIMARY KEY (name, version)
);
CREATE INDEX model_versions_by_key ON model_versions (name, project, asset, key);

CREATE TABLE aliases (
    name    TEXT   NOT NULL REFERENCES registered_models (name),
    alias   TEXT   NOT NULL,
    version BIGINT NOT NULL,
    PRIMARY KEY (name, alias)
);

CREATE TABLE alias_history (
    name      TEXT   NOT NULL REFERENCES registered_models (name),
    move      BIGINT NOT NULL,
    alias     TEXT   NOT NULL,
    version   BIGINT NOT NULL,
    previous  BIGINT,
    timestamp BIGINT NOT NULL,
    run_id    TEXT   NOT NULL,
    reason    TEXT   NOT NULL,
    PRIMARY KEY (name, move)
);
