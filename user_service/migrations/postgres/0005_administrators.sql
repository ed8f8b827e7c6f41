-- Who is an administrator, besides those whom a setting of auth_service names.
ALTER TABLE users ADD COLUMN is_admin boolean NOT NULL DEFAULT false;
CREATE INDEX users_administrators ON users (id) WHERE is_admin;
