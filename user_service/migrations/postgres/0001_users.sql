-- Users, and the log that the rest of the system follows, as in SQLite. All times are milliseconds
-- since 1970. Everything but published and followed is written under the log's lock
-- (store/postgres/transaction.rs).

CREATE TABLE users (
    id               bigint PRIMARY KEY,
    username         text NOT NULL,                                     -- as it was given, in NFC
    username_key     text COLLATE "C" NOT NULL,                         -- RFC 8265 UsernameCaseMapped
    password_hash    text NOT NULL,                                     -- Argon2id, PHC form
    version          bigint NOT NULL,
    password_version bigint NOT NULL,
    changed          bytea NOT NULL CHECK (octet_length(changed) = 24), -- the record of the last change
    stamp            bytea NOT NULL CHECK (octet_length(stamp) = 24),   -- the record that set the password
    -- Deferrable: compared at the end of a statement, in which users may exchange their names.
    CONSTRAINT users_username_key UNIQUE (username_key) DEFERRABLE INITIALLY IMMEDIATE
);

-- One record for each change, written in the change's own transaction.
CREATE TABLE user_log (
    seq              bigint PRIMARY KEY CHECK (seq >= 1),               -- dense, from 1
    hash             bytea NOT NULL CHECK (octet_length(hash) = 16),    -- over the record and all before it
    recorded_at_ms   bigint NOT NULL,
    kind             text NOT NULL,                                     -- CloudEvents type
    traceparent      text,                                              -- of the request that caused it
    data             text NOT NULL,                                     -- event data, JSON
    user_id          bigint,                                            -- whose password it set or kept
    password_version bigint
);

-- Where the log begins and ends, and who vouches for it. Each group of changes writes the row once;
-- room is left on its page so that no index entry is written.
CREATE TABLE log_state (
    only_row     boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    name         bytea NOT NULL CHECK (octet_length(name) = 16),        -- random; the log's, for life
    incarnation  bytea NOT NULL CHECK (octet_length(incarnation) = 16),
    start        bytea NOT NULL CHECK (octet_length(start) = 24),       -- the last record that was pruned
    "end"        bytea NOT NULL CHECK (octet_length("end") = 24),
    checksum     bytea NOT NULL CHECK (octet_length(checksum) = 16),    -- over all users
    highest_id   bigint NOT NULL,                                       -- no user had a higher one
    rewound      bytea NOT NULL CHECK (octet_length(rewound) = 24),     -- the last log.rewound, or zeros
    rewound_by   bytea NOT NULL CHECK (octet_length(rewound_by) = 16),  -- in which incarnation
    place        text NOT NULL,                                         -- which server, database and table it is
    name_rules   text NOT NULL                                          -- how the compared names were made
) WITH (fillfactor = 10);
INSERT INTO log_state
    SELECT true, uuid_send(gen_random_uuid()), z16, z24, z24, z16, 0, z24, z16, '', ''
    FROM (SELECT decode(repeat('00', 16), 'hex'), decode(repeat('00', 24), 'hex')) AS zeros (z16, z24);

-- Runs that vouched for records which the log has lost. Their followers need a snapshot; they do not
-- show that the log went back once more.
CREATE TABLE undone_runs (incarnation bytea PRIMARY KEY CHECK (octet_length(incarnation) = 16));

-- Has a row if a follower has ever asked.
CREATE TABLE followed (only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row));

-- The position up to which the bus has confirmed the events.
CREATE TABLE published (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    seq      bigint NOT NULL
) WITH (fillfactor = 10);
INSERT INTO published (seq) VALUES (0);

-- When a position was seen to be the log's end, so that the age of records does not depend on the
-- times inside them.
CREATE TABLE log_ages (
    seq     bigint PRIMARY KEY,
    seen_ms bigint NOT NULL
);

-- The first responses to requests with an Idempotency-Key.
CREATE TABLE idempotency_keys (
    scope       text NOT NULL,      -- method and path
    key         text NOT NULL,      -- as the client gave it
    fingerprint text NOT NULL,      -- keyed hash of the request
    outcome     text NOT NULL,      -- JSON, enough to give the first answer again
    expires_at  bigint NOT NULL,
    PRIMARY KEY (scope, key)
);
CREATE INDEX idempotency_keys_by_expiry ON idempotency_keys (expires_at);
