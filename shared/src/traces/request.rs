//! The span of one request to a service.

use opentelemetry::trace::{SpanKind, Status, TraceContextExt, Tracer};
use opentelemetry::{Context, KeyValue};

use super::{Traces, names, traceparent};

/// From the head of a request to its answer, or to where the client is gone.
pub(crate) struct RequestSpan {
    /// With the span.
    context: Context,
    /// What the name of the span begins with.
    method: &'static str,
}

/// What is known of a request when it is answered.
pub(crate) struct AnswerSeen<'a> {
    pub(crate) route: Option<&'static str>,
    /// As it is shown in the log.
    pub(crate) path: &'a str,
    pub(crate) status: u16,
    pub(crate) request_id: &'a str,
}

impl Traces {
    /// Begins the span of a request that came with this `traceparent`; the method is as metrics show it: one
    /// of those that HTTP knows, or `OTHER`. `None` without traces.
    pub(crate) fn request(
        &self,
        method: &'static str,
        parent: Option<&str>,
    ) -> Option<RequestSpan> {
        let tracing = self.0.as_ref()?;
        let outside = Context::new().with_value(self.clone());
        let parent = parent.and_then(traceparent::parse);
        let outside = match parent {
            Some(parent) => outside.with_remote_span_context(parent),
            None => outside,
        };
        let (shown, method) = match method {
            "OTHER" => (names::OTHER_METHOD, "HTTP"),
            known => (known, known),
        };
        let builder = tracing.tracer.span_builder(method).with_kind(SpanKind::Server);
        let span = builder
            .with_attributes([
                KeyValue::new(names::HTTP_REQUEST_METHOD, shown),
                KeyValue::new(names::URL_SCHEME, "http"),
            ])
            .start_with_context(&tracing.tracer, &outside);
        Some(RequestSpan { context: outside.with_span(span), method })
    }
}

impl RequestSpan {
    /// What is to be done within the span.
    pub(crate) fn context(&self) -> Context {
        self.context.clone()
    }

    /// The trace context of what the request causes.
    pub(crate) fn traceparent(&self) -> String {
        traceparent::text_of(self.context.span().span_context())
    }

    /// Ends it with the answer.
    pub(crate) fn end(&self, answer: &AnswerSeen<'_>) {
        let span = self.context.span();
        span.set_attributes([
            KeyValue::new(names::URL_PATH, answer.path.to_owned()),
            KeyValue::new(names::HTTP_STATUS, i64::from(answer.status)),
            KeyValue::new(names::REQUEST_ID, answer.request_id.to_owned()),
        ]);
        if let Some(route) = answer.route {
            span.update_name(format!("{} {route}", self.method));
            span.set_attribute(KeyValue::new(names::HTTP_ROUTE, route));
        }
        if answer.status >= 500 {
            span.set_attribute(KeyValue::new(names::ERROR_TYPE, answer.status.to_string()));
            span.set_status(Status::error(""));
        }
        span.end();
    }
}
