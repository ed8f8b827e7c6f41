-- The highest id that a user has ever had here, also of users who are gone: user_service is told it, so
-- that it gives no id a second time after its database went back.
CREATE TABLE highest_id (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
    id       INTEGER NOT NULL
) STRICT;
INSERT INTO highest_id SELECT 1, coalesce(max(user_id), 0) FROM credentials;
