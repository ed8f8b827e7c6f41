//! The settings of this service. Each is a flag and an environment variable of the same name.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use contract::UserId;
use contract::token_record::SigningAlgorithm;
use humantime::Duration;
use secrecy::{ExposeSecret, SecretString};
use shared::bus::direct::{DirectClient, DirectUrl, SYNC_PATH};
use shared::config::{CommonConfig, ListenAddress, secret_or_file};
use shared::secrets::{ClientSecrets, KeyFileError, NotAClient, warn_if_open};
use shared::telemetry::ErrorChain;
use shared::tokens::token_set::LONGEST_LIFETIME_S;

/// Everything that [`crate::start`] needs.
#[derive(Args, Clone, Debug)]
pub struct Config {
    /// The settings that both services have.
    #[command(flatten)]
    pub common: CommonConfig,
    /// The settings of this service only.
    #[command(flatten)]
    pub service: AuthServiceConfig,
}

/// The settings of auth_service only.
#[derive(Args, Clone, Debug)]
pub struct AuthServiceConfig {
    /// Where auth_service listens: an address or a name, with a port
    #[arg(long, env, default_value = "127.0.0.1:8002", value_name = "ADDRESS")]
    pub auth_service_listen: ListenAddress,

    /// Where auth_service answers /metrics, /healthz and /readyz, and nothing else: an address or a name,
    /// with a port. They are then at no other port [default: at AUTH_SERVICE_LISTEN]
    #[arg(long, env, value_name = "ADDRESS")]
    pub auth_service_metrics_listen: Option<ListenAddress>,

    /// Name of this replica of auth_service [default: the number of its place in DATA_DIR]. Two replicas
    /// with separate data directories need separate names
    #[arg(long, env, value_name = "NAME", value_parser = parse_replica)]
    pub auth_replica: Option<String>,

    /// The tokens' `iss`
    #[arg(long, env, default_value = "lockstep", value_name = "TEXT")]
    pub token_issuer: String,

    /// The tokens' `aud`
    #[arg(long, env, default_value = "lockstep", value_name = "TEXT")]
    pub token_audience: String,

    /// How long a token lives, up to 24h
    #[arg(long, env, default_value = "15m", value_name = "TIME", value_parser = parse_lifetime)]
    pub token_lifetime: Duration,

    /// How long a session can be prolonged by POST /refresh, from 1m to 365d, before its user must log
    /// in again
    #[arg(long, env, default_value = "30d", value_name = "TIME", value_parser = parse_session)]
    pub session_max_age: Duration,

    /// How tokens are signed: EdDSA, or ES256 for verifiers that do not know EdDSA
    #[arg(long, env, default_value = "EdDSA", value_name = "ALG")]
    pub token_alg: TokenAlg,

    /// How long a signing key signs, from 1h to 365d, before the next one takes its place
    #[arg(long, env, default_value = "30d", value_name = "TIME", value_parser = parse_rotation)]
    pub key_rotation: Duration,

    /// How long a key is published before it signs when it is needed at once, up to 24h: 20m behind
    /// verifiers that do not fetch keys again for an unknown one, such as Envoy. Until the first key
    /// signs, nobody logs in
    #[arg(long, env, default_value = "0s", value_name = "TIME", value_parser = parse_warmup)]
    pub key_warmup: Duration,

    /// Where user_service is asked directly while the broker is unreachable: http://HOST:PORT. Without
    /// it, deletions, new passwords and new users arrive here when the broker is back
    #[arg(long, env, value_name = "URL")]
    pub user_service_url: Option<DirectUrl>,

    /// Ids of the users who are administrators, separated by commas: their tokens have the scope admin
    #[arg(long, env, value_name = "IDS", value_delimiter = ',', value_parser = parse_id)]
    pub admins: Vec<UserId>,

    /// Services that may introspect and revoke tokens: ID:SECRET of each, separated by commas or
    /// spaces. Without it /introspect and /revoke are off
    #[arg(long, env, value_name = "ID:SECRET", hide_env_values = true)]
    pub introspection_clients: Option<SecretString>,

    /// File that contains INTROSPECTION_CLIENTS, one a line
    #[arg(long, env, value_name = "FILE")]
    pub introspection_clients_file: Option<PathBuf>,

    /// Whether /logout answers 503 if the broker has not confirmed that the other replicas get it: 0 or
    /// 1. With 0 the logout holds here at once, and elsewhere when the broker is back
    #[arg(long, env, default_value = "0", value_name = "N", value_parser = parse_acks)]
    pub logout_acks: u8,

    /// What happens to tokens at a replica that is cut off for longer than CUT_OFF_LIMIT: they are
    /// judged by what is known here (serve), or answered with 503 (refuse)
    #[arg(long, env, default_value = "serve", value_name = "WHAT")]
    pub cut_off: CutOff,

    /// How long a replica may be cut off before CUT_OFF applies
    #[arg(long, env, default_value = "1m", value_name = "TIME")]
    pub cut_off_limit: Duration,

    /// How long /login waits at most for the write that a Consistency-Token names
    #[arg(long, env, default_value = "2s", value_name = "TIME")]
    pub login_wait: Duration,
}

impl Config {
    /// Settings that are valid separately but in conflict: one line each.
    pub fn problems(&self) -> Vec<String> {
        [self.common.problems(), self.service.problems()].concat()
    }
}

/// The clients in the settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ClientsError {
    /// The file cannot be read.
    #[error("INTROSPECTION_CLIENTS_FILE")]
    File(#[from] KeyFileError),
    /// An entry is wrong.
    #[error("INTROSPECTION_CLIENTS")]
    Entry(#[from] NotAClient),
}

impl AuthServiceConfig {
    /// Where `/readyz` is answered.
    pub fn probes_listen(&self) -> &ListenAddress {
        self.auth_service_metrics_listen.as_ref().unwrap_or(&self.auth_service_listen)
    }

    /// Settings that are valid separately but in conflict, and files that cannot be used: one line
    /// each.
    pub fn problems(&self) -> Vec<String> {
        if self.introspection_clients.is_some() && self.introspection_clients_file.is_some() {
            let name = "INTROSPECTION_CLIENTS";
            return vec![format!("set {name} or {name}_FILE, not both")];
        }
        let error = self.clients().err().map(|error| ErrorChain(&error).to_string());
        error.into_iter().collect()
    }

    /// The services that may introspect and revoke tokens, from the setting or its file.
    ///
    /// # Errors
    /// See [`ClientsError`].
    pub fn clients(&self) -> Result<ClientSecrets, ClientsError> {
        let (setting, file) = (&self.introspection_clients, &self.introspection_clients_file);
        match secret_or_file(setting.as_ref(), file.as_ref())? {
            Some(text) => Ok(ClientSecrets::parse(text.expose_secret())?),
            None => Ok(ClientSecrets::default()),
        }
    }

    /// Asks user_service directly, if the settings name it.
    pub fn user_service_client(&self) -> Option<DirectClient> {
        self.user_service_url.clone().map(|url| DirectClient::new(url, SYNC_PATH))
    }

    /// Warns if everybody can read a secret that these settings name.
    pub fn warn_of_open_files(&self) {
        self.introspection_clients_file.iter().for_each(|path| warn_if_open(path));
    }

    /// After how many milliseconds of being cut off tokens are refused; `None` for never.
    pub fn refuse_after_ms(&self) -> Option<i64> {
        let limit_ms = i64::try_from(self.cut_off_limit.as_millis()).unwrap_or(i64::MAX);
        (self.cut_off == CutOff::Refuse).then_some(limit_ms)
    }

    /// The name of the replica that has this place.
    pub fn replica_in(&self, place: u32) -> String {
        self.auth_replica.clone().unwrap_or_else(|| place.to_string())
    }

    /// How long a token lives, in whole seconds.
    pub fn token_lifetime_s(&self) -> i64 {
        whole_seconds(self.token_lifetime)
    }
}

/// An algorithm that tokens can be signed with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum TokenAlg {
    /// Ed25519.
    #[value(name = "EdDSA")]
    EdDsa,
    /// ECDSA over P-256.
    #[value(name = "ES256")]
    Es256,
}

impl From<TokenAlg> for SigningAlgorithm {
    fn from(algorithm: TokenAlg) -> Self {
        match algorithm {
            TokenAlg::EdDsa => Self::EdDsa,
            TokenAlg::Es256 => Self::Es256,
        }
    }
}

/// What a replica does with tokens that is cut off for long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum CutOff {
    /// It judges them by what it knows.
    Serve,
    /// It answers 503.
    Refuse,
}

/// A time that was set, in whole seconds.
pub(crate) fn whole_seconds(time: Duration) -> i64 {
    i64::try_from(time.as_secs()).unwrap_or(i64::MAX / 2)
}

fn parse_id(text: &str) -> Result<UserId, &'static str> {
    UserId::parse(text.trim()).ok_or("must be the id of a user: an integer from 1")
}

fn parse_acks(text: &str) -> Result<u8, &'static str> {
    match text {
        "0" => Ok(0),
        "1" => Ok(1),
        _ => Err("must be 0 or 1"),
    }
}

/// The name becomes a word of queues' names.
fn parse_replica(text: &str) -> Result<String, &'static str> {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if (1..=64).contains(&text.len()) && text.chars().all(is_word) {
        Ok(text.to_owned())
    } else {
        Err("must be 1 to 64 letters, digits, - or _")
    }
}

const HOUR_S: u64 = 60 * 60;
const LONGEST_S: u64 = LONGEST_LIFETIME_S.unsigned_abs();

fn parse_lifetime(text: &str) -> Result<Duration, String> {
    parse_between(
        text,
        1,
        LONGEST_S,
        "must be from 1s to 24h: a logout is remembered for a day at most",
    )
}

fn parse_session(text: &str) -> Result<Duration, String> {
    parse_between(text, 60, 365 * 24 * HOUR_S, "must be from 1m to 365d")
}

fn parse_rotation(text: &str) -> Result<Duration, String> {
    parse_between(text, HOUR_S, 365 * 24 * HOUR_S, "must be from 1h to 365d")
}

fn parse_warmup(text: &str) -> Result<Duration, String> {
    parse_between(text, 0, 24 * HOUR_S, "must be up to 24h")
}

fn parse_between(text: &str, least_s: u64, most_s: u64, rule: &str) -> Result<Duration, String> {
    let time: Duration = text.parse().map_err(|error| format!("{error}"))?;
    let is_more = time.as_secs() == most_s && time.subsec_nanos() > 0;
    if (least_s..=most_s).contains(&time.as_secs()) && !is_more {
        Ok(time)
    } else {
        Err(rule.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_lives_for_a_second_at_least_and_a_day_at_most() {
        assert!(parse_lifetime("1s").is_ok() && parse_lifetime("24h").is_ok());
        for bad in ["0s", "999ms", "24h 1ms", "25h", "365d", "15"] {
            assert!(parse_lifetime(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_replica_is_named_by_one_word() {
        assert!(parse_replica("eu-1_a").is_ok());
        for bad in ["", "a.b", "a b", "ä", &"x".repeat(65)] {
            assert!(parse_replica(bad).is_err(), "{bad:?}");
        }
    }
}
