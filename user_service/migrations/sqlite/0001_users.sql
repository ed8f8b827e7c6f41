-- Users, and the log that the rest of the system follows. All times are milliseconds since 1970.

CREATE TABLE users (
    -- AUTOINCREMENT: an id is never used again, also not after its user was deleted.
    id               INTEGER PRIMARY KEY AUTOINCREMENT,
    username         TEXT NOT NULL,         -- as it was given, in NFC
    username_key     TEXT NOT NULL UNIQUE,  -- RFC 8265 UsernameCaseMapped
    password_hash    TEXT NOT NULL,         -- Argon2id, PHC form
    version          INTEGER NOT NULL,      -- counts changes, from 1: the ETag
    password_version INTEGER NOT NULL       -- counts passwords, from 1
) STRICT;

-- One record for each change, written in the change's own transaction.
CREATE TABLE user_log (
    seq            INTEGER PRIMARY KEY CHECK (seq >= 1),           -- dense, from 1
    chain          BLOB NOT NULL CHECK (length(chain) = 16),       -- over the record and all before it
    recorded_at_ms INTEGER NOT NULL,
    kind           TEXT NOT NULL,                                  -- CloudEvents type
    traceparent    TEXT,                                           -- of the request that caused it
    data           TEXT NOT NULL                                   -- event data, JSON, its hash sealed
) STRICT;

-- The place in the log up to which the bus has confirmed the events.
CREATE TABLE published (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
    seq      INTEGER NOT NULL
) STRICT;
INSERT INTO published VALUES (1, 0);

-- Names the present run of the service.
CREATE TABLE log_incarnation (
    only_row    INTEGER PRIMARY KEY CHECK (only_row = 1),
    incarnation BLOB NOT NULL CHECK (length(incarnation) = 16)
) STRICT;
