//! `/healthz`, `/readyz` and `/metrics`.

use std::sync::Arc;

use actix_web::http::header::{self, HeaderMap};
use actix_web::{HttpRequest, HttpResponse, web};
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use serde::Serialize;

use super::exposition::MetricsFormat;
use super::methods::{GET_OR_HEAD, get_or_head, resource};
use super::problem::{Problem, ProblemKind};

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
    encode(&mut text, registry).map_err(Problem::internal)?;
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
