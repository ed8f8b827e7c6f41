//! A part of a request that somebody else does: an actor, or another service.

use opentelemetry::trace::{Span, SpanBuilder, SpanKind, Status, TraceContextExt, Tracer};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::trace::Span as SdkSpan;

use super::{Traces, names, traceparent};

/// From the question to the answer, or to where nobody waits for it any more.
pub(crate) struct Step(Box<SdkSpan>);

impl Step {
    /// Begins a question to an actor. `None` outside of a span: nothing is allocated then.
    pub(crate) fn ask(actor: &'static str, command: fn() -> &'static str) -> Option<Self> {
        Self::begin(|| SpanBuilder::from_name(format!("{actor} {}", command())))
    }

    /// Begins a request to another service.
    pub(crate) fn call(method: &'static str, host: &str, path: &'static str) -> Option<Self> {
        Self::begin(|| {
            let attributes = [
                KeyValue::new(names::HTTP_REQUEST_METHOD, method),
                KeyValue::new(names::SERVER_ADDRESS, host.to_owned()),
                KeyValue::new(names::URL_PATH, path),
            ];
            let builder = SpanBuilder::from_name(method).with_kind(SpanKind::Client);
            builder.with_attributes(attributes)
        })
    }

    fn begin(builder: impl FnOnce() -> SpanBuilder) -> Option<Self> {
        Context::map_current(|outside| {
            if !outside.has_active_span() {
                return None;
            }
            let tracer = &outside.get::<Traces>()?.0.as_ref()?.tracer;
            Some(Self(Box::new(tracer.build_with_context(builder(), outside))))
        })
    }

    /// The trace context of what it causes.
    pub(crate) fn traceparent(&self) -> String {
        traceparent::text_of(self.0.span_context())
    }

    /// Notes what went wrong, and ends.
    pub(crate) fn fail(mut self, kind: &'static str) {
        self.0.set_attribute(KeyValue::new(names::ERROR_TYPE, kind));
        self.0.set_status(Status::error(""));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_traces_nothing_is_made() {
        assert!(Traces::default().request("GET", None).is_none());
        assert!(Step::ask("Actor", || panic!("not even the name is asked for")).is_none());
        assert!(Step::call("POST", "host", "/path").is_none());
    }
}
