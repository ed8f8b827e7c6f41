//! What an operator can ask the running service for, through the socket in its data directory.

mod creating;
mod importing;

use std::io::{self, Write};
use std::path::Path;

use contract::UserId;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use shared::actors::{Health, Mailbox, ask};
use shared::admin::{CommandError, CommandSocket, Operator};
use shared::audit::{Action, AuditRecord, AuditTrail, BackupEnded};
use shared::hashing::PasswordHasher;
use shared::identity::{PasswordBlocklist, PasswordPolicy};
use tokio::task::JoinHandle;

use crate::actors::user_reader::{
    FindCredentials, FindUser, FindUserByName, ListAdmins, ListUsers,
};
use crate::actors::{UserReader, UserRepository};
use crate::domain::User;
use crate::store::{Change, ChangeError, SetRole};

/// The name of the socket.
pub(crate) const SERVICE: &str = "user_service";
/// The most users in one command or answer, so that each is shorter than the longest line of the socket.
pub(crate) const PAGE: u16 = 256;

/// A command.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum AdminCommand {
    /// Create these users, at most [`PAGE`] of them. The answer has a [`Fate`] for each.
    Import {
        users: Vec<NewUser>,
        /// Create nobody: tell what would happen.
        is_dry_run: bool,
    },
    /// Create a user with this password. The answer is a [`Creation`].
    Create { username: String, password: String },
    /// Which users come next, in order of their ids? The answer is of [`ListedUser`]s, at most [`PAGE`].
    List {
        /// Only ids above this one.
        after: i64,
        /// With the hashes of their passwords.
        with_hashes: bool,
    },
    /// Who is an administrator? The answer is of [`ListedUser`]s, in order of their ids.
    ListAdmins,
    /// Make this user an administrator, or no longer. The answer is [`RoleSet`].
    SetRole { user: UserRef, is_admin: bool },
    /// A backup was made beside the service, or not: write that down. The answer is empty.
    BackupEnded(BackupEnded),
}

/// Names a user.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum UserRef {
    Id(i64),
    Name(String),
}

/// What became of a user's role.
#[derive(Serialize, Deserialize)]
pub(crate) struct RoleSet {
    pub(crate) id: i64,
    pub(crate) username: String,
    /// It was another before.
    pub(crate) is_changed: bool,
}

/// A user to create.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct NewUser {
    pub(crate) username: String,
    pub(crate) password_hash: String,
}

/// What became of a user who was to be created.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Fate {
    /// The user was created, or would be.
    Created,
    /// A user with this name and this hash is there already.
    Present,
    /// A user with this name is there, and has another hash.
    Taken,
    /// The name or the hash is refused.
    Refused(String),
}

/// What became of one user who was to be created.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Creation {
    /// The user was created.
    Created(ListedUser),
    /// The name or the password is refused, in words.
    Refused(String),
}

/// A user, as operators see them.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct ListedUser {
    pub(crate) id: i64,
    pub(crate) username: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) password_hash: Option<String>,
}

impl From<User> for ListedUser {
    /// Without the hash.
    fn from(User { id, username, .. }: User) -> Self {
        Self { id: id.0, username, password_hash: None }
    }
}

impl ListedUser {
    /// Writes the user as one line: a JSON object, or id and name.
    pub(crate) fn write_line(&self, output: &mut impl Write, is_json: bool) -> io::Result<()> {
        if is_json {
            serde_json::to_writer(&mut *output, self)?;
            return output.write_all(b"\n");
        }
        writeln!(output, "{:>10}  {}", self.id, self.username)
    }
}

#[derive(Serialize)]
#[serde(untagged)]
enum AdminAnswer {
    Role(RoleSet),
    Fates(Vec<Fate>),
    Users(Vec<ListedUser>),
    Creation(Creation),
    Written,
}

/// The actors that commands need, and the trail that tells of them.
pub(crate) struct AdminActors {
    pub(crate) repository: Mailbox<UserRepository>,
    pub(crate) reader: Mailbox<UserReader>,
    pub(crate) hasher: Mailbox<PasswordHasher>,
    pub(crate) policy: PasswordPolicy,
    pub(crate) blocklist: PasswordBlocklist,
    pub(crate) audit: AuditTrail,
}

/// Answers commands until the task is aborted.
pub(crate) fn spawn_admin(data_dir: &Path, actors: AdminActors, health: Health) -> JoinHandle<()> {
    let socket = CommandSocket::bind(data_dir, SERVICE);
    actix::spawn(async move {
        let Some(socket) = socket else { return };
        let answer = async |command, operator| actors.answer(command, operator).await;
        socket.serve(&health, answer).await;
    })
}

impl AdminActors {
    async fn answer(
        &self,
        command: AdminCommand,
        operator: Operator,
    ) -> Result<AdminAnswer, CommandError> {
        let audit = &self.audit;
        match command {
            AdminCommand::Import { users, is_dry_run: true } => {
                self.import(users, true).await.map(AdminAnswer::Fates)
            }
            AdminCommand::Import { users, is_dry_run: false } => {
                self.import_for(operator, users).await.map(AdminAnswer::Fates)
            }
            AdminCommand::Create { username, password } => {
                let password = SecretString::from(password);
                let create = async |record: &mut AuditRecord| {
                    self.create_one(&username, &password, record).await.map(AdminAnswer::Creation)
                };
                audit.follow(Action::CreateUser, operator, create).await
            }
            AdminCommand::List { after, with_hashes: false } => {
                let users = self.list(after).await?;
                Ok(AdminAnswer::Users(users.into_iter().map(ListedUser::from).collect()))
            }
            AdminCommand::List { after, with_hashes: true } => {
                let export = async |record: &mut AuditRecord| {
                    let users = self.export(after).await?;
                    record.counts(users.len());
                    Ok(AdminAnswer::Users(users))
                };
                audit.follow(Action::ExportHashes, operator, export).await
            }
            AdminCommand::ListAdmins => self.list_admins().await.map(AdminAnswer::Users),
            AdminCommand::SetRole { user, is_admin } => {
                let action = if is_admin { Action::AddAdmin } else { Action::RemoveAdmin };
                let set = async |record: &mut AuditRecord| {
                    self.set_role(user, is_admin, record).await.map(AdminAnswer::Role)
                };
                audit.follow(action, operator, set).await
            }
            AdminCommand::BackupEnded(ended) => {
                audit.write_backup(ended, operator);
                Ok(AdminAnswer::Written)
            }
        }
    }

    async fn import_for(
        &self,
        operator: Operator,
        users: Vec<NewUser>,
    ) -> Result<Vec<Fate>, CommandError> {
        let import = async |record: &mut AuditRecord| {
            let fates = self.import(users, false).await?;
            record.counts(fates.iter().filter(|fate| **fate == Fate::Created).count());
            Ok(fates)
        };
        self.audit.follow(Action::ImportUsers, operator, import).await
    }

    async fn list(&self, after: i64) -> Result<Vec<User>, CommandError> {
        Ok(ask(&self.reader, ListUsers { after, limit: PAGE.into() }).await??)
    }

    /// The same users, with their hashes.
    async fn export(&self, after: i64) -> Result<Vec<ListedUser>, CommandError> {
        let mut exported = Vec::new();
        for user in self.list(after).await? {
            // Nothing if the user was deleted meanwhile. The name is that of the same moment as the hash.
            if let Some(found) = ask(&self.reader, FindCredentials(user.id)).await?? {
                let password_hash = Some(found.password_hash.expose_phc().to_owned());
                exported.push(ListedUser { password_hash, ..found.user.into() });
            }
        }
        Ok(exported)
    }

    async fn list_admins(&self) -> Result<Vec<ListedUser>, CommandError> {
        let admins = ask(&self.reader, ListAdmins).await??;
        Ok(admins.into_iter().map(ListedUser::from).collect())
    }

    async fn set_role(
        &self,
        user: UserRef,
        is_admin: bool,
        record: &mut AuditRecord,
    ) -> Result<RoleSet, CommandError> {
        let found = match user {
            UserRef::Id(id) => ask(&self.reader, FindUser(UserId(id))).await??,
            UserRef::Name(name) => ask(&self.reader, FindUserByName(name)).await??,
        };
        let user = found.ok_or(ChangeError::NoSuchUser)?;
        record.about(user.id);
        let change = Change::SetRole(SetRole { id: user.id, is_admin });
        let User { id, username, .. } = ask(&self.repository, change).await??.user;
        Ok(RoleSet { id: id.0, username, is_changed: user.is_admin != is_admin })
    }
}

impl From<ChangeError> for CommandError {
    fn from(error: ChangeError) -> Self {
        match error {
            ChangeError::Store(error) => error.into(),
            refused => Self::Refused(refused.to_string()),
        }
    }
}
