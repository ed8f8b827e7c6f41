//! What an operator can ask the running service for, through the socket in its data directory.

mod creating;
mod importing;

use std::error::Error;
use std::io::{self, Write};
use std::path::Path;

use contract::UserId;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use shared::actors::{Health, Mailbox, ask};
use shared::admin::CommandSocket;
use shared::hashing::PasswordHasher;
use shared::identity::{PasswordBlocklist, PasswordPolicy};
use shared::telemetry::ErrorChain;
use tokio::task::JoinHandle;

use crate::actors::user_reader::{
    FindCredentials, FindUser, FindUserByName, ListAdmins, ListUsers,
};
use crate::actors::{UserReader, UserRepository};
use crate::domain::User;
use crate::store::{Change, SetRole};

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
}

/// The actors that commands need.
pub(crate) struct AdminActors {
    pub(crate) repository: Mailbox<UserRepository>,
    pub(crate) reader: Mailbox<UserReader>,
    pub(crate) hasher: Mailbox<PasswordHasher>,
    pub(crate) policy: PasswordPolicy,
    pub(crate) blocklist: PasswordBlocklist,
}

/// Answers commands until the task is aborted.
pub(crate) fn spawn_admin(data_dir: &Path, actors: AdminActors, health: Health) -> JoinHandle<()> {
    let socket = CommandSocket::bind(data_dir, SERVICE);
    actix::spawn(async move {
        let Some(socket) = socket else { return };
        let answer = async |command: AdminCommand| actors.answer(command).await;
        socket.serve(&health, answer).await;
    })
}

impl AdminActors {
    async fn answer(&self, command: AdminCommand) -> Result<AdminAnswer, String> {
        match command {
            AdminCommand::Import { users, is_dry_run } => {
                self.import(users, is_dry_run).await.map(AdminAnswer::Fates)
            }
            AdminCommand::Create { username, password } => {
                let password = SecretString::from(password);
                self.create_one(&username, &password).await.map(AdminAnswer::Creation)
            }
            AdminCommand::List { after, with_hashes } => {
                self.list(after, with_hashes).await.map(AdminAnswer::Users)
            }
            AdminCommand::ListAdmins => self.list_admins().await.map(AdminAnswer::Users),
            AdminCommand::SetRole { user, is_admin } => {
                self.set_role(user, is_admin).await.map(AdminAnswer::Role)
            }
        }
    }

    async fn list(&self, after: i64, with_hashes: bool) -> Result<Vec<ListedUser>, String> {
        let page = ListUsers { after, limit: PAGE.into() };
        let users = ask(&self.reader, page).await.map_err(told)?.map_err(told)?;
        let mut listed = Vec::with_capacity(users.len());
        for user in users {
            listed.push(if with_hashes {
                self.with_hash(user.id).await?
            } else {
                Some(user.into())
            });
        }
        Ok(listed.into_iter().flatten().collect())
    }

    async fn list_admins(&self) -> Result<Vec<ListedUser>, String> {
        let admins = ask(&self.reader, ListAdmins).await.map_err(told)?.map_err(told)?;
        Ok(admins.into_iter().map(ListedUser::from).collect())
    }

    async fn set_role(&self, user: UserRef, is_admin: bool) -> Result<RoleSet, String> {
        let found = match user {
            UserRef::Id(id) => ask(&self.reader, FindUser(UserId(id))).await,
            UserRef::Name(name) => ask(&self.reader, FindUserByName(name)).await,
        };
        let user = found.map_err(told)?.map_err(told)?;
        let user = user.ok_or_else(|| "there is no such user".to_owned())?;
        let change = Change::SetRole(SetRole { id: user.id, is_admin });
        let written = ask(&self.repository, change).await.map_err(told)?.map_err(told)?;
        let User { id, username, .. } = written.user;
        Ok(RoleSet { id: id.0, username, is_changed: user.is_admin != is_admin })
    }

    /// `None` if the user was deleted meanwhile. The name is that of the same moment as the hash.
    async fn with_hash(&self, id: UserId) -> Result<Option<ListedUser>, String> {
        let found = ask(&self.reader, FindCredentials(id)).await.map_err(told)?.map_err(told)?;
        Ok(found.map(|found| ListedUser {
            password_hash: Some(found.password_hash.expose_phc().to_owned()),
            ..found.user.into()
        }))
    }
}

fn told(error: impl Error + 'static) -> String {
    ErrorChain(&error).to_string()
}
