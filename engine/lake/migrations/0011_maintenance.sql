-- What was done to look after tables (`optimize`, `zorder`, `vacuum`, `checkpoint`) and after
-- the memory of runs (`runs`, `artifacts`, for no table: ''). Only history: without it, what is
-- done at most so often is done once more.

CREATE TABLE maintenance (
    project      TEXT   NOT NULL,
    table_name   TEXT   NOT NULL,
    operation    TEXT   NOT NULL,
    timestamp    BIGINT NOT NULL,
    -- The version that it made, or that it is a checkpoint of.
    version      BIGINT,
    files_before BIGINT,
    files_after  BIGINT,
    bytes_before BIGINT,
    bytes_after  BIGINT,
    -- What else there is to tell, as a JSON object.
    details      TEXT   NOT NULL,
    PRIMARY KEY (project, table_name, operation, timestamp)
);
