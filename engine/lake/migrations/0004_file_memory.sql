-- What is remembered of files, so that one that did not change need not be read again.
-- Only a memory: what is missing here, or does not hold any more, is read from the file.

-- A file as it was before its content was read for `table_name`: size, times (in
-- nanoseconds since 1970 UTC) and number in the file system. `read_as` stands for the way
-- of reading it, `outline` for the columns that were found (see `file_outlines`).
CREATE TABLE file_memory (
    project      TEXT   NOT NULL,
    table_name   TEXT   NOT NULL,
    path         TEXT   NOT NULL,
    read_as      TEXT   NOT NULL,
    bytes        BIGINT NOT NULL,
    modified_ns  BIGINT NOT NULL,
    changed_ns   BIGINT NOT NULL,
    inode        BIGINT NOT NULL,
    seen_ns      BIGINT NOT NULL,
    content_hash TEXT   NOT NULL,
    outline      TEXT,
    PRIMARY KEY (project, table_name, path)
);

-- Columns of files, by the hash of `content`: many files have the same.
CREATE TABLE file_outlines (
    outline TEXT NOT NULL PRIMARY KEY,
    content TEXT NOT NULL
);
