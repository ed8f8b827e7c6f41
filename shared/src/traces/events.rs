//! Spans of events: a record is sent by one service and applied by the other.
//!
//! A consumer applies many records in one transaction, which belongs to no single trace. So there is a span
//! for the transaction, with a link to what sent each record, and one for each record, in its own trace.

use contract::topology::USERS_EXCHANGE;
use contract::{LogRecord, Position};
use opentelemetry::trace::{
    FutureExt, Link, Span, SpanContext, SpanKind, Status, TraceContextExt, Tracer,
};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::trace::Span as SdkSpan;

use super::{Traces, names, traceparent};
use crate::bus::Bus;

/// Records on their way to the bus.
pub struct Sending(Vec<SdkSpan>);

/// Records that are being applied, in one transaction.
pub struct Applying {
    /// Of the transaction.
    batch: Context,
    records: Vec<SdkSpan>,
}

/// Where a record comes from.
#[derive(Clone, Debug)]
pub struct RecordCause {
    /// The record.
    pub position: Position,
    /// The trace context in which it was sent.
    pub traceparent: String,
}

impl Traces {
    /// Begins a span for each of the records that belongs to a trace, and makes it the one that the record's
    /// event names.
    pub fn sending<'r>(
        &self,
        bus: &dyn Bus,
        records: impl Iterator<Item = &'r mut LogRecord>,
    ) -> Sending {
        let Some(tracing) = &self.0 else { return Sending(Vec::new()) };
        let mut spans = Vec::new();
        for record in records {
            let Some(parent) = sampled(record.traceparent.as_deref()) else { continue };
            let routing_key =
                KeyValue::new(names::ROUTING_KEY, record.kind.routing_key().to_owned());
            let id = KeyValue::new(names::MESSAGING_MESSAGE_ID, record.position.hash.to_string());
            let builder = tracing.tracer.span_builder(format!("send {USERS_EXCHANGE}"));
            let builder = builder
                .with_kind(SpanKind::Producer)
                .with_attributes(described(bus, "send", "send").chain([id, routing_key]));
            let outside = Context::new().with_remote_span_context(parent);
            let span = builder.start_with_context(&tracing.tracer, &outside);
            record.traceparent = Some(traceparent::text_of(span.span_context()));
            spans.push(span);
        }
        Sending(spans)
    }

    /// Begins the spans of records that are applied together. `None` if none belongs to a trace.
    pub fn applying(&self, bus: &dyn Bus, causes: &[RecordCause]) -> Option<Applying> {
        let tracing = self.0.as_ref()?;
        let senders: Vec<(&RecordCause, SpanContext)> = causes
            .iter()
            .filter_map(|cause| Some((cause, sampled(Some(&cause.traceparent))?)))
            .collect();
        if senders.is_empty() {
            return None;
        }
        let link = |context: &SpanContext| Link::with_context(context.clone());
        let count = i64::try_from(causes.len()).unwrap_or(i64::MAX);
        let count = KeyValue::new(names::MESSAGING_BATCH_COUNT, count);
        let builder = tracing.tracer.span_builder(format!("apply {USERS_EXCHANGE}"));
        let batch = builder
            .with_kind(SpanKind::Consumer)
            .with_attributes(described(bus, "apply", "process").chain([count]))
            .with_links(senders.iter().map(|(_, context)| link(context)).collect())
            .start_with_context(&tracing.tracer, &Context::new());
        let to_batch = batch.span_context().clone();
        let begin = |(cause, sender): (&RecordCause, SpanContext)| {
            let id = cause.position.hash.to_string();
            let id = KeyValue::new(names::MESSAGING_MESSAGE_ID, id);
            let builder = tracing.tracer.span_builder(format!("process {USERS_EXCHANGE}"));
            builder
                .with_kind(SpanKind::Consumer)
                .with_attributes(described(bus, "process", "process").chain([id]))
                .with_links(vec![link(&to_batch)])
                .start_with_context(
                    &tracing.tracer,
                    &Context::new().with_remote_span_context(sender),
                )
        };
        let records = senders.into_iter().map(begin).collect();
        let batch = Context::new().with_value(self.clone()).with_span(batch);
        Some(Applying { batch, records })
    }
}

impl Sending {
    /// Ends the spans.
    pub fn end(self, is_confirmed: bool) {
        self.0.into_iter().for_each(|span| end(span, is_confirmed));
    }
}

impl Applying {
    /// Does work of the transaction.
    pub async fn within<T>(&self, work: impl Future<Output = T>) -> T {
        work.with_context(self.batch.clone()).await
    }

    /// Ends the spans.
    pub fn end(self, is_applied: bool) {
        self.records.into_iter().for_each(|span| end(span, is_applied));
        if !is_applied {
            self.batch.span().set_status(Status::error(""));
        }
        self.batch.span().end();
    }
}

fn end(mut span: SdkSpan, is_done: bool) {
    if !is_done {
        span.set_status(Status::error(""));
    }
    span.end();
}

/// The context, if its trace is recorded.
fn sampled(traceparent: Option<&str>) -> Option<SpanContext> {
    traceparent.and_then(traceparent::parse).filter(SpanContext::is_sampled)
}

fn described(
    bus: &dyn Bus,
    operation: &'static str,
    kind: &'static str,
) -> impl Iterator<Item = KeyValue> {
    let system = if bus.reaches_other_processes() { "rabbitmq" } else { "in_process" };
    [
        KeyValue::new(names::MESSAGING_SYSTEM, system),
        KeyValue::new(names::MESSAGING_OPERATION_NAME, operation),
        KeyValue::new(names::MESSAGING_OPERATION_TYPE, kind),
        KeyValue::new(names::MESSAGING_DESTINATION, USERS_EXCHANGE),
    ]
    .into_iter()
}
