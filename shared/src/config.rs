//! Settings that several binaries have in common. Each is a flag and an environment variable of the
//! same name; `--help` shows them all.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::Args;
use secrecy::{ExposeSecret, SecretString};

use crate::http::Cidr;

/// Settings of every binary.
#[derive(Args, Clone, Debug)]
pub struct CommonConfig {
    /// Directory of the databases and keys; made at the first start
    #[arg(long, env, default_value = "./data", value_name = "DIR")]
    pub data_dir: PathBuf,

    /// How to reach the broker.
    #[command(flatten)]
    pub bus: BusConfig,

    /// The key that the services share.
    #[command(flatten)]
    pub sealing_key: SealingKeyConfig,

    /// How guessing of passwords is slowed down.
    #[command(flatten)]
    pub guessing: GuessingArgs,

    /// What to log: error, warn, info, debug, trace, or a filter such as info,auth_service=debug
    #[arg(long, env, default_value = "info", value_name = "FILTER")]
    pub log: String,

    /// How log lines look: text or json
    #[arg(long, env, default_value = "text", value_name = "FORMAT")]
    pub log_format: String,

    /// HTTP threads of each service [default: one for each core]
    #[arg(long, env, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub http_workers: Option<u16>,

    /// How long requests in hand may take to finish after SIGTERM
    #[arg(long, env, default_value = "10s", value_name = "TIME")]
    pub shutdown_grace: Period,
}

/// How to reach the broker.
#[derive(Args, Clone, Debug)]
pub struct BusConfig {
    /// How to reach RabbitMQ
    #[arg(long, env, value_name = "amqp://USER:PASSWORD@HOST:PORT/VHOST", hide_env_values = true)]
    pub amqp_url: Option<SecretString>,

    /// File that holds AMQP_URL
    #[arg(long, env, value_name = "FILE", conflicts_with = "amqp_url")]
    pub amqp_url_file: Option<PathBuf>,
}

/// The key under which password hashes travel between the services.
#[derive(Args, Clone, Debug)]
pub struct SealingKeyConfig {
    /// 32 bytes in base64url, the same for both services
    #[arg(long, env, value_name = "KEY", hide_env_values = true)]
    pub sealing_key: Option<SecretString>,

    /// File that holds SEALING_KEY; made at the first start [default: DATA_DIR/sealing.key]
    #[arg(long, env, value_name = "FILE", conflicts_with = "sealing_key")]
    pub sealing_key_file: Option<PathBuf>,
}

/// How guessing of passwords is slowed down. Each process counts by itself.
#[derive(Args, Clone, Debug)]
pub struct GuessingArgs {
    /// How many wrong passwords may be tried for one name or user in LOGIN_FAILURES_WINDOW; 0: any
    #[arg(long, env, default_value_t = 10, value_name = "N")]
    pub login_failures_per_name: u32,

    /// How many wrong passwords may be tried from one address, or /64 of IPv6, in
    /// LOGIN_FAILURES_WINDOW; 0: any
    #[arg(long, env, default_value_t = 300, value_name = "N")]
    pub login_failures_per_address: u32,

    /// The time in which these are counted: they come back evenly
    #[arg(long, env, default_value = "15m", value_name = "TIME")]
    pub login_failures_window: Period,

    /// Proxies whose Forwarded or X-Forwarded-For is believed, such as 10.0.0.0/8,::1
    #[arg(long, env, value_name = "RANGES", value_delimiter = ',')]
    pub trusted_proxies: Vec<Cidr>,
}

/// What hashing costs (RFC 9106).
#[derive(Args, Clone, Debug)]
pub struct HashingArgs {
    /// Argon2id: memory of one hash in KiB
    #[arg(long, env, default_value_t = 19_456, value_name = "KIB",
          value_parser = clap::value_parser!(u32).range(8..=4_194_304))]
    pub argon2_memory_kib: u32,

    /// Argon2id: passes over the memory
    #[arg(long, env, default_value_t = 2, value_name = "N")]
    pub argon2_iterations: u32,

    /// Argon2id: lanes
    #[arg(long, env, default_value_t = 1, value_name = "N")]
    pub argon2_parallelism: u32,

    /// Threads that hash passwords [default: one for each core]
    #[arg(long, env, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub hash_threads: Option<u16>,

    /// How many passwords may wait to be hashed before more are refused with 503
    #[arg(long, env, default_value_t = 128, value_name = "N",
          value_parser = clap::value_parser!(u16).range(1..))]
    pub hash_queue: u16,
}

/// A number of processors to use when a setting leaves it open.
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, Into::into)
}

/// A setting cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file of a secret cannot be read.
    #[error("cannot read {}", path.display())]
    SecretFile {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

impl BusConfig {
    /// The broker's URL, from the setting or its file.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn url(&self) -> Result<Option<SecretString>, ConfigError> {
        secret_or_file(self.amqp_url.as_ref(), self.amqp_url_file.as_ref())
    }
}

/// A secret from its setting or else from its file, without the line's end.
fn secret_or_file(
    secret: Option<&SecretString>,
    file: Option<&PathBuf>,
) -> Result<Option<SecretString>, ConfigError> {
    match (secret, file) {
        (Some(secret), _) => Ok(Some(secret.expose_secret().into())),
        (None, Some(path)) => {
            let content = std::fs::read_to_string(path)
                .map_err(|source| ConfigError::SecretFile { path: path.clone(), source })?;
            Ok(Some(content.trim_end_matches(['\r', '\n']).into()))
        }
        (None, None) => Ok(None),
    }
}

/// A span of time, written as `500ms`, `10s`, `15m`, `12h` or `7d`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Period(pub Duration);

impl FromStr for Period {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || format!("{text:?} is not a time such as 500ms, 10s, 15m, 12h or 7d");
        let digits = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
        let count: u64 = text[..digits].parse().map_err(|_| wrong())?;
        let unit_ms = match &text[digits..] {
            "ms" => 1,
            "s" => 1000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return Err(wrong()),
        };
        count.checked_mul(unit_ms).map(|ms| Self(Duration::from_millis(ms))).ok_or_else(wrong)
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}ms", self.0.as_millis())
    }
}

/// The address at which a service that listens on `listen` can be asked on this machine.
pub fn local_address(listen: SocketAddr) -> SocketAddr {
    let mut address = listen;
    if listen.ip().is_unspecified() {
        address.set_ip(match listen {
            SocketAddr::V4(_) => [127, 0, 0, 1].into(),
            SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
        });
    }
    address
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_period_needs_its_unit() {
        assert_eq!("15m".parse(), Ok(Period(Duration::from_mins(15))));
        assert_eq!("500ms".parse(), Ok(Period(Duration::from_millis(500))));
        for bad in ["", "15", "m", "1.5s", "-1s", "1 s", "99999999999999999999d", "1w"] {
            assert!(bad.parse::<Period>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_secret_file_loses_its_line_end_and_nothing_else() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), " a b \r\n").unwrap();
        let secret = secret_or_file(None, Some(&file.path().to_owned())).unwrap().unwrap();
        assert_eq!(secret.expose_secret(), " a b ");
    }

    #[test]
    fn a_service_on_all_addresses_is_asked_on_loopback() {
        assert_eq!(local_address(([0, 0, 0, 0], 80).into()), ([127, 0, 0, 1], 80).into());
        assert_eq!(local_address(([10, 0, 0, 1], 80).into()), ([10, 0, 0, 1], 80).into());
    }
}
