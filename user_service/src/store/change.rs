//! The changes that can be made to users, as plain data, and their possible outcomes.

use contract::{Position, UserId};
use shared::hashing::PasswordHash;
use shared::idempotency::IdempotentRequest;
use shared::identity::Username;

use super::StoreError;
use crate::domain::{NewPassword, Precondition, Written};

/// One change of one user. The change and its record in the log are made together or not at all.
#[derive(Clone, Debug)]
pub enum Change {
    /// See [`CreateUser`].
    Create(CreateUser),
    /// See [`UpdateUser`].
    Update(UpdateUser),
    /// See [`DeleteUser`].
    Delete(DeleteUser),
    /// See [`ReplaceHash`].
    ReplaceHash(ReplaceHash),
    /// See [`EndSessions`].
    EndSessions(EndSessions),
    /// See [`SetRole`].
    SetRole(SetRole),
}

/// "Create this user": records `user.created`, unless the name is taken.
#[derive(Clone, Debug)]
pub struct CreateUser {
    /// The name.
    pub username: Username,
    /// The hash of the password.
    pub password_hash: PasswordHash,
    /// Set if the client may repeat the request and wants the first response then.
    pub idempotency: Option<IdempotentRequest>,
    /// W3C trace context of the request.
    pub traceparent: Option<String>,
}

/// "Give this user another name, another password, or both": records `user.updated`, unless nothing
/// changes.
#[derive(Clone, Debug)]
pub struct UpdateUser {
    /// The user.
    pub id: UserId,
    /// The new name.
    pub username: Option<Username>,
    /// The new password.
    pub password: Option<NewPassword>,
    /// The condition on the user's current state.
    pub precondition: Precondition,
    /// W3C trace context of the request.
    pub traceparent: Option<String>,
}

/// "Delete this user": records `user.deleted`.
#[derive(Clone, Debug)]
pub struct DeleteUser {
    /// The user.
    pub id: UserId,
    /// The condition on the user's current state.
    pub precondition: Precondition,
    /// W3C trace context of the request.
    pub traceparent: Option<String>,
}

/// "Store this hash of the same password": records `user.updated` with unchanged versions, so that
/// followers get the hash.
#[derive(Clone, Debug)]
pub struct ReplaceHash {
    /// The user.
    pub id: UserId,
    /// The user's `password_version` when the hash was made.
    pub password_version: i64,
    /// The user's security stamp then, if the sender knows it.
    pub stamp: Option<Position>,
    /// The name of the hash that it replaces, if the sender tells it.
    pub replaces: Option<String>,
    /// Its new hash.
    pub password_hash: PasswordHash,
}

/// "End all sessions of this user": records `user.sessions_ended`, which is the new security stamp, and
/// leaves everything else as it is, the ETag too.
#[derive(Clone, Debug)]
pub struct EndSessions {
    /// The user.
    pub id: UserId,
    /// If this is no longer the user's stamp, the sessions have been ended already: nothing is
    /// changed. Otherwise they are ended whatever the stamp is.
    pub stamp: Option<Position>,
    /// W3C trace context of the request.
    pub traceparent: Option<String>,
}

/// "Make this user an administrator", or no longer: records `user.role_changed`, unless the user is
/// that already. Like [`EndSessions`] it is the new security stamp, so that no token says other than
/// the user is.
#[derive(Clone, Debug)]
pub struct SetRole {
    /// The user.
    pub id: UserId,
    /// What they are from now on.
    pub is_admin: bool,
}

/// The outcome of one change.
pub type Outcome = Result<Written, ChangeError>;

/// Why a change was not made: nothing was modified.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ChangeError {
    /// No user has the id.
    #[error("there is no such user")]
    NoSuchUser,
    /// The precondition does not hold.
    #[error("the precondition does not hold")]
    PreconditionFailed,
    /// Another user has the name.
    #[error("another user has this name")]
    NameTaken,
    /// The password is no longer the one that was verified or rehashed.
    #[error("the password has changed since it was checked")]
    PasswordChanged,
    /// The idempotency key was used with another request before.
    #[error("the idempotency key was used for another request")]
    KeyReused,
    /// Too many changes wait for a follower's first question after a start.
    #[error("the service has just started, and too many changes wait")]
    TooManyWait,
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}
