"""What ends tokens before they expire, in one SQLite file: sessions by name, and the users' security stamps."""

import base64
import sqlite3
import threading
import time
from datetime import datetime

LONGEST_TOKEN_S = 24 * 3600 + 60  # TOKEN_LIFETIME is at most 24 hours
GONE = "gone"


class Endings:
    def __init__(self, path):
        self.lock = threading.Lock()
        self.database = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self.database.executescript("""
            PRAGMA journal_mode = WAL;
            PRAGMA synchronous = FULL;
            CREATE TABLE IF NOT EXISTS sessions (sid TEXT PRIMARY KEY, learned_s REAL NOT NULL);
            CREATE TABLE IF NOT EXISTS users (id TEXT PRIMARY KEY, seq INTEGER NOT NULL, stamp TEXT NOT NULL);
            CREATE TABLE IF NOT EXISTS rewinds (at_s REAL NOT NULL, stamp TEXT NOT NULL);
        """)

    def take(self, routing_key, headers, data):
        with self.lock:
            if routing_key == "session.revoked":
                self.database.execute("INSERT OR IGNORE INTO sessions VALUES (?, ?)", (data["sid"], time.time()))
                self.database.execute("DELETE FROM sessions WHERE learned_s < ?", (time.time() - LONGEST_TOKEN_S,))
            elif routing_key == "log.rewound":
                # From here on another history counts: all users log in again, and this place is their stamp.
                at = datetime.fromisoformat(headers["cloudEvents_time"])
                self.database.execute("DELETE FROM users")
                self.database.execute("INSERT INTO rewinds VALUES (?, ?)", (at.timestamp(), claim_of(place_of(headers))))
            else:
                self.note_stamp(headers, data)

    def note_stamp(self, headers, data):
        here = place_of(headers)
        if data["user"] is None:
            seq, stamp = here["seq"], GONE
        else:
            place = data["user"].get("stamp", here)  # the event that is the stamp does not name it
            seq, stamp = place["seq"], claim_of(place)
        # An event that comes again late must not bring back an older stamp.
        self.database.execute(
            "INSERT INTO users VALUES (?, ?, ?) ON CONFLICT (id) DO UPDATE "
            "SET seq = excluded.seq, stamp = excluded.stamp WHERE excluded.seq >= seq",
            (str(data["id"]), seq, stamp))

    def have_ended(self, claims):
        with self.lock:
            query = self.database.execute
            if query("SELECT 1 FROM sessions WHERE sid = ?", (claims["sid"],)).fetchone():
                return True
            # `iat` has whole seconds: a token of the same second counts if it has the new stamp.
            rewound = "SELECT 1 FROM rewinds WHERE at_s > ? AND stamp != ?"
            if query(rewound, (claims["iat"], claims["stamp"])).fetchone():
                return True
            known = query("SELECT seq, stamp FROM users WHERE id = ?", (claims["sub"],)).fetchone()
        if known is None:
            return False  # nothing has happened to this user since the queue was made
        seq, stamp = known
        if stamp == GONE:
            return True
        # A stamp from further on than the events have come: the token is newer than they are.
        return claims["stamp"] != stamp and seq_of(claims["stamp"]) <= seq


def place_of(headers):
    """The event's place in the log."""
    return {"seq": int(headers["cloudEvents_sequence"]), "hash": headers["cloudEvents_id"]}


def claim_of(place):
    """The claim `stamp` of tokens: 8 bytes of the number, big-endian, and 16 of the hash."""
    content = place["seq"].to_bytes(8, "big") + bytes.fromhex(place["hash"])
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def seq_of(claim):
    return int.from_bytes(base64.urlsafe_b64decode(claim + "=" * (-len(claim) % 4))[:8], "big")
