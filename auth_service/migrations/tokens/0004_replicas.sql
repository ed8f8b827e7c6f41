-- The exchange with other replicas (docs/decisions/0013-the-token-set.md).
ALTER TABLE token_set ADD COLUMN replica BLOB NOT NULL DEFAULT x''; -- names this replica on the bus: random
UPDATE token_set SET replica = randomblob(16);

CREATE TABLE replicas (             -- the others that were heard of within the longest lifetime
    id      BLOB PRIMARY KEY,
    seen_ms INTEGER NOT NULL        -- when, a few minutes behind, by the clock of token_set.boot_id
) STRICT, WITHOUT ROWID;

CREATE TABLE trusted_keys (         -- keys of other replicas that are trusted although the set has gaps
    kid BLOB PRIMARY KEY
) STRICT, WITHOUT ROWID;
