-- What schedules have begun runs for: of several daemons only one begins each, and a daemon
-- that starts again does not begin it twice.
CREATE TABLE ticks (
    project    TEXT   NOT NULL,
    -- `time`, `new_files` or `table`.
    cause      TEXT   NOT NULL,
    -- The scheduled moment (`2026-03-01T06:00:00Z`), or what names the files or the version.
    tick       TEXT   NOT NULL,
    -- The scheduled moment, or that at which something new was found; in milliseconds.
    tick_time  BIGINT NOT NULL,
    claim_time BIGINT NOT NULL,
    -- What came of it; absent while its run is under way, and when its daemon ended before it.
    outcome    TEXT,
    run_id     TEXT,
    PRIMARY KEY (project, cause, tick)
);
