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

use super::exposition::MetricsFormat;
use super::methods::{GET_OR_HEAD, get_or_head, resource};
use super::problem::{Problem, ProblemKind};
use crate::telemetry::{encode_gauge, encode_process};

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
    readiness: Readiness,
    /// For `/metrics`.
    registry: Arc<Registry>,
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

#[derive(Serialize)]
struct ReadinessDocument<'a> {
    status: &'static str,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    reasons: &'a [String],
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    degraded: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    publisher: Option<&'a str>,
}

impl Probes {
    /// The probes of a service; its readiness becomes one of its metrics.
    pub fn new(readiness: Readiness, mut registry: Registry) -> Self {
        registry.register_collector(Box::new(ReadinessMetrics(readiness.clone())));
        Self { readiness, registry: Arc::new(registry) }
    }

    /// Adds the three paths, and one path for each kind of problem.
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
        let problems = resource("/problems/{slug}", GET_OR_HEAD).route(get().to(describe_problem));
        for resource in [healthz, readyz, metrics, problems] {
            config.service(resource);
        }
    }
}

async fn healthz() -> HttpResponse {
    HttpResponse::Ok().json(ReadinessDocument {
        status: "alive",
        reasons: &[],
        degraded: &[],
        publisher: None,
    })
}

fn readyz(report: &ReadinessReport) -> HttpResponse {
    let ReadinessReport { reasons, degraded, publisher } = report;
    let (mut response, status) = if reasons.is_empty() {
        (HttpResponse::Ok(), "ready")
    } else {
        (HttpResponse::ServiceUnavailable(), "not ready")
    };
    let publisher = publisher.as_deref();
    response.json(ReadinessDocument { status, reasons, degraded, publisher })
}

fn metrics(registry: &Registry, headers: &HeaderMap) -> Result<HttpResponse, Problem> {
    let mut text = String::new();
    let encoded = encode_registry(&mut text, registry).and_then(|()| encode_process(&mut text));
    encoded.and_then(|()| encode_eof(&mut text)).map_err(Problem::internal)?;
    let format = MetricsFormat::accepted(headers);
    Ok(HttpResponse::Ok()
        .content_type(format.content_type())
        .insert_header((header::VARY, "Accept"))
        .body(format.convert(text)))
}

/// The documentation that a problem's `type` refers to.
async fn describe_problem(slug: web::Path<String>) -> Result<HttpResponse, Problem> {
    let kind = ProblemKind::ALL.iter().find(|kind| kind.slug() == slug.as_str());
    let kind = kind
        .ok_or_else(|| Problem::new(ProblemKind::NoSuchPath, "no kind of problem has this name"))?;
    let (status, title, meaning) = (kind.status(), kind.title(), kind.meaning());
    Ok(HttpResponse::Ok()
        .content_type("text/plain; charset=utf-8")
        .body(format!("{title} ({status})\n\n{meaning}\n")))
}
