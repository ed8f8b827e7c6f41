//! What each change makes of a user: the rules that hold for every engine. An engine reads the user,
//! asks here, and writes what is answered.

use contract::{EventKind, Position, UserChange};
use shared::hashing::PasswordHash;

use super::{ChangeError, DeleteUser, EndSessions, ReplaceHash, SetRole, UpdateUser};
use crate::domain::{Credentials, NewPassword, User};

/// What is to be written.
#[derive(Debug)]
pub(super) enum Decision {
    /// Nothing: the user is as wanted.
    Nothing(User),
    /// Another state, with its record.
    Write(Revision),
}

/// Another state of a user.
#[derive(Debug)]
pub(super) struct Revision {
    /// The former state, if the checksum over all users changes with it.
    pub(super) before: Option<User>,
    /// The new state, with the positions of before: see [`Revision::placed`].
    pub(super) user: User,
    /// The hash of the user's password.
    pub(super) password_hash: PasswordHash,
    /// The kind of its record.
    pub(super) kind: EventKind,
    /// The record is the user's ETag from now on.
    is_shown: bool,
    /// The record is the user's security stamp from now on.
    is_stamp: bool,
}

impl Revision {
    /// The content of its record.
    pub(super) fn left(&self) -> UserChange {
        if self.is_stamp { self.user.left_with_new_stamp() } else { self.user.left() }
    }

    /// The user after the record was written at this position.
    pub(super) fn placed(self, position: Position) -> User {
        let mut user = self.user;
        if self.is_shown {
            user.changed = position;
        }
        if self.is_stamp {
            user.stamp = position;
        }
        user
    }
}

/// Decides an [`UpdateUser`]. Whether another user has the name is for the engine to find.
pub(super) fn update(
    found: Option<Credentials>,
    update: UpdateUser,
) -> Result<Decision, ChangeError> {
    let Credentials { user: before, mut password_hash } = found.ok_or(ChangeError::NoSuchUser)?;
    if !update.precondition.holds(&before) {
        return Err(ChangeError::PreconditionFailed);
    }
    let username = update.username.filter(|name| name.as_shown() != before.username);
    let is_stamp = update.password.is_some();
    if username.is_none() && !is_stamp {
        return Ok(Decision::Nothing(before));
    }
    let mut user = User { version: before.version + 1, ..before.clone() };
    if let Some(NewPassword { hash, permit }) = update.password {
        if !permit.permits(&before) {
            return Err(ChangeError::PasswordChanged);
        }
        user.password_version += 1;
        password_hash = hash;
    }
    if let Some(name) = username {
        (user.username, user.username_key) = (name.as_shown().to_owned(), name.key().to_owned());
    }
    let kind = EventKind::UPDATED;
    Ok(Decision::Write(Revision {
        before: Some(before),
        user,
        password_hash,
        kind,
        is_shown: true,
        is_stamp,
    }))
}

/// Decides a [`DeleteUser`]: the user who goes.
pub(super) fn delete(found: Option<User>, delete: &DeleteUser) -> Result<User, ChangeError> {
    let user = found.ok_or(ChangeError::NoSuchUser)?;
    if delete.precondition.holds(&user) { Ok(user) } else { Err(ChangeError::PreconditionFailed) }
}

/// Decides a [`ReplaceHash`].
pub(super) fn replace_hash(
    found: Option<Credentials>,
    replace: &ReplaceHash,
) -> Result<Revision, ChangeError> {
    let Credentials { user, password_hash } = found.ok_or(ChangeError::NoSuchUser)?;
    let is_other_stamp = replace.stamp.is_some_and(|stamp| stamp != user.stamp);
    let is_other_hash = replace.replaces.as_ref().is_some_and(|name| *name != password_hash.name())
        || replace.password_hash == password_hash;
    if user.password_version != replace.password_version || is_other_stamp || is_other_hash {
        return Err(ChangeError::PasswordChanged);
    }
    let (password_hash, kind) = (replace.password_hash.clone(), EventKind::UPDATED);
    let before = None;
    Ok(Revision { before, user, password_hash, kind, is_shown: false, is_stamp: false })
}

/// Decides an [`EndSessions`].
pub(super) fn end_sessions(
    found: Option<Credentials>,
    end: &EndSessions,
) -> Result<Decision, ChangeError> {
    let found = found.ok_or(ChangeError::NoSuchUser)?;
    if end.stamp.is_some_and(|stamp| stamp != found.user.stamp) {
        return Ok(Decision::Nothing(found.user));
    }
    Ok(Decision::Write(with_new_stamp(found, EventKind::SESSIONS_ENDED)))
}

/// Decides a [`SetRole`].
pub(super) fn set_role(
    found: Option<Credentials>,
    role: &SetRole,
) -> Result<Decision, ChangeError> {
    let mut found = found.ok_or(ChangeError::NoSuchUser)?;
    if found.user.is_admin == role.is_admin {
        return Ok(Decision::Nothing(found.user));
    }
    found.user.is_admin = role.is_admin;
    Ok(Decision::Write(with_new_stamp(found, EventKind::ROLE_CHANGED)))
}

/// The same user with the same password and ETag, whose sessions the record ends.
fn with_new_stamp(found: Credentials, kind: EventKind) -> Revision {
    let Credentials { mut user, password_hash } = found;
    // Followers take a record for the stamp if it counts on, also those that do not know its kind.
    user.password_version += 1;
    let (before, is_shown, is_stamp) = (None, false, true);
    Revision { before, user, password_hash, kind, is_shown, is_stamp }
}
