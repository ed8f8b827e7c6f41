-- The log that is being moved into this database, as JSON. It is not served while this has a row.
CREATE TABLE moving (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
    log      TEXT NOT NULL
) STRICT;
