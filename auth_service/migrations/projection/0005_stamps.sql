-- The security stamp of each user: the place in the log (seq, 8 bytes big-endian, and hash, 16 bytes)
-- of the record that set the present password. NULL while staged: user_service did not tell it.
ALTER TABLE credentials ADD COLUMN stamp BLOB NOT NULL
    DEFAULT x'000000000000000000000000000000000000000000000000' CHECK (length(stamp) = 24);
DELETE FROM staged_credentials;
ALTER TABLE staged_credentials ADD COLUMN stamp BLOB CHECK (length(stamp) = 24);

-- The users that are here have no stamps yet. With a hash that no record has, the next question to
-- user_service is answered with a snapshot, which brings them.
UPDATE projection_cursor SET hash = 'ffffffffffffffffffffffffffffffff';
