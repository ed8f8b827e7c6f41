-- Who is an administrator by the log of user_service.
ALTER TABLE credentials ADD COLUMN is_admin INTEGER NOT NULL DEFAULT FALSE CHECK (is_admin IN (FALSE, TRUE));
DELETE FROM staged_credentials;
ALTER TABLE staged_credentials ADD COLUMN is_admin INTEGER NOT NULL DEFAULT FALSE;

-- A version that did not know of administrators may have applied records that name some. With a hash that
-- no record has, the next question to user_service is answered with a snapshot, which names them.
UPDATE projection_cursor SET hash = 'ffffffffffffffffffffffffffffffff';
