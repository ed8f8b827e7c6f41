-- Where the log begins: its last record that was pruned, or the place before the first.
CREATE TABLE log_start (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
    seq      INTEGER NOT NULL,
    chain    BLOB NOT NULL CHECK (length(chain) = 16)
) STRICT;
INSERT INTO log_start VALUES (1, 0, zeroblob(16));

-- What all users come to (id, version and name), to be compared with other services. Changed in
-- each change's own transaction. Without its row it is made anew from the users at the next start.
CREATE TABLE users_digest (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
    digest   BLOB NOT NULL CHECK (length(digest) = 16)
) STRICT;
