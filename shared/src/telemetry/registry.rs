//! The registry of a service's metrics.

use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

/// Comes before the name of each metric that is ours.
const PREFIX: &str = "lockstep";

/// A registry whose metrics are named `lockstep_…`, with the name and the version of the service.
pub fn registry_of(service: &'static str) -> Registry {
    let mut registry = Registry::with_prefix(PREFIX);
    let build = Info::new([("service", service), ("version", env!("CARGO_PKG_VERSION"))]);
    registry.register("build", "The service and its version", build);
    registry
}
