-- Which process publishes, and until when by this server's clock. The version before writes seq
-- alone, and goes on beside this one.
ALTER TABLE published
    ADD COLUMN holder      bytea NOT NULL DEFAULT '\x',         -- random, of one run of a process
    ADD COLUMN holder_name text NOT NULL DEFAULT '',            -- for operators
    ADD COLUMN until       timestamptz NOT NULL DEFAULT now();
