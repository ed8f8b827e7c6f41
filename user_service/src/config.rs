//! The settings of this service. Each is a flag and an environment variable of the same name.

mod database;

use std::path::Path;
use std::sync::Arc;

use clap::{ArgAction, Args, ValueEnum};
use humantime::Duration;
use secrecy::SecretString;
use shared::bus::direct::DirectUrl;
use shared::config::{CommonConfig, ListenAddress};
use shared::identity::{PasswordBlocklist, PasswordPolicy};
use shared::secrets::DataLayout;

use crate::store::{self, Retention, Store};

pub use database::{DatabaseConfig, DatabaseError};

/// Everything that [`crate::start`] needs.
#[derive(Args, Clone, Debug)]
pub struct Config {
    /// The settings that both services have.
    #[command(flatten)]
    pub common: CommonConfig,
    /// The settings of this service only.
    #[command(flatten)]
    pub service: UserServiceConfig,
}

/// The settings of user_service only.
#[derive(Args, Clone, Debug)]
pub struct UserServiceConfig {
    /// Where the users are.
    #[command(flatten)]
    pub database: DatabaseConfig,

    /// Where user_service listens: an address or a name, with a port
    #[arg(long, env, default_value = "127.0.0.1:8001", value_name = "ADDRESS")]
    pub user_service_listen: ListenAddress,

    /// Where user_service answers /metrics, /healthz and /readyz, and nothing else: an address or a name,
    /// with a port. They are then at no other port [default: at USER_SERVICE_LISTEN]
    #[arg(long, env, value_name = "ADDRESS")]
    pub user_service_metrics_listen: Option<ListenAddress>,

    /// Who may read, change and delete users: open lets everybody; owner wants the user's own token or
    /// an administrator's, and for the list an administrator's
    #[arg(long, env, value_enum, default_value_t = Access::Open, value_name = "WHO")]
    pub user_service_access: Access,

    /// Who may create users with USER_SERVICE_ACCESS=owner
    #[arg(long, env, value_enum, default_value_t = Creators::Anyone, value_name = "WHO")]
    pub user_creation: Creators,

    /// Where auth_service is asked whether a token is alive: http://HOST:PORT. Needed for
    /// USER_SERVICE_ACCESS=owner and for tokens of administrators (standalone: its own auth_service)
    #[arg(long, env, value_name = "URL")]
    pub auth_service_url: Option<DirectUrl>,

    /// Whether /console shows a page for looking at the service and its users
    #[arg(long, env, value_enum, default_value_t = Switch::On, value_name = "on|off")]
    pub console: Switch,

    /// Fewest characters of a new password
    #[arg(long, env, default_value_t = 8, value_name = "N",
          value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub password_min_chars: u16,

    /// Most characters of a new password
    #[arg(long, env, default_value_t = 128, value_name = "N",
          value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub password_max_chars: u16,

    /// How long a reset token that an administrator had made can be used
    #[arg(long, env, default_value = "15m", value_name = "TIME", value_parser = parse_reset_lifetime)]
    pub password_reset_lifetime: Duration,

    /// Whether new passwords that are easy to guess are refused: common ones, and the username
    #[arg(long, env, value_enum, default_value_t = Switch::On, value_name = "on|off")]
    pub password_blocklist: Switch,

    /// Passwords that are accepted although they are easy to guess: separated by commas, in upper or
    /// lower case
    #[arg(
        long,
        env,
        default_value = "testpassword",
        value_name = "LIST",
        value_delimiter = ',',
        hide_env_values = true
    )]
    pub password_blocklist_except: Vec<String>,

    /// Refuse changes without an If-Match header with 428
    #[arg(long, env, action = ArgAction::Set, value_parser = parse_bool, value_name = "true|false",
          default_value = "false", default_missing_value = "true", num_args = 0..=1,
          require_equals = true)]
    pub require_if_match: bool,

    /// How many log records a follower may be behind before it gets a snapshot instead
    #[arg(long, env, default_value_t = 10_000, value_name = "N",
          value_parser = clap::value_parser!(i64).range(0..))]
    pub sync_replay_limit: i64,

    /// How long records of the log are kept, with the names of users who were deleted since: a
    /// follower that was disconnected for longer gets a snapshot
    #[arg(long, env, default_value = "7d", value_name = "TIME")]
    pub log_retention: Duration,

    /// How many of the newest log records are kept whatever their age. With more than 0, names of
    /// deleted users stay until enough newer records follow
    #[arg(long, env, default_value_t = 0, value_name = "N",
          value_parser = clap::value_parser!(i64).range(0..))]
    pub log_retention_rows: i64,
}

const RESET_LIFETIMES: std::ops::RangeInclusive<std::time::Duration> =
    std::time::Duration::from_mins(1)..=std::time::Duration::from_hours(24);

fn parse_reset_lifetime(text: &str) -> Result<Duration, String> {
    let lifetime: Duration = text.parse().map_err(|error| format!("{error}"))?;
    let is_usable = RESET_LIFETIMES.contains(&*lifetime);
    if is_usable { Ok(lifetime) } else { Err("must be from 1m to 24h".to_owned()) }
}

fn parse_bool(text: &str) -> Result<bool, &'static str> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "t" | "yes" | "y" | "on" | "1" => Ok(true),
        "false" | "f" | "no" | "n" | "off" | "0" => Ok(false),
        _ => Err("must be true or false (or yes, no, on, off, 1, 0)"),
    }
}

/// A rule that can be on or off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Switch {
    /// On.
    On,
    /// Off.
    Off,
}

/// Who may read, change and delete users.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Access {
    /// Everybody.
    Open,
    /// Only the user, with a valid token of theirs, and administrators.
    Owner,
}

/// Who may create users where access is not open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Creators {
    /// Everybody.
    Anyone,
    /// Administrators.
    Admins,
}

impl UserServiceConfig {
    /// Where `/readyz` is answered.
    pub fn probes_listen(&self) -> &ListenAddress {
        self.user_service_metrics_listen.as_ref().unwrap_or(&self.user_service_listen)
    }

    /// Settings that are valid separately but in conflict: one line each.
    pub fn problems(&self) -> Vec<String> {
        let mut problems: Vec<String> = self.database.problem().into_iter().collect();
        if self.password_min_chars > self.password_max_chars {
            problems.push("PASSWORD_MIN_CHARS is more than PASSWORD_MAX_CHARS".to_owned());
        }
        problems
    }
}

impl Config {
    /// Settings that are valid separately but in conflict: one line each.
    pub fn problems(&self) -> Vec<String> {
        [self.common.problems(), self.service.problems()].concat()
    }

    /// The database of users. Its file, or what is known of its server, is in `directory`.
    ///
    /// # Errors
    /// See [`DatabaseError`].
    pub fn store(&self, directory: &Path) -> Result<Arc<dyn Store>, DatabaseError> {
        self.service.database.store(directory)
    }

    /// Where the files of a process of its own are: several may share a data directory, unless the
    /// users are in it.
    pub fn layout(&self) -> DataLayout {
        let has_users = self.service.database.not_in_files().is_none();
        if has_users { DataLayout::Whole } else { DataLayout::Places }
    }

    /// The path or the URL of the database of users.
    ///
    /// # Errors
    /// See [`DatabaseError`].
    pub fn place_of_users(&self) -> Result<SecretString, DatabaseError> {
        let file = || self.common.data_dir.join(store::DATABASE).display().to_string().into();
        Ok(self.service.database.url()?.unwrap_or_else(file))
    }

    /// How long records of the log are kept.
    pub fn log_retention(&self) -> Retention {
        let age = self.service.log_retention.as_millis();
        let age_ms = i64::try_from(age).unwrap_or(i64::MAX);
        Retention { age_ms, rows: self.service.log_retention_rows }
    }

    /// How long a reset token can be used, in seconds.
    pub fn reset_lifetime_s(&self) -> i64 {
        i64::try_from(self.service.password_reset_lifetime.as_secs()).unwrap_or(0)
    }

    /// Which passwords are refused.
    pub fn password_blocklist(&self) -> PasswordBlocklist {
        let is_on = self.service.password_blocklist == Switch::On;
        PasswordBlocklist::new(is_on, &self.service.password_blocklist_except)
    }

    /// The length of a new password.
    pub fn password_policy(&self) -> PasswordPolicy {
        PasswordPolicy {
            min_chars: self.service.password_min_chars.into(),
            max_chars: self.service.password_max_chars.into(),
        }
    }
}
