//! What clients know of their sessions: which ended, which must live, and what contradicts that.

use std::collections::VecDeque;
use std::fmt;
use std::time::{Duration, Instant};

use data_encoding::BASE64URL_NOPAD;
use serde_json::Value;

use crate::random::Random;

/// Sessions that ended, of one user: so many are tried again and again.
const ENDED_MAX: usize = 300;

/// A token, and where it came from.
#[derive(Clone)]
pub(crate) struct Token {
    pub(crate) text: String,
    /// The replica that signed it.
    pub(crate) replica: usize,
    /// How often that replica's `tokens.db` had been put back by then: its keys of before are dead.
    pub(crate) restores: u64,
}

impl fmt::Debug for Token {
    /// Its claims rather than its text.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { text, replica, restores } = self;
        write!(f, "{} of replica {replica}, restored {restores} times", told(text))
    }
}

/// A token's header and claims, for people.
pub(crate) fn told(token: &str) -> String {
    let decoded = token.split('.').take(2).map(|part| {
        let bytes = BASE64URL_NOPAD.decode(part.as_bytes()).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    });
    decoded.collect::<Vec<_>>().join(" ")
}

/// What a token claims.
pub(crate) fn claims_of(token: &str) -> Value {
    let part = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&BASE64URL_NOPAD.decode(part.as_bytes()).unwrap()).unwrap()
}

/// Where in the log the record is that a token names as its user's security stamp.
pub(crate) fn stamp_of(token: &str) -> i64 {
    let claims = claims_of(token);
    let stamp = BASE64URL_NOPAD.decode(claims["stamp"].as_str().unwrap().as_bytes()).unwrap();
    i64::from_be_bytes(stamp[..8].try_into().unwrap())
}

/// A session that goes on.
#[derive(Clone, Debug)]
pub(crate) struct Session {
    /// Of all its tokens.
    pub(crate) stamp: i64,
    /// The newest is the last. The older ones live until they expire.
    pub(crate) tokens: Vec<Token>,
    /// The newest one may be traded: no earlier trade of it may have happened.
    pub(crate) is_tradable: bool,
}

/// A session whose end was answered with 200.
#[derive(Clone, Debug)]
pub(crate) struct Ended {
    pub(crate) tokens: Vec<String>,
    /// When the answer came.
    pub(crate) at: Instant,
    /// The replica that answered waits for the confirm of the bus.
    pub(crate) is_confirmed: bool,
}

/// The sessions of one user, who belongs to one client.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sessions {
    pub(crate) username: String,
    pub(crate) living: Vec<Session>,
    pub(crate) ended: VecDeque<Ended>,
    /// All sessions with this stamp or an earlier one have ended: `POST /logout/all` was answered
    /// with 200. A replica that cannot hear of the users goes on with the earlier stamp.
    pub(crate) ended_stamp: i64,
    /// The same, but that it had another answer.
    pub(crate) perhaps_ended_stamp: i64,
}

impl Sessions {
    pub(crate) fn of(username: String) -> Self {
        Self { username, ..Self::default() }
    }

    /// The session is new. Returns whether its tokens must be accepted.
    pub(crate) fn begin(&mut self, session: &Session, random: &mut Random) -> bool {
        if session.stamp <= self.ended_stamp {
            self.end(session.clone(), false, random);
        }
        session.stamp > self.ended_stamp.max(self.perhaps_ended_stamp)
    }

    /// The session has ended.
    pub(crate) fn end(&mut self, session: Session, is_confirmed: bool, random: &mut Random) {
        let tokens = session.tokens.into_iter().map(|token| token.text).collect();
        self.ended.push_back(Ended { tokens, at: Instant::now(), is_confirmed });
        if self.ended.len() > ENDED_MAX {
            // Of all ages some stay.
            self.ended.remove(random.below(ENDED_MAX / 2));
        }
    }
}

/// What was counted, and what is wrong.
#[derive(Clone, Debug, Default)]
pub(crate) struct Findings {
    /// Tokens that were logged out with 200 and accepted by a replica that says it lacks nothing.
    pub(crate) revived: Vec<String>,
    /// Tokens of living sessions that were refused with 401.
    pub(crate) refused: Vec<String>,
    /// Tokens that were refused with 401 right after their login or refresh.
    pub(crate) dead_at_birth: Vec<String>,
    /// What never became known again.
    pub(crate) unknown: Vec<String>,
    pub(crate) logins: u64,
    pub(crate) logouts: u64,
    pub(crate) refreshes: u64,
    pub(crate) verifies: u64,
    /// Answers 5xx, or none.
    pub(crate) unanswered: u64,
    /// How long after its logout a token was still accepted by a replica that lacks nothing.
    pub(crate) longest_acceptance: Duration,
}

impl Findings {
    pub(crate) fn join(&mut self, other: Self) {
        self.revived.extend(other.revived);
        self.refused.extend(other.refused);
        self.dead_at_birth.extend(other.dead_at_birth);
        self.unknown.extend(other.unknown);
        self.logins += other.logins;
        self.logouts += other.logouts;
        self.refreshes += other.refreshes;
        self.verifies += other.verifies;
        self.unanswered += other.unanswered;
        self.longest_acceptance = self.longest_acceptance.max(other.longest_acceptance);
    }

    /// The first few of everything that is wrong; nothing if all is well.
    pub(crate) fn complaints(&self) -> Vec<String> {
        let lists = [
            ("revived", &self.revived),
            ("refused", &self.refused),
            ("dead at birth", &self.dead_at_birth),
            ("unknown", &self.unknown),
        ];
        let of_each = |(name, list): (&str, &Vec<String>)| {
            list.iter().take(5).map(|what| format!("{name}: {what}")).collect::<Vec<_>>()
        };
        lists.into_iter().flat_map(of_each).collect()
    }
}

impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} logins, {} logouts, {} refreshes, {} verifies, {} unanswered, {} revived, {} refused, \
             {} dead at birth, {} unknown, accepted for {} ms at most",
            self.logins,
            self.logouts,
            self.refreshes,
            self.verifies,
            self.unanswered,
            self.revived.len(),
            self.refused.len(),
            self.dead_at_birth.len(),
            self.unknown.len(),
            self.longest_acceptance.as_millis(),
        )
    }
}
