//! Where the figures of a sample come from: the metrics of this process, and those of every replica of
//! auth_service.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use serde::Serialize;
use shared::bus::direct::{DirectUrl, PlainRequest};
use shared::bus::{Bus, BusStatus};
use shared::clock::Clock;
use shared::http::Readiness;
use shared::telemetry::ErrorChain;
use tokio::time::timeout;

use super::figures::{figures, replica_name};
use crate::auth_service_client::AuthServiceAddress;

/// How long a replica may take to tell its metrics.
const WAIT_MAX: Duration = Duration::from_millis(900);
/// How many replicas are asked.
const REPLICAS_MAX: usize = 16;

/// What a sample is made from.
#[derive(Clone)]
pub struct Sources {
    /// The metrics of this process.
    pub registry: Arc<Registry>,
    /// What `/readyz` tells.
    pub readiness: Readiness,
    /// The connection to the broker.
    pub bus: Arc<dyn Bus>,
    /// Where the replicas of auth_service are.
    pub auth_service: AuthServiceAddress,
    /// The time that the page shows.
    pub clock: Clock,
}

#[derive(Serialize)]
struct Document {
    /// Milliseconds since 1970.
    time_ms: i64,
    figures: BTreeMap<String, f64>,
    broker: Broker,
    /// What `/readyz` names.
    problems: Vec<String>,
    replicas: Vec<Replica>,
}

#[derive(Serialize)]
struct Broker {
    is_connected: bool,
    /// The standalone binary has none.
    is_needed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    cause: Option<String>,
}

#[derive(Serialize)]
struct Replica {
    /// Absent while it does not answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    address: String,
    figures: BTreeMap<String, f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
}

impl Sources {
    /// What is seen now, as JSON.
    pub(super) async fn sample(&self) -> String {
        let mut text = String::new();
        // Writing to a text cannot fail.
        let _ = encode(&mut text, &self.registry);
        let report = (self.readiness)();
        let document = Document {
            time_ms: self.clock.unix_ms(),
            figures: figures(&text),
            broker: self.broker(),
            problems: [report.reasons, report.degraded].concat(),
            replicas: self.replicas().await,
        };
        serde_json::to_string(&document).unwrap_or_default()
    }

    fn broker(&self) -> Broker {
        let is_needed = self.bus.reaches_other_processes();
        match self.bus.status() {
            BusStatus::Connected => Broker { is_connected: true, is_needed, cause: None },
            BusStatus::Down { cause } => {
                Broker { is_connected: false, is_needed, cause: Some(cause) }
            }
        }
    }

    async fn replicas(&self) -> Vec<Replica> {
        let Some(url) = self.auth_service.get() else { return Vec::new() };
        match url.addresses().await {
            Ok(addresses) => {
                let asked = addresses.into_iter().take(REPLICAS_MAX);
                join_all(asked.map(|address| replica(url, address))).await
            }
            Err(error) => vec![unknown(url.to_string(), ErrorChain(&error).to_string())],
        }
    }
}

async fn replica(url: &DirectUrl, at: std::net::SocketAddr) -> Replica {
    let request =
        PlainRequest { method: "GET", path: "/metrics".into(), ..PlainRequest::default() };
    let address = at.to_string();
    match timeout(WAIT_MAX, url.exchange_at(at, request)).await {
        Ok(Ok(answer)) if answer.status == 200 => {
            let metrics = String::from_utf8_lossy(&answer.body);
            let name = replica_name(&metrics).map(str::to_owned);
            Replica { name, address, figures: figures(&metrics), problem: None }
        }
        Ok(Ok(answer)) => unknown(address, format!("/metrics answered {}", answer.status)),
        Ok(Err(error)) => unknown(address, ErrorChain(&error).to_string()),
        Err(_) => unknown(address, format!("no answer within {WAIT_MAX:?}")),
    }
}

fn unknown(address: String, problem: String) -> Replica {
    Replica { name: None, address, figures: BTreeMap::new(), problem: Some(problem) }
}
