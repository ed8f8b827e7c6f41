//! How many spans there are, and what becomes of them.

use std::time::Duration;

use opentelemetry::Context;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{BatchSpanProcessor, Span, SpanData, SpanProcessor};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;

/// Clones share the counters.
#[derive(Clone, Debug)]
pub(super) struct TraceMetrics {
    ended: Counter,
    pub(super) sent: Counter,
    pub(super) failed: Counter,
}

impl TraceMetrics {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let [ended, sent, failed] = [(); 3].map(|()| Counter::default());
        let help = "Spans that were made for the collector";
        registry.register("trace_spans", help, ended.clone());
        let help = "Spans that the collector has taken";
        registry.register("trace_spans_sent", help, sent.clone());
        let help = "Spans that were lost because the collector did not take them";
        registry.register("trace_spans_failed", help, failed.clone());
        Self { ended, sent, failed }
    }
}

/// Counts spans on their way into the queue. What does not fit into it is dropped and never counted again.
#[derive(Debug)]
pub(super) struct CountedSpans {
    queue: BatchSpanProcessor,
    metrics: TraceMetrics,
}

impl CountedSpans {
    pub(super) fn new(queue: BatchSpanProcessor, metrics: TraceMetrics) -> Self {
        Self { queue, metrics }
    }
}

impl SpanProcessor for CountedSpans {
    fn on_start(&self, span: &mut Span, context: &Context) {
        self.queue.on_start(span, context);
    }

    fn on_end(&self, span: SpanData) {
        self.metrics.ended.inc();
        self.queue.on_end(span);
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.queue.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.queue.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.queue.set_resource(resource);
    }
}
