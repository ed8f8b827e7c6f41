//! The line of the access log: one for each answer, whoever made it.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use super::context::RequestContext;
use super::metrics::HttpMetrics;
use super::probes;
use super::problem::shortened;
use super::shown_path::shown;

/// The most characters of the path in a log line, and of the error with its causes.
const MAX_PATH: usize = 256;
const MAX_CAUSE: usize = 1024;
/// The most characters of the method: HTTP allows any word.
const MAX_METHOD: usize = 16;
/// Stands for the route of a request that no resource was found for.
const NO_ROUTE: &str = "unknown";

/// What is known of a request and its answer.
pub(super) struct AccessLine<'a> {
    /// Empty if it could not be read.
    pub(super) method: &'a str,
    /// The pattern of the resource, if one was found.
    pub(super) route: Option<&'static str>,
    /// Empty if it could not be read. Only what is ours of it is written.
    pub(super) path: &'a str,
    pub(super) status: u16,
    /// Since its head had arrived.
    pub(super) latency: Duration,
    /// The length of the answer's body, if it is known before it is sent.
    pub(super) bytes: Option<u64>,
    /// Where the request comes from, as [`super::ClientAddress`] knows it.
    pub(super) client: Option<IpAddr>,
    pub(super) context: &'a RequestContext,
    /// The error behind the answer, with all its causes.
    pub(super) cause: Option<&'a str>,
}

impl AccessLine<'_> {
    /// Writes the line, and counts the request. The level says what to do: see docs/logging.md.
    pub(super) fn write(&self, metrics: Option<&HttpMetrics>) {
        let Self { method, route, status, bytes, .. } = *self;
        if let Some(metrics) = metrics {
            let seconds = self.latency.as_secs_f64();
            metrics.observe(method, route.unwrap_or(NO_ROUTE), status, seconds);
        }
        let RequestContext { request_id, traceparent } = self.context;
        let traceparent = traceparent.as_deref();
        let path = shown(route, self.path);
        let (path, method) = (&*shortened(&path, MAX_PATH), &*shortened(method, MAX_METHOD));
        let latency_us = u64::try_from(self.latency.as_micros()).unwrap_or(u64::MAX);
        let client = self.client.map(Address).map(tracing::field::display);
        let cause = self.cause.map(|cause| shortened(cause, MAX_CAUSE));
        let cause = cause.as_deref();
        macro_rules! line {
            ($level:ident) => {
                tracing::$level!(
                    target: "access", method, route, path, status, latency_us, bytes, client,
                    request_id, traceparent, cause
                )
            };
        }
        match status {
            // Refused on purpose: a client that floods the service must not flood the alarms, too. Of
            // a full disk the writer tells once.
            503 | 507 => line!(warn),
            500.. => line!(error),
            // Machines ask these every few seconds: a line for each good answer would hide the others.
            200 if probes::PATHS.contains(&path) => line!(debug),
            _ => line!(info),
        }
    }
}

/// An address as its `Display` shows it, which formats the numbers of IPv4 one by one: 3,000 of the
/// 38,000 instructions of a verification, because every line has an address.
struct Address(IpAddr);

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let IpAddr::V4(address) = self.0 else { return self.0.fmt(f) };
        let mut text = String::with_capacity("255.255.255.255".len());
        for octet in address.octets() {
            if !text.is_empty() {
                text.push('.');
            }
            text.push_str(itoa::Buffer::new().format(octet));
        }
        f.write_str(&text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::test_log::logged_by;

    #[test]
    fn an_address_is_shown_as_everywhere() {
        for text in ["0.0.0.0", "127.0.0.1", "255.255.255.255", "::1", "2001:db8::7"] {
            assert_eq!(Address(text.parse().unwrap()).to_string(), text);
        }
    }

    async fn line(status: u16, path: &str, cause: Option<&str>) -> String {
        let context = RequestContext { request_id: "r1".to_owned(), traceparent: None };
        logged_by(async {
            let line = AccessLine {
                method: "GET",
                route: Some("/users/{user_id}"),
                path,
                status,
                latency: Duration::from_micros(42),
                bytes: Some(17),
                client: Some([127, 0, 0, 1].into()),
                context: &context,
                cause,
            };
            line.write(None);
        })
        .await
    }

    #[tokio::test]
    async fn a_line_has_all_that_is_known_of_a_request_and_nothing_that_a_client_invents() {
        assert_eq!(
            line(404, "/users/hunter22", Some("no such user: gone")).await,
            " INFO access: method=\"GET\" route=\"/users/{user_id}\" path=\"/users/*\" status=404 \
             latency_us=42 bytes=17 client=127.0.0.1 request_id=\"r1\" cause=\"no such user: gone\"\n"
        );
    }

    #[tokio::test]
    async fn the_level_says_who_has_to_act() {
        for (status, path, level) in [
            (200, "/healthz", ""),
            (200, "/users/1", " INFO"),
            (401, "/users/1", " INFO"),
            (503, "/users/1", " WARN"),
            (507, "/users/1", " WARN"),
            (500, "/users/1", "ERROR"),
        ] {
            assert!(line(status, path, None).await.starts_with(level), "{status}");
        }
    }
}
