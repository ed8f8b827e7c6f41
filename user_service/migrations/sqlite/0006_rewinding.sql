-- Which file this database was when its mark was first kept beside it. Another file at its path is a
-- copy that somebody has put there. No row: no mark was kept yet.
CREATE TABLE file_identity (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
    inode    INTEGER NOT NULL,
    born_ns  INTEGER             -- since 1970; NULL where the file system does not know it
) STRICT;

-- Where the last record log.rewound is, and in which run of the service it was written.
CREATE TABLE last_rewound (
    only_row    INTEGER PRIMARY KEY CHECK (only_row = 1),
    seq         INTEGER NOT NULL,
    incarnation BLOB NOT NULL CHECK (length(incarnation) = 16)
) STRICT;

-- Runs that vouched for records which the log has lost. Their followers need a snapshot; they do not
-- show that the log went back once more.
CREATE TABLE undone_runs (
    incarnation BLOB PRIMARY KEY CHECK (length(incarnation) = 16)
) STRICT, WITHOUT ROWID;

-- Has a row if a follower has ever asked.
CREATE TABLE followed (only_row INTEGER PRIMARY KEY CHECK (only_row = 1)) STRICT;
