//! `DATABASE_URL`.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode, TargetSessionAttrs};

/// How long connecting to one host may take. More than the TCP connection's second SYN, 1 s later.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// Unacknowledged data of ours is given up after this time, which notices a host that has gone while
/// we wait for its answer. The system's own limit is about 15 minutes.
const UNACKNOWLEDGED: Duration = Duration::from_secs(10);
/// An idle connection is probed after this time, and then every [`KEEPALIVE_INTERVAL`]. The system
/// waits two hours.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(10);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(3);
const KEEPALIVE_RETRIES: u32 = 3;

/// The URL cannot be used. Its content stays secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidDatabaseUrl {
    /// It cannot be parsed.
    #[error(
        "not of the form postgres://user:password@host:port/database, or with an option that is \
         not known"
    )]
    Form,
    /// TLS without verification gives no protection.
    #[error("sslmode must be verify-full, or disable where the network is trusted")]
    SslMode,
    /// It names no host or no user.
    #[error("the host, the user or the database is missing")]
    Incomplete,
}

/// Whether this URL can be used.
///
/// # Errors
/// It cannot.
pub fn check_url(url: &SecretString) -> Result<(), InvalidDatabaseUrl> {
    parse(url).map(drop)
}

/// Reads the URL. TLS is off only where the URL says so or all hosts are this machine; otherwise the
/// server's certificate is verified for its name. Of several hosts the one that can be written is used.
pub(super) fn parse(url: &SecretString) -> Result<Config, InvalidDatabaseUrl> {
    let text = url.expose_secret();
    if !["postgres://", "postgresql://"].iter().any(|scheme| text.starts_with(scheme)) {
        return Err(InvalidDatabaseUrl::Form);
    }
    let (rest, ssl_mode) = take_ssl_mode(text)?;
    let mut config: Config = rest.parse().map_err(|_| InvalidDatabaseUrl::Form)?;
    if config.get_hosts().is_empty() || config.get_user().is_none() || config.get_dbname().is_none()
    {
        return Err(InvalidDatabaseUrl::Incomplete);
    }
    let is_here = config.get_hosts().iter().all(is_this_machine);
    config.ssl_mode(ssl_mode.unwrap_or(if is_here { SslMode::Disable } else { SslMode::Require }));
    if config.get_hosts().len() > 1 {
        // Reads must not come from a standby, which is behind.
        config.target_session_attrs(TargetSessionAttrs::ReadWrite);
    }
    set_time_limits(&mut config);
    Ok(config)
}

fn set_time_limits(config: &mut Config) {
    if config.get_connect_timeout().is_none() {
        config.connect_timeout(CONNECT_TIMEOUT);
    }
    config
        .tcp_user_timeout(UNACKNOWLEDGED)
        .keepalives(true)
        .keepalives_idle(KEEPALIVE_IDLE)
        .keepalives_interval(KEEPALIVE_INTERVAL)
        .keepalives_retries(KEEPALIVE_RETRIES);
}

/// The client library knows no `verify-full`: it requires TLS, and what is required is verified.
fn take_ssl_mode(url: &str) -> Result<(String, Option<SslMode>), InvalidDatabaseUrl> {
    let Some((base, query)) = url.split_once('?') else { return Ok((url.to_owned(), None)) };
    let (ssl_modes, others): (Vec<&str>, Vec<&str>) =
        query.split('&').partition(|option| option.starts_with("sslmode="));
    let ssl_mode = match ssl_modes.last() {
        None => None,
        Some(&"sslmode=disable") => Some(SslMode::Disable),
        Some(&"sslmode=verify-full") => Some(SslMode::Require),
        Some(_) => return Err(InvalidDatabaseUrl::SslMode),
    };
    let others = others.join("&");
    let rest = if others.is_empty() { base.to_owned() } else { format!("{base}?{others}") };
    Ok((rest, ssl_mode))
}

fn is_this_machine(host: &Host) -> bool {
    match host {
        Host::Tcp(name) => ["localhost", "127.0.0.1", "::1"].contains(&name.as_str()),
        Host::Unix(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(url: &str) -> Result<Config, InvalidDatabaseUrl> {
        parse(&url.into())
    }

    #[test]
    fn tls_is_verified_unless_the_url_or_the_place_says_that_there_is_none() {
        for (url, ssl_mode) in [
            ("postgres://u:p@db/l", SslMode::Require),
            ("postgres://u:p@db/l?sslmode=verify-full", SslMode::Require),
            ("postgres://u:p@db/l?sslmode=disable&application_name=x", SslMode::Disable),
            ("postgresql://u:p@127.0.0.1:5433/l", SslMode::Disable),
            ("postgres://u:p@localhost/l?sslmode=verify-full", SslMode::Require),
            ("postgres://u:p@localhost,db/l", SslMode::Require),
        ] {
            assert_eq!(parsed(url).unwrap().get_ssl_mode(), ssl_mode, "{url}");
        }
        let refused = parsed("postgres://u:p@db/l?sslmode=require").unwrap_err();
        assert_eq!(refused, InvalidDatabaseUrl::SslMode);
    }

    #[test]
    fn of_several_hosts_the_one_that_can_be_written_is_used() {
        let config = parsed("postgres://u:p@a:1,b:2/l").unwrap();
        assert_eq!((config.get_hosts().len(), config.get_ports()), (2, &[1, 2][..]));
        assert_eq!(config.get_target_session_attrs(), TargetSessionAttrs::ReadWrite);
    }

    #[test]
    fn what_is_wrong_is_told_without_the_password() {
        for bad in [
            "mysql://u:secret@db/l",
            "postgres://u:secret@db:port/l",
            "postgres://u:secret@db/l?no_such_option=1",
            "postgres://:secret@/",
            "postgres://u:secret@db",
            "host=db password=secret",
            "",
        ] {
            let error = parsed(bad).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("secret"), "{bad}: {error}");
        }
    }
}
