//! Settings that several binaries have in common. Each is a flag and an environment variable of the
//! same name; `--help` shows them all.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, ValueEnum};
use humantime::Duration;
use secrecy::{ExposeSecret, SecretString};

use crate::bus::AmqpBus;
use crate::capacity::WORKERS_MAX;
use crate::http::{Cidr, Origin};
use crate::secrets::{KeyFileError, SealingKeys, read_secret_file};
use crate::telemetry::{ErrorChain, LogFormat, check_filter};
use crate::traces::TracesArgs;

/// Settings of every binary.
#[derive(Args, Clone, Debug)]
pub struct CommonConfig {
    /// Directory of databases and keys; made at the first start
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

    /// Origins whose pages may call the services from a browser, such as https://app.example.com; exact ones,
    /// separated by commas. Without it, those of no other origin may
    #[arg(long, env, value_name = "ORIGINS", value_delimiter = ',')]
    pub cors_origins: Vec<Origin>,

    /// What to log: error, warn, info, debug, trace or off, or a filter such as
    /// info,auth_service=debug
    #[arg(long, env, default_value = "info", value_name = "FILTER")]
    pub log: String,

    /// Form of log lines: text for people, json for machines (one object a line)
    #[arg(long, env, value_enum, default_value_t = LogFormat::Text, value_name = "FORMAT")]
    pub log_format: LogFormat,

    /// Whether the audit trail shows the names that people log in with; off: only their fingerprints
    #[arg(long, env, value_enum, default_value_t = AuditNames::Off, value_name = "on|off")]
    pub audit_names: AuditNames,

    /// Where traces go, and which.
    #[command(flatten)]
    pub traces: TracesArgs,

    /// Threads of each service that answer HTTP, up to 512 [default: one for each core]
    #[arg(long, env, value_name = "N",
          value_parser = clap::value_parser!(u16).range(1..=i64::from(WORKERS_MAX)))]
    pub http_workers: Option<u16>,

    /// How long requests in progress may take to finish after SIGTERM
    #[arg(long, env, default_value = "10s", value_name = "TIME")]
    pub shutdown_grace: Duration,
}

/// Whether the audit trail shows names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum AuditNames {
    /// Beside their fingerprints.
    On,
    /// Only their fingerprints.
    Off,
}

/// How to reach the broker.
#[derive(Args, Clone, Debug)]
pub struct BusConfig {
    /// URL of RabbitMQ, with user and password
    #[arg(long, env, value_name = "amqp://USER:PASSWORD@HOST:PORT/VHOST", hide_env_values = true)]
    pub amqp_url: Option<SecretString>,

    /// File that contains AMQP_URL
    #[arg(long, env, value_name = "FILE")]
    pub amqp_url_file: Option<PathBuf>,
}

/// The key under which password hashes travel between the services.
#[derive(Args, Clone, Debug)]
pub struct SealingKeyConfig {
    /// Key that protects what the services send each other: 32 bytes in base64url, the same for
    /// both services
    // One key in 64 begins with a hyphen.
    #[arg(long, env, value_name = "KEY", hide_env_values = true, allow_hyphen_values = true)]
    pub sealing_key: Option<SecretString>,

    /// File that contains SEALING_KEY; made at the first start [default: DATA_DIR/sealing.key]
    #[arg(long, env, value_name = "FILE")]
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

    /// The time in which these are counted, 1s or more; the allowance refills evenly over it
    #[arg(long, env, default_value = "15m", value_name = "TIME", value_parser = parse_window)]
    pub login_failures_window: Duration,

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

    /// Argon2id: passes over the memory, up to 1024
    #[arg(long, env, default_value_t = 2, value_name = "N",
          value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub argon2_iterations: u32,

    /// Argon2id: lanes; ARGON2_MEMORY_KIB must be 8 times as many at least
    #[arg(long, env, default_value_t = 1, value_name = "N",
          value_parser = clap::value_parser!(u32).range(1..=0xff_ffff))]
    pub argon2_parallelism: u32,

    /// Threads that hash passwords; each needs ARGON2_MEMORY_KIB of memory [default: one for each
    /// core, but no more than the control group's limits of memory and processes leave room for; a
    /// line of the log tells how many, and why]
    #[arg(long, env, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub hash_threads: Option<u16>,

    /// How many passwords may wait to be hashed before more are refused with 503
    #[arg(long, env, default_value_t = 128, value_name = "N",
          value_parser = clap::value_parser!(u16).range(1..))]
    pub hash_queue: u16,
}

impl CommonConfig {
    /// Settings that are valid separately but in conflict: one line each.
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if let Err(error) = check_filter(&self.log) {
            problems.push(error.to_string());
        }
        problems.extend(self.traces.problems());
        let Self { bus, sealing_key, .. } = self;
        let pairs = [
            ("AMQP_URL", bus.amqp_url.is_some() && bus.amqp_url_file.is_some()),
            (
                "SEALING_KEY",
                sealing_key.sealing_key.is_some() && sealing_key.sealing_key_file.is_some(),
            ),
        ];
        for (name, _) in pairs.into_iter().filter(|(_, are_both_set)| *are_both_set) {
            problems.push(format!("set {name} or {name}_FILE, not both"));
        }
        problems
    }

    /// What is wrong with secrets and their files, which are read for that: one line each.
    pub fn secret_problems(&self) -> Vec<String> {
        let sealing = SealingKeys::check_config(&self.sealing_key, &self.data_dir);
        let sealing = sealing.err().map(|error| ErrorChain(&error).to_string());
        sealing.into_iter().chain(self.bus.problem()).collect()
    }
}

impl HashingArgs {
    /// Settings that are valid separately but in conflict: one line each.
    pub fn problems(&self) -> Vec<String> {
        let least = self.argon2_parallelism.saturating_mul(8);
        let is_too_little = self.argon2_memory_kib < least;
        let problem = is_too_little.then(|| {
            format!(
                "ARGON2_MEMORY_KIB must be 8 times ARGON2_PARALLELISM at least, that is {least}"
            )
        });
        problem.into_iter().collect()
    }
}

fn parse_window(text: &str) -> Result<Duration, String> {
    let window: Duration = text.parse().map_err(|error| format!("{error}"))?;
    if window.as_secs() > 0 {
        return Ok(window);
    }
    Err("must be 1s or more: LOGIN_FAILURES_PER_NAME=0 and LOGIN_FAILURES_PER_ADDRESS=0 turn the \
         limits off"
        .to_owned())
}

impl BusConfig {
    fn problem(&self) -> Option<String> {
        let url = match self.url() {
            Ok(url) => url?,
            Err(error) => return Some(format!("AMQP_URL_FILE: {}", ErrorChain(&error))),
        };
        let error = AmqpBus::check(&url).err()?;
        Some(match (&self.amqp_url, &self.amqp_url_file) {
            (None, Some(path)) => format!("AMQP_URL_FILE {}: {error}", path.display()),
            _ => format!("AMQP_URL: {error}"),
        })
    }

    /// The broker's URL, from the setting or its file.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn url(&self) -> Result<Option<SecretString>, KeyFileError> {
        secret_or_file(self.amqp_url.as_ref(), self.amqp_url_file.as_ref())
    }
}

/// A secret from its setting or else from its file, without the line's end.
///
/// # Errors
/// The file cannot be read.
pub fn secret_or_file(
    secret: Option<&SecretString>,
    file: Option<&PathBuf>,
) -> Result<Option<SecretString>, KeyFileError> {
    match (secret, file) {
        (Some(secret), _) => Ok(Some(secret.expose_secret().into())),
        (None, Some(path)) => {
            let content = String::from_utf8_lossy(&read_secret_file(path)?).into_owned();
            Ok(Some(content.trim_end_matches(['\r', '\n']).into()))
        }
        (None, None) => Ok(None),
    }
}

/// Where to listen: an address with a port, or a name with a port and all addresses that it has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenAddress(Vec<SocketAddr>);

impl ListenAddress {
    /// All addresses, those of IPv4 first.
    pub fn all(&self) -> &[SocketAddr] {
        &self.0
    }

    /// The one to be told and asked.
    pub fn first(&self) -> SocketAddr {
        self.0.first().copied().unwrap_or_else(|| ([127, 0, 0, 1], 0).into())
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let texts: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&texts.join(", "))
    }
}

impl FromStr for ListenAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let resolved = text.to_socket_addrs();
        let mut addresses: Vec<SocketAddr> = resolved
            .map_err(|error| {
                format!(
                    "not HOST:PORT such as 127.0.0.1:8001, localhost:8001 or [::1]:8001: {error}"
                )
            })?
            .collect();
        addresses.sort_unstable();
        addresses.dedup();
        if addresses.is_empty() {
            Err("the name has no address".into())
        } else {
            Ok(Self(addresses))
        }
    }
}

/// The address at which a service that listens on `listen` can be asked on this machine.
pub fn local_address(listen: SocketAddr) -> SocketAddr {
    let mut address = listen;
    if listen.ip().is_unspecified() {
        address.set_ip(match listen {
            SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    address
}

#[cfg(test)]
mod tests {
    use super::*;

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

    #[test]
    fn a_service_listens_on_addresses_and_on_names() {
        let localhost: ListenAddress = "localhost:8001".parse().unwrap();
        assert!(localhost.all().iter().all(|address| address.ip().is_loopback()));
        assert_eq!(localhost.first().port(), 8001);
        let ipv6: ListenAddress = "[::1]:80".parse().unwrap();
        assert_eq!(ipv6.to_string(), "[::1]:80");
        for bad in ["8001", "localhost", ":8001", "127.0.0.1:99999", "::1:x", ""] {
            assert!(bad.parse::<ListenAddress>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn times_have_units() {
        for (text, seconds) in [("15m", 900), ("7d", 604_800), ("1h 30m", 5400)] {
            assert_eq!(text.parse::<Duration>().unwrap().as_secs(), seconds);
        }
        for bad in ["", "15", "m", "-1s", "99999999999999999999d", "1 fortnight"] {
            assert!(bad.parse::<Duration>().is_err(), "{bad:?}");
        }
    }
    #[test]
    fn a_key_that_begins_with_a_hyphen_can_be_given_as_a_flag() {
        #[derive(clap::Parser)]
        struct Cli {
            #[command(flatten)]
            keys: SealingKeyConfig,
        }
        let key = "-QAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
        let cli = <Cli as clap::Parser>::try_parse_from(["x", "--sealing-key", key]).unwrap();
        assert_eq!(cli.keys.sealing_key.unwrap().expose_secret(), key);
    }
}
