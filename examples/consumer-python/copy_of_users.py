"""The copy of the users, and the place in user_service's log that it is at, in one SQLite file.

Both are written in one transaction: after a crash the place never claims more than the users show.
"""

import sqlite3
from dataclasses import dataclass

REMEMBERED = 10_000  # events; beyond that, what comes again is told by its number alone


@dataclass(frozen=True)
class Place:
    """A place in the log. No two histories of a log share one."""

    seq: int
    hash: str


class CopyOfUsers:
    def __init__(self, path):
        self.database = sqlite3.connect(path, isolation_level=None)
        self.database.executescript("""
            PRAGMA journal_mode = WAL;
            PRAGMA synchronous = FULL;
            CREATE TABLE IF NOT EXISTS users (id INTEGER PRIMARY KEY, username TEXT NOT NULL);
            CREATE TABLE IF NOT EXISTS seen (seq INTEGER PRIMARY KEY, hash TEXT NOT NULL);
        """)

    def place(self):
        """How far the copy has come; None if it has to be read anew."""
        row = self.database.execute("SELECT seq, hash FROM seen ORDER BY seq DESC LIMIT 1").fetchone()
        return Place(*row) if row else None

    def has_seen(self, place):
        row = self.database.execute("SELECT 1 FROM seen WHERE seq = ? AND hash = ?", (place.seq, place.hash))
        return row.fetchone() is not None

    def oldest_seen(self):
        return self.database.execute("SELECT coalesce(min(seq), 0) FROM seen").fetchone()[0]

    def apply(self, data, place):
        """The state of a user as an event tells it. `log.rewound` tells of no user."""
        with self.transaction():
            if "id" in data:
                if data["user"] is None:
                    self.database.execute("DELETE FROM users WHERE id = ?", (data["id"],))
                else:
                    self.insert(data["id"], data["user"]["username"])
            self.note(place)
            self.database.execute("DELETE FROM seen WHERE seq <= ?", (place.seq - REMEMBERED,))

    def replace(self, users, place):
        """All users as they were at or after this place: the events from there on are applied again."""
        with self.transaction():
            self.database.execute("DELETE FROM users")
            self.database.execute("DELETE FROM seen")
            for user in users:
                self.insert(user["id"], user["username"])
            self.note(place)

    def forget_place(self):
        self.database.execute("DELETE FROM seen")

    def insert(self, user_id, username):
        self.database.execute("INSERT OR REPLACE INTO users VALUES (?, ?)", (user_id, username))

    def note(self, place):
        self.database.execute("INSERT OR REPLACE INTO seen VALUES (?, ?)", (place.seq, place.hash))

    def transaction(self):
        return Transaction(self.database)


class Transaction:
    def __init__(self, database):
        self.database = database

    def __enter__(self):
        self.database.execute("BEGIN IMMEDIATE")

    def __exit__(self, kind, error, trace):
        self.database.execute("COMMIT" if kind is None else "ROLLBACK")
