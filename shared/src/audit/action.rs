//! What the audit trail tells, and of whom.

use contract::UserId;

/// What is written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// A name and a password for a token.
    Login,
    /// The end of the session of a token.
    Logout,
    /// The end of all sessions of a user, by the user.
    LogoutAll,
    /// The end of a session, by a service with a client secret.
    Revoke,
    /// A token for a new one of its session.
    RefreshToken,
    /// A token was traded a second time, which ended its session.
    ReuseToken,
    /// A user is created.
    CreateUser,
    /// A user gets another name.
    UpdateUser,
    /// A user is deleted.
    DeleteUser,
    /// A new password for the current one, or by an administrator.
    ChangePassword,
    /// A reset token is made.
    MakeResetToken,
    /// A new password for a reset token.
    ResetPassword,
    /// The end of all sessions of a user, by an administrator.
    EndSessions,
    /// Users are created with the hashes of another system.
    ImportUsers,
    /// The hashes of passwords are handed out.
    ExportHashes,
    /// A user becomes an administrator.
    AddAdmin,
    /// A user is an administrator no longer.
    RemoveAdmin,
    /// The next key signs from now on.
    RotateKeys,
    /// The tokens of a key are refused from now on.
    KillKey,
    /// The databases are copied.
    Backup,
    /// The databases of a backup are put in place.
    Restore,
    /// The tables of the users are brought up to date, and nothing is served.
    Migrate,
    /// The users and their log are copied into another database.
    Move,
}

impl Action {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Login => "login",
            Self::Logout => "logout",
            Self::LogoutAll => "logout.all",
            Self::Revoke => "token.revoke",
            Self::RefreshToken => "token.refresh",
            Self::ReuseToken => "token.reuse",
            Self::CreateUser => "user.create",
            Self::UpdateUser => "user.update",
            Self::DeleteUser => "user.delete",
            Self::ChangePassword => "password.change",
            Self::MakeResetToken => "password.reset_token",
            Self::ResetPassword => "password.reset",
            Self::EndSessions => "sessions.end",
            Self::ImportUsers => "user.import",
            Self::ExportHashes => "user.export_hashes",
            Self::AddAdmin => "admin.add",
            Self::RemoveAdmin => "admin.remove",
            Self::RotateKeys => "key.rotate",
            Self::KillKey => "key.kill",
            Self::Backup => "data.backup",
            Self::Restore => "data.restore",
            Self::Migrate => "data.migrate",
            Self::Move => "data.move",
        }
    }
}

/// Who acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Actor {
    /// Not known: access is open, or the request is what proves it.
    Anybody,
    /// A user with a live token.
    User(UserId),
    /// An administrator: this user, or whoever has the token of the first administrator.
    Administrator(Option<UserId>),
    /// A service with a client secret.
    Client,
    /// Whoever gives commands in the data directory.
    Operator,
}

impl Actor {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Anybody => "anybody",
            Self::User(_) => "user",
            Self::Administrator(_) => "administrator",
            Self::Client => "client",
            Self::Operator => "operator",
        }
    }

    pub(super) fn id(self) -> Option<UserId> {
        match self {
            Self::User(id) => Some(id),
            Self::Administrator(id) => id,
            Self::Anybody | Self::Client | Self::Operator => None,
        }
    }
}
