-- Who may write for a project: the one whose token is the newest. A row stays when its run
-- has ended, so that tokens only grow.
CREATE TABLE leases (
    project       TEXT   NOT NULL PRIMARY KEY,
    -- The project's name, for people.
    pipeline      TEXT   NOT NULL,
    token         BIGINT NOT NULL,
    -- Unique for each lease, even where a store that was lost counts tokens from 1 again;
    -- absent when it was given back.
    owner         TEXT,
    host          TEXT   NOT NULL,
    -- Tells whether two processes are on one running machine.
    machine       TEXT   NOT NULL,
    pid           BIGINT NOT NULL,
    -- Whether the process also holds the pipeline's lock file (1), which the end of the
    -- process frees: then a machine where the lock is free has seen the end of it.
    locked        BIGINT NOT NULL,
    -- Milliseconds since 1970 UTC, as the rest.
    taken_time    BIGINT NOT NULL,
    renewed_time  BIGINT NOT NULL,
    expiry_time   BIGINT NOT NULL
);
