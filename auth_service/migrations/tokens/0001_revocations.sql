-- Which tokens are dead before their time.

CREATE TABLE revoked_tokens (
    jti   TEXT PRIMARY KEY,
    exp_s INTEGER NOT NULL          -- nobody takes the token from then on, leeway included
) STRICT, WITHOUT ROWID;
CREATE INDEX revoked_tokens_by_expiry ON revoked_tokens (exp_s);

CREATE TABLE revoked_users (
    user_id              INTEGER PRIMARY KEY,
    min_password_version INTEGER NOT NULL,  -- tokens of an older one are dead
    until_s              INTEGER NOT NULL   -- all of them have expired by then
) STRICT;
CREATE INDEX revoked_users_by_expiry ON revoked_users (until_s);

-- Names the signing key: a new database has a new one, and with it a new key.
CREATE TABLE generation (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
    id       TEXT NOT NULL
) STRICT;
INSERT INTO generation VALUES (1, lower(hex(randomblob(8))));
