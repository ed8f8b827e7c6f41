//! What happens to databases, and what `check` tells of it.

/// The file, what was done to it, and what is told.
pub(super) type Damage = (&'static str, &'static str, &'static str);

/// Statements that somebody has run by hand.
pub(super) const CHANGED: &[Damage] = &[
    ("users.db", "UPDATE users SET username = 'mallory' WHERE id = 1", "user 1 is not as"),
    ("users.db", "DELETE FROM users WHERE id = 2", "user 2 is in the log and not among the users"),
    ("users.db", "UPDATE users_checksum SET checksum = zeroblob(16)", "the stored checksum"),
    (
        "users.db",
        "UPDATE user_log SET data = replace(data, 'anna', 'eve') WHERE seq = 1",
        "the hash of record 1 is not that of what it says",
    ),
    ("users.db", "DELETE FROM user_log WHERE seq = 2", "no record between 1 and 3"),
    ("users.db", "DELETE FROM user_log WHERE seq = 3", "user 3 names a record that the log"),
    ("users.db", "UPDATE published SET seq = 9", "record 9 was published, and is not in the log"),
    ("users.db", "UPDATE sqlite_sequence SET seq = 1", "a higher id than 1"),
    ("users.db", "INSERT INTO moving VALUES (1, '{}')", "a move into this database has not ended"),
    (
        "projection.db",
        "UPDATE credentials SET username = 'mallory' WHERE user_id = 1",
        "the projection does not have the users of user_service",
    ),
    (
        "projection.db",
        "UPDATE projection_cursor SET hash = '00000000000000000000000000000000'",
        "record 3 is not the one that the projection has followed",
    ),
    ("projection.db", "UPDATE hash_counts SET count = 7", "the stored numbers of hashes"),
    ("projection.db", "UPDATE highest_id SET id = 1", "user 3 has a higher id than the highest"),
    ("projection.db", "UPDATE projection_cursor SET seq = 2", "user 3 has the stamp of a record"),
    ("tokens.db", "UPDATE token_records SET record = x'00'", "the token set cannot be read"),
    ("tokens.db", "UPDATE token_records SET id = randomblob(16)", "has the id of another"),
    ("tokens.db", "DELETE FROM token_records", "of this replica is not in the token set"),
    ("users.db", "PRAGMA user_version = 99", "users.db: a newer version"),
    ("projection.db", "PRAGMA user_version = 1", "projection.db: an earlier version"),
    ("tokens.db", "PRAGMA user_version = 0", "tokens.db: it is no database of this service"),
];

/// What disks, and people with a shell, do to a file.
pub(super) const SPOILT: &[(&str, &str)] = &[
    ("dd if=/dev/urandom of=FILE bs=4096 seek=2 count=1 conv=notrunc status=none", "it is damaged"),
    ("head -c 9000 /dev/urandom >FILE", "it is damaged, or no database"),
    (": >FILE", "it is no database of this service"),
    ("rm FILE; mkfifo FILE", "it is a FIFO"),
    ("rm FILE; mkdir FILE", "it is a directory"),
];
