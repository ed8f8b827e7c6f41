-- Who is an administrator, besides those whom a setting of auth_service names.
ALTER TABLE users ADD COLUMN is_admin INTEGER NOT NULL DEFAULT FALSE CHECK (is_admin IN (FALSE, TRUE));
CREATE INDEX users_administrators ON users (id) WHERE is_admin;
