//! `/healthz`, `/readyz` and `/metrics`.

use std::fmt;
use std::sync::Arc;

use actix_web::http::header::{self, HeaderMap};
use actix_web::{HttpRequest, HttpResponse, web};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::encoding::text::{encode_eof, encode_registry};
use prometheus_client::registry::Registry;
use serde::Serialize;
use utoipa::ToSchema;

use super::exposition::MetricsFormat;
use super::methods::{GET_OR_HEAD, get_or_head, resource};
use super::problem::Problem;
use crate::telemetry::{encode_gauge, encode_process};

/// The paths.
pub(super) const PATHS: [&str; 3] = ["/healthz", "/readyz", "/metrics"];

/// Whether a service can do its work.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReadinessReport {
    /// Why it cannot; empty if it can.
    pub reasons: Vec<String>,
    /// Problems that do not stop the service from working.
    pub degraded: Vec<String>,
    /// Which process publishes the log that this service writes, if it writes one and knows.
    pub publisher: Option<String>,
}

/// Reports the current readiness.
pub type Readiness = Arc<dyn Fn() -> ReadinessReport + Send + Sync>;

/// The data behind the probes.
#[derive(Clone)]
pub struct Probes {
    /// For `/readyz`.
    pub readiness: Readiness,
    /// For `/metrics`.
    pub registry: Arc<Registry>,
}

/// What `/readyz` answers, as metrics.
struct ReadinessMetrics(Readiness);

impl Collector for ReadinessMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let ReadinessReport { reasons, degraded, .. } = (self.0)();
        let help = "1 if the service can do its work, 0 if not: /readyz tells why";
        encode_gauge(&mut encoder, "ready", help, reasons.is_empty().into())?;
        let help = "Problems that /readyz lists and that do not stop the service from working";
        let problems = i64::try_from(degraded.len()).unwrap_or(i64::MAX);
        encode_gauge(&mut encoder, "degraded_reasons", help, problems)
    }
}

impl fmt::Debug for ReadinessMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadinessMetrics").finish_non_exhaustive()
    }
}

/// How a service is.
#[derive(Serialize, ToSchema)]
struct ReadinessDocument<'a> {
    /// `alive`, `ready` or `not ready`
    #[schema(example = "ready")]
    status: &'static str,
    /// Why it cannot do its work
    #[schema(required = false)]
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    reasons: &'a [String],
    /// What is wrong and does not stop it
    #[schema(required = false)]
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    degraded: &'a [String],
    /// Of user_service: which process publishes the log
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    publisher: Option<&'a str>,
}

impl Probes {
    /// The probes of a service; its readiness becomes one of its metrics.
    pub fn new(readiness: Readiness, mut registry: Registry) -> Self {
        registry.register_collector(Box::new(ReadinessMetrics(readiness.clone())));
        Self { readiness, registry: Arc::new(registry) }
    }

    /// Adds the three paths.
    pub(super) fn configure(&self, config: &mut web::ServiceConfig) {
        let get = || web::route().guard(get_or_head());
        let readiness = self.readiness.clone();
        let registry = self.registry.clone();
        let healthz = resource("/healthz", GET_OR_HEAD).route(get().to(healthz));
        let readyz = resource("/readyz", GET_OR_HEAD).route(get().to(move || {
            let report = readiness();
            async move { readyz(&report) }
        }));
        let metrics =
            resource("/metrics", GET_OR_HEAD).route(get().to(move |request: HttpRequest| {
                let registry = registry.clone();
                async move { metrics(&registry, request.headers()) }
            }));
        for resource in [healthz, readyz, metrics] {
            config.service(resource);
        }
    }
}

/// Ask whether the service is alive
#[utoipa::path(
    get, path = "/healthz", operation_id = "isAlive", tag = "operation",
    responses((status = 200, description = "It answers", body = ReadinessDocument)),
)]
pub(super) async fn healthz() -> HttpResponse {
    HttpResponse::Ok().json(ReadinessDocument {
        status: "alive",
        reasons: &[],
        degraded: &[],
        publisher: None,
    })
}

/// Ask whether the service can do its work
///
/// `reasons` tell why not; `degraded` lists what is wrong and does not stop it. Proxies and orchestrators send
/// requests only to a service that is ready.
#[utoipa::path(
    get, path = "/readyz", operation_id = "isReady", tag = "operation",
    responses(
        (status = 200, description = "It can", body = ReadinessDocument),
        (status = 503, description = "It cannot, or is overloaded", body = ReadinessDocument),
    ),
)]
pub(super) fn readyz(report: &ReadinessReport) -> HttpResponse {
    let ReadinessReport { reasons, degraded, publisher } = report;
    let (mut response, status) = if reasons.is_empty() {
        (HttpResponse::Ok(), "ready")
    } else {
        (HttpResponse::ServiceUnavailable(), "not ready")
    };
    let publisher = publisher.as_deref();
    response.json(ReadinessDocument { status, reasons, degraded, publisher })
}

/// Read the metrics
///
/// In the text format of Prometheus, or in OpenMetrics if the client accepts it.
#[utoipa::path(
    get, path = "/metrics", operation_id = "readMetrics", tag = "operation",
    responses((status = 200, description = "The metrics", content(
        (String = "text/plain"), (String = "application/openmetrics-text"),
    ), headers(("Vary" = String, description = "Accept")))),
)]
pub(super) fn metrics(registry: &Registry, headers: &HeaderMap) -> Result<HttpResponse, Problem> {
    let mut text = String::new();
    let encoded = encode_registry(&mut text, registry).and_then(|()| encode_process(&mut text));
    encoded.and_then(|()| encode_eof(&mut text)).map_err(Problem::internal)?;
    let format = MetricsFormat::accepted(headers);
    Ok(HttpResponse::Ok()
        .content_type(format.content_type())
        .insert_header((header::VARY, "Accept"))
        .body(format.convert(text)))
}
