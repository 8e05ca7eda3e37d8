-- The stretches of time, in milliseconds since 1970-01-01 UTC and without their ends, whose
-- rows a table holds that is made interval by interval. Told again from its commits after a
-- loss.

CREATE TABLE intervals (
    project    TEXT   NOT NULL,
    table_name TEXT   NOT NULL,
    start_time BIGINT NOT NULL,
    end_time   BIGINT NOT NULL,
    PRIMARY KEY (project, table_name, start_time)
);
