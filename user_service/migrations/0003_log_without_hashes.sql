-- Records used to hold sealed hashes of passwords and not all that a change leaves. They go, as if
-- they had been pruned: followers that are not at the log's end get a snapshot.
UPDATE log_start SET (seq, chain) = (SELECT seq, chain FROM user_log ORDER BY seq DESC LIMIT 1)
    WHERE EXISTS (SELECT 1 FROM user_log);
DELETE FROM user_log;
UPDATE published SET seq = max(seq, (SELECT seq FROM log_start));
