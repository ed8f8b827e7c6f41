-- A user's hash may be unknown for a while: it travels beside the records, not in them. SQLite
-- cannot lift NOT NULL, so the table is made again. Hashes of the former form stay until user_service
-- has sent them anew.
CREATE TABLE new_credentials (
    user_id          INTEGER PRIMARY KEY,
    username         TEXT NOT NULL,         -- as shown
    username_key     TEXT NOT NULL UNIQUE,  -- as compared: user_service says so
    sealed_hash      TEXT,                  -- opened at login alone: this file holds no clear hash
    version          INTEGER NOT NULL,
    password_version INTEGER NOT NULL
) STRICT;
INSERT INTO new_credentials
    SELECT user_id, username, username_key, sealed_hash, version, password_version FROM credentials;
DROP TABLE credentials;
ALTER TABLE new_credentials RENAME TO credentials;

DROP TABLE staged_credentials;
CREATE TABLE staged_credentials (
    user_id          INTEGER PRIMARY KEY,
    username         TEXT NOT NULL,
    username_key     TEXT NOT NULL UNIQUE,
    sealed_hash      TEXT,
    version          INTEGER NOT NULL,
    password_version INTEGER NOT NULL
) STRICT;

ALTER TABLE projection_cursor RENAME COLUMN chain TO hash;
ALTER TABLE projection_cursor RENAME COLUMN digest TO checksum;
