-- What all users come to at the cursor, to be compared with user_service (NULL: not known yet).
ALTER TABLE projection_cursor ADD COLUMN digest BLOB;
