-- Where in the log the user's records are: seq (8 bytes, big-endian) and hash (16 bytes). A new row
-- gets them in the transaction that writes its record; store/sqlite/migrations.rs fills the others.
ALTER TABLE users ADD COLUMN changed BLOB NOT NULL      -- the record of the last change: the ETag
    DEFAULT x'000000000000000000000000000000000000000000000000' CHECK (length(changed) = 24);
ALTER TABLE users ADD COLUMN stamp BLOB NOT NULL        -- the record that set the present password
    DEFAULT x'000000000000000000000000000000000000000000000000' CHECK (length(stamp) = 24);
