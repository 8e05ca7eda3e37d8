-- What each commit of a stage made, and the model versions that it applied: the
-- answer to "which model made this row". Told again from the commits after a loss.

CREATE TABLE table_versions (
    table_name TEXT   NOT NULL,
    version    BIGINT NOT NULL,
    project    TEXT   NOT NULL,
    run_id     TEXT   NOT NULL,
    key        TEXT   NOT NULL,
    timestamp  BIGINT NOT NULL,
    rows       BIGINT,
    PRIMARY KEY (table_name, version)
);

-- One row for each model that the query of a table names; `address` is how it names it.
CREATE TABLE table_models (
    table_name    TEXT   NOT NULL,
    version       BIGINT NOT NULL,
    address       TEXT   NOT NULL,
    model_name    TEXT   NOT NULL,
    model_version BIGINT NOT NULL,
    PRIMARY KEY (table_name, version, address)
);
CREATE INDEX table_models_by_model ON table_models (model_name, model_version);
