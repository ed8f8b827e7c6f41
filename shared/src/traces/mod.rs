//! Traces by OpenTelemetry: where a request spends its time, in both services.
//!
//! A request's span is the parent of its questions to actors. Its `traceparent` goes into the record of the
//! log, from there into the event, and with it to the consumer, whose spans join the same trace. Spans are
//! sent in batches, by a thread of their own, to a collector: OTLP over HTTP. Without a collector in the
//! settings there are no spans, and a request costs a look at an `Option` more.

mod events;
mod exporter;
mod metrics;
mod names;
mod request;
mod settings;
mod step;
mod traceparent;

use std::sync::Arc;
use std::time::Duration;

use data_encoding::HEXLOWER;
use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::resource::TelemetryResourceDetector;
use opentelemetry_sdk::trace::{BatchSpanProcessor, SdkTracer, SdkTracerProvider};
use prometheus_client::registry::Registry;

use crate::secrets::random_bytes;
use exporter::OtlpExporter;
use metrics::{CountedSpans, TraceMetrics};

pub use events::{Applying, RecordCause, Sending};
pub(crate) use request::{AnswerSeen, RequestSpan};
pub use settings::{OtlpUrl, TracesArgs, TracesSampler};
pub(crate) use step::Step;
pub(crate) use traceparent::is_traceparent;

/// As many producers as a batch of events has are linked to.
const LINKS_MAX: u32 = 512;
/// How long the last spans may take to reach the collector.
const STOP_LIMIT: Duration = Duration::from_secs(3);

/// Where the spans of a service go. Clones are the same; the default is that there are none.
#[derive(Clone, Debug, Default)]
pub struct Traces(Option<Arc<Tracing>>);

/// The way to a collector.
#[derive(Debug)]
struct Tracing {
    /// Owns the thread that sends.
    provider: SdkTracerProvider,
    tracer: SdkTracer,
}

impl Traces {
    /// Starts to send spans, if the settings name a collector. Registers the metrics in any case.
    pub fn start(args: &TracesArgs, service: &'static str, registry: &mut Registry) -> Self {
        let metrics = TraceMetrics::register(registry);
        let Some(collector) = args.collector() else { return Self(None) };
        tracing::info!(%collector, "traces are sent");
        let exporter = OtlpExporter::new(collector, args, metrics.clone());
        let batches =
            BatchSpanProcessor::builder(exporter).with_batch_config(args.batches()).build();
        let provider = SdkTracerProvider::builder()
            .with_span_processor(CountedSpans::new(batches, metrics))
            .with_sampler(args.sampler())
            .with_max_links_per_span(LINKS_MAX)
            .with_resource(resource(args, service))
            .build();
        let tracer = provider.tracer(service);
        Self(Some(Arc::new(Tracing { provider, tracer })))
    }

    /// Whether there is a collector.
    pub(crate) fn are_on(&self) -> bool {
        self.0.is_some()
    }

    /// Sends the last spans. Returns when they have arrived, or when that has taken too long.
    pub async fn stop(&self) {
        let Some(tracing) = &self.0 else { return };
        let provider = tracing.provider.clone();
        // It waits for the thread that sends.
        let stopping =
            tokio::task::spawn_blocking(move || provider.shutdown_with_timeout(STOP_LIMIT));
        if !matches!(stopping.await, Ok(Ok(()))) {
            tracing::warn!("the last spans did not reach the collector in time");
        }
    }
}

/// What is the same for all spans of a service.
fn resource(args: &TracesArgs, service: &'static str) -> Resource {
    let defaults = [
        KeyValue::new(names::SERVICE_NAMESPACE, "lockstep"),
        KeyValue::new(names::SERVICE_NAME, service),
        KeyValue::new(names::SERVICE_VERSION, env!("CARGO_PKG_VERSION")),
        KeyValue::new(names::SERVICE_INSTANCE_ID, HEXLOWER.encode(&random_bytes::<16>())),
    ];
    Resource::builder_empty()
        .with_detector(Box::new(TelemetryResourceDetector))
        .with_attributes(defaults)
        .with_attributes(args.resource_attributes())
        .build()
}
