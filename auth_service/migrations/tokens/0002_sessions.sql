-- Tokens name their session and the record that set the password. The projection decides about users;
-- only logouts are listed. Tokens of before name neither and are refused, so nothing is taken over, and
-- a login that is repeated under its Idempotency-Key gets a token of today.
DROP TABLE revoked_tokens;
DROP TABLE revoked_users;
CREATE TABLE revoked_sessions (
    sid        TEXT PRIMARY KEY,
    until_s    INTEGER NOT NULL,    -- by the wall clock: nobody takes its tokens from then on
    lifetime_s INTEGER NOT NULL     -- how long its tokens live; see store/forgetting.rs
) STRICT, WITHOUT ROWID;
DELETE FROM idempotency_keys WHERE scope = 'POST /login';
