-- The log that is being moved into this database, as JSON. It is not served while this has a row.
CREATE TABLE moving (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    log      text NOT NULL
);
