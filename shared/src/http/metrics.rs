//! The metrics of requests.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

/// Counts requests and times them, by route. Clones share the counters.
#[derive(Clone)]
pub struct HttpMetrics {
    requests: Family<RequestLabels, Counter>,
    seconds: Family<RouteLabels, Histogram>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    method: &'static str,
    route: &'static str,
    status: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteLabels {
    method: &'static str,
    route: &'static str,
}

impl HttpMetrics {
    /// Registers them.
    pub fn register(registry: &mut Registry) -> Self {
        // 50 µs to 13 s.
        let new_histogram = || Histogram::new(exponential_buckets(0.000_05, 2.0, 18));
        let metrics = Self {
            requests: Family::default(),
            seconds: Family::new_with_constructor(new_histogram),
        };
        let (requests, seconds) = (metrics.requests.clone(), metrics.seconds.clone());
        registry.register("http_requests", "Requests answered", requests);
        let help = "Time to answer a request";
        registry.register_with_unit("http_request_duration", help, Unit::Seconds, seconds);
        metrics
    }

    /// Notes one answer. `route` is the pattern, not the path, so that its values are few.
    pub fn observe(&self, method: &str, route: &'static str, status: u16, seconds: f64) {
        let method = known_method(method);
        self.seconds.get_or_create(&RouteLabels { method, route }).observe(seconds);
        self.requests.get_or_create(&RequestLabels { method, route, status }).inc();
    }
}

/// Clients can invent methods; the number of label values must stay bounded.
pub(super) fn known_method(method: &str) -> &'static str {
    const KNOWN: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"];
    KNOWN.into_iter().find(|known| *known == method).unwrap_or("OTHER")
}

#[cfg(test)]
mod tests {
    use super::*;
    use prometheus_client::encoding::text::encode;

    #[test]
    fn a_request_is_counted_by_method_route_and_status_whatever_clients_invent() {
        let mut registry = Registry::default();
        let metrics = HttpMetrics::register(&mut registry);
        for (method, status) in [("GET", 200), ("GET", 200), ("BREW", 405), ("STEEP", 405)] {
            metrics.observe(method, "/users", status, 0.001);
        }
        let mut text = String::new();
        encode(&mut text, &registry).unwrap();
        for line in [
            "http_requests_total{method=\"GET\",route=\"/users\",status=\"200\"} 2\n",
            "http_requests_total{method=\"OTHER\",route=\"/users\",status=\"405\"} 2\n",
            "http_request_duration_seconds_count{method=\"OTHER\",route=\"/users\"} 2\n",
        ] {
            assert!(text.contains(line), "{text}");
        }
    }
}
