-- What happened in runs, but for how far things were: the newest events, of whatever run.

CREATE TABLE events (
    run_id    TEXT   NOT NULL,
    seq       BIGINT NOT NULL,
    timestamp BIGINT NOT NULL,
    event     TEXT   NOT NULL,
    asset     TEXT,
    details   TEXT   NOT NULL,
    PRIMARY KEY (run_id, seq)
);

CREATE INDEX events_by_time ON events (timestamp);
