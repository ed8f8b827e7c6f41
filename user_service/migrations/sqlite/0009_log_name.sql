-- The log's own name, for life: heads tell it, so two logs at one broker are noticed.
CREATE TABLE log_name (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
    name     BLOB NOT NULL CHECK (length(name) = 16)
) STRICT;
INSERT INTO log_name VALUES (1, randomblob(16));
