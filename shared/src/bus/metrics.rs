//! The metrics of a bus.

use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;

use super::Bus;
use crate::telemetry::encode_gauge;

/// Shows at each scrape whether the bus can be used.
pub struct BusMetrics(pub Arc<dyn Bus>);

impl Collector for BusMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let help = "1 if the last attempt to use the broker worked, else 0; 1 without a broker";
        encode_gauge(&mut encoder, "broker_connected", help, self.0.status().is_connected().into())
    }
}

impl fmt::Debug for BusMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BusMetrics").finish_non_exhaustive()
    }
}
