//! Sends batches of spans to a collector: OTLP over HTTP, encoded by protobuf.
//!
//! It runs on the thread of the SDK's batches, which it may block. That thread takes the next batch from a
//! bounded queue, and what does not fit is dropped: no request ever waits for a collector.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use hyper::HeaderMap;
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::transform::common::tonic::ResourceAttributesWithSchema;
use opentelemetry_proto::transform::trace::tonic::group_spans_by_resource_and_scope;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::trace::{SpanData, SpanExporter};
use prost::Message;
use tokio::runtime;
use tokio::time::{Instant, sleep, timeout_at};

use super::metrics::TraceMetrics;
use super::settings::{OtlpUrl, TracesArgs};
use crate::actors::GrowingPause;
use crate::bus::direct::{DirectError, PlainRequest};

/// How often a batch is tried.
const TRIES_MAX: u32 = 4;
/// The most characters of what a collector says.
const MESSAGE_MAX: usize = 256;

/// The way to a collector.
#[derive(Debug)]
pub(super) struct OtlpExporter {
    collector: OtlpUrl,
    /// Shown by nothing: they may contain a secret.
    headers: HeaderMap,
    /// For one batch with all its tries.
    limit: Duration,
    /// What all spans have in common, told by the SDK.
    resource: ResourceAttributesWithSchema,
    metrics: TraceMetrics,
    /// The last batch was not taken.
    is_failing: AtomicBool,
}

/// Why a batch was not taken.
#[derive(Debug, thiserror::Error)]
enum ExportError {
    #[error("there is no runtime to send with")]
    Runtime(#[from] io::Error),
    #[error(transparent)]
    Unreachable(#[from] DirectError),
    #[error("the collector did not answer in time")]
    TimedOut,
    #[error("the collector answered {0}")]
    Status(u16),
    #[error("the collector has refused {spans} spans: {message}")]
    Refused { spans: u64, message: String },
}

impl ExportError {
    /// Whether it may be another time: by the specification of OTLP, with these statuses alone.
    fn may_pass(&self) -> bool {
        match self {
            Self::Unreachable(_) => true,
            Self::Status(status) => matches!(status, 429 | 502 | 503 | 504),
            Self::Runtime(_) | Self::TimedOut | Self::Refused { .. } => false,
        }
    }
}

impl OtlpExporter {
    pub(super) fn new(collector: OtlpUrl, args: &TracesArgs, metrics: TraceMetrics) -> Self {
        Self {
            collector,
            headers: args.headers(),
            limit: args.limit(),
            resource: ResourceAttributesWithSchema::default(),
            metrics,
            is_failing: AtomicBool::new(false),
        }
    }

    fn encode(&self, batch: Vec<SpanData>) -> Bytes {
        let resource_spans = group_spans_by_resource_and_scope(batch, &self.resource);
        ExportTraceServiceRequest { resource_spans }.encode_to_vec().into()
    }

    /// Waits until the batch is taken or given up.
    fn deliver(&self, body: &Bytes) -> Result<(), ExportError> {
        // The SDK's thread has none.
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(self.send(body))
    }

    async fn send(&self, body: &Bytes) -> Result<(), ExportError> {
        let deadline = Instant::now() + self.limit;
        let mut growing = GrowingPause::default();
        for _ in 1..TRIES_MAX {
            let pause = growing.take(self.limit);
            match self.try_send(body, deadline).await {
                Err(error) if error.may_pass() && Instant::now() + pause < deadline => {
                    sleep(pause).await;
                }
                outcome => return outcome,
            }
        }
        self.try_send(body, deadline).await
    }

    async fn try_send(&self, body: &Bytes, deadline: Instant) -> Result<(), ExportError> {
        let given = self.headers.iter();
        let headers = given.map(|(name, value)| (name.as_str().to_owned(), value));
        let mut headers: Vec<_> = headers
            .filter_map(|(name, value)| Some((name.into(), value.to_str().ok()?.to_owned())))
            .collect();
        headers.push(("content-type".into(), "application/x-protobuf".to_owned()));
        let path = self.collector.path.clone().into();
        let request = PlainRequest { method: "POST", path, headers, body: body.clone() };
        let sending = timeout_at(deadline, self.collector.host.exchange(request));
        let answer = sending.await.map_err(|_| ExportError::TimedOut)??;
        if !(200..300).contains(&answer.status) {
            return Err(ExportError::Status(answer.status));
        }
        refusal(&answer.body).map_or(Ok(()), Err)
    }

    /// Counts, and logs when it begins to fail or to work.
    fn note(&self, spans: u64, outcome: Result<(), ExportError>) -> OTelSdkResult {
        let was_failing = self.is_failing.swap(outcome.is_err(), Ordering::Relaxed);
        let Err(error) = outcome else {
            self.metrics.sent.inc_by(spans);
            if was_failing {
                tracing::info!(collector = %self.collector, "traces are sent again");
            }
            return Ok(());
        };
        let refused = match &error {
            ExportError::Refused { spans: refused, .. } => spans.min(*refused),
            _ => spans,
        };
        self.metrics.failed.inc_by(refused);
        self.metrics.sent.inc_by(spans - refused);
        if !was_failing {
            tracing::warn!(
                collector = %self.collector,
                error = &error as &dyn std::error::Error,
                "spans are lost: the collector does not take them"
            );
        }
        Err(OTelSdkError::InternalFailure(error.to_string()))
    }
}

impl SpanExporter for OtlpExporter {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len() as u64;
        let body = self.encode(batch);
        self.note(spans, self.deliver(&body))
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.resource = resource.into();
    }
}

/// What the collector has not taken of a request that it answers with 200. An answer that cannot be read
/// says nothing.
fn refusal(answer: &[u8]) -> Option<ExportError> {
    let partial = ExportTraceServiceResponse::decode(answer).ok()?.partial_success?;
    let spans = u64::try_from(partial.rejected_spans).ok().filter(|spans| *spans > 0)?;
    let message = partial.error_message.chars().take(MESSAGE_MAX).collect();
    Some(ExportError::Refused { spans, message })
}
