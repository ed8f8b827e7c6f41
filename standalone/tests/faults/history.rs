//! What the clients asked for and what came of it: the only truth that the checker knows.

use std::collections::BTreeMap;

/// A user as a database should have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct User {
    pub(crate) username: String,
    pub(crate) version: i64,
    pub(crate) password_version: i64,
}

/// All users of a database by their ids.
pub(crate) type Users = BTreeMap<i64, User>;

impl User {
    /// As its creation leaves it.
    pub(crate) fn created(username: &str) -> Self {
        Self { username: username.to_owned(), version: 1, password_version: 1 }
    }

    /// After a change of name.
    pub(crate) fn renamed(&self, username: &str) -> Self {
        Self { username: username.to_owned(), version: self.version + 1, ..self.clone() }
    }

    /// After a change of password.
    pub(crate) fn with_next_password(&self) -> Self {
        let (version, password_version) = (self.version + 1, self.password_version + 1);
        Self { version, password_version, ..self.clone() }
    }
}

/// What may be true of one user; nothing means that it is deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// What was acknowledged last.
    pub(crate) acknowledged: Option<User>,
    /// What may have happened after that. Nobody touches the user afterwards.
    pub(crate) uncertain: Option<Option<User>>,
}

/// The history of one load, on top of the users that were there before.
#[derive(Clone, Debug, Default)]
pub(crate) struct History {
    /// Every user that is known by its id.
    pub(crate) outcomes: BTreeMap<i64, Outcome>,
    /// Names of users that may have been created.
    pub(crate) uncertain_creations: Vec<String>,
    /// Writes that were answered 2xx.
    pub(crate) acknowledged: u64,
    /// Writes that were answered 4xx: nothing may have changed.
    pub(crate) refused: u64,
    /// Writes with another answer, or none: they may have happened.
    pub(crate) uncertain: u64,
    /// Answers that contradict what was acknowledged before.
    pub(crate) contradictions: Vec<String>,
}

impl History {
    /// Of nothing yet: these users are there.
    pub(crate) fn on(users: &Users) -> Self {
        let outcomes = users.iter().map(|(id, user)| (*id, Outcome::certain(Some(user.clone()))));
        Self { outcomes: outcomes.collect(), ..Self::default() }
    }

    /// Joins the history of another client, which had other users.
    pub(crate) fn join(&mut self, other: Self) {
        self.outcomes.extend(other.outcomes);
        self.uncertain_creations.extend(other.uncertain_creations);
        self.acknowledged += other.acknowledged;
        self.refused += other.refused;
        self.uncertain += other.uncertain;
        self.contradictions.extend(other.contradictions);
    }
}

impl Outcome {
    pub(crate) fn certain(acknowledged: Option<User>) -> Self {
        Self { acknowledged, uncertain: None }
    }

    /// Whether a database may hold this.
    pub(crate) fn allows(&self, found: Option<&User>) -> bool {
        found == self.acknowledged.as_ref()
            || self.uncertain.as_ref().is_some_and(|uncertain| found == uncertain.as_ref())
    }
}
