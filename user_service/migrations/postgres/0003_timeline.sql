-- On which timeline of the server the log was last written. Empty: that is not known.
ALTER TABLE log_state ADD COLUMN timeline text NOT NULL DEFAULT '';
