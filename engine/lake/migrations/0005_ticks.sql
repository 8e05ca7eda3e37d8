-- The times at which a schedule has begun a run: of several daemons only one begins it, and a
-- daemon that starts again does not begin it twice.
CREATE TABLE ticks (
    project    TEXT   NOT NULL,
    -- The scheduled moment, or that at which something new was found; in milliseconds.
    tick_time  BIGINT NOT NULL,
    -- `time`, `new_files` or `table`.
    cause      TEXT   NOT NULL,
    claim_time BIGINT NOT NULL,
    -- What came of it; absent while its run is under way, and when its daemon ended before it.
    outcome    TEXT,
    run_id     TEXT,
    PRIMARY KEY (project, tick_time)
);
