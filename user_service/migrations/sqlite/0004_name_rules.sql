-- By which rules the compared forms of the names were made. No row: by older ones, so they are renewed
-- when the database is opened.
CREATE TABLE name_rules (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
    rules    TEXT NOT NULL
) STRICT;
