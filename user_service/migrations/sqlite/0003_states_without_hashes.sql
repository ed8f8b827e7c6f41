-- The log states what is left of a user, without password hashes (store/sqlite/migrations.rs
-- rewrites what was not published yet), and tables are named as the rest of the program is.

ALTER TABLE user_log RENAME COLUMN chain TO hash;
ALTER TABLE log_start RENAME COLUMN chain TO hash;
ALTER TABLE users_digest RENAME TO users_checksum;
ALTER TABLE users_checksum RENAME COLUMN digest TO checksum;

-- When a place in the log was seen to be its end, so that the age of records does not depend on
-- the times inside them: a clock may have been wrong when they were written.
CREATE TABLE log_ages (
    seq     INTEGER PRIMARY KEY,
    seen_ms INTEGER NOT NULL       -- not later than it really was: corrected when the clock goes back
) STRICT;
