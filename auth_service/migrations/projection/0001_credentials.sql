-- What login needs to know of the users, and how far it follows the log of user_service.

CREATE TABLE credentials (
    user_id          INTEGER PRIMARY KEY,
    username         TEXT NOT NULL,         -- as shown
    username_key     TEXT NOT NULL UNIQUE,  -- as compared (RFC 8265)
    sealed_hash      TEXT NOT NULL,         -- opened at login alone: this file holds no hash
    version          INTEGER NOT NULL,
    password_version INTEGER NOT NULL
) STRICT;

-- One row once there was an answer from user_service; none before.
CREATE TABLE projection_cursor (
    only_row    INTEGER PRIMARY KEY CHECK (only_row = 1),
    incarnation TEXT NOT NULL,
    seq         INTEGER NOT NULL,
    chain       TEXT NOT NULL
) STRICT;

-- A snapshot that has not arrived whole.
CREATE TABLE staged_credentials (
    user_id          INTEGER PRIMARY KEY,
    username         TEXT NOT NULL,
    username_key     TEXT NOT NULL UNIQUE,
    sealed_hash      TEXT NOT NULL,
    version          INTEGER NOT NULL,
    password_version INTEGER NOT NULL
) STRICT;
