-- The token set (docs/decisions/0013-the-token-set.md). Tokens of before are signed with a key that no record
-- names: all of them are refused, so the list of their sessions has nothing to tell any more, and a login that is
-- repeated under its Idempotency-Key gets a token of today.
DROP TABLE revoked_sessions;
DROP TABLE generation;
DELETE FROM idempotency_keys WHERE scope = 'POST /login';

CREATE TABLE token_records (
    id       BLOB PRIMARY KEY,      -- the first 16 bytes of SHA-256 over the record
    record   BLOB NOT NULL,         -- its canonical bytes: contract::token_record
    since_ms INTEGER                -- when its keeping began, by the clock of token_set.boot_id; NULL while
                                    -- other replicas may lack it
) STRICT, WITHOUT ROWID;

CREATE TABLE horizons (
    kid   BLOB PRIMARY KEY,
    exp_s INTEGER NOT NULL          -- tokens of the key that expire then or before may have been forgotten
) STRICT, WITHOUT ROWID;

CREATE TABLE own_keys (             -- the keys of this replica; private halves are in signing-<kid>.key
    place        INTEGER PRIMARY KEY,   -- the oldest first
    kid          BLOB NOT NULL UNIQUE,
    algorithm    TEXT NOT NULL,
    lifetime_s   INTEGER NOT NULL,      -- of the tokens that it may sign
    boot_id      BLOB NOT NULL,         -- the start of the machine in which it was made
    ceiling_s    INTEGER,               -- it has signed while the wall clock was ahead by this at most
    signs_from_s INTEGER,               -- since when it signs or signed, by the wall clock
    stage        TEXT NOT NULL CHECK (stage IN ('next', 'signing', 'retired'))
) STRICT;

CREATE TABLE token_set (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
    boot_id  BLOB NOT NULL,         -- the start of the machine whose clock since_ms is by
    changes  INTEGER NOT NULL,      -- how many transactions have changed the set
    has_gaps INTEGER NOT NULL,      -- records that were here may be lost: only keys made since are trusted
    file     TEXT                   -- names the file that this was written to; NULL until then
) STRICT;
INSERT INTO token_set VALUES (1, zeroblob(16), 0, TRUE, NULL);
