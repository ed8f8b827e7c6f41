//! The outermost layer: gives each request its id, writes the access log line of each answer, and
//! delays refusals.

use std::error::Error;
use std::net::IpAddr;
use std::panic::AssertUnwindSafe;
use std::rc::Rc;
use std::time::Instant;

use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{self, HeaderValue};
use actix_web::http::{ConnectionType, Method, StatusCode, Uri};
use actix_web::middleware::Next;
use actix_web::{HttpMessage, HttpRequest, web};
use futures_util::FutureExt as _;
use futures_util::future::Either;
use opentelemetry::trace::FutureExt as _;

use super::access_log::AccessLine;
use super::answer_body::AnswerBody;
use super::client_address::ClientAddress;
use super::connection::{InHand, Link};
use super::context::{RequestContext, RequestIds, X_REQUEST_ID};
use super::cors::OriginVerdict;
use super::methods::Route;
use super::metrics::{HttpMetrics, known_method};
use super::overload::OverloadPacing;
use super::probes;
use super::problem::Problem;
use super::shown_path::shown;
use super::unread_body::hold;
use crate::traces::{AnswerSeen, RequestSpan, Traces};

/// What tells the requests of one worker apart.
pub(super) struct Tracked {
    pub(super) ids: RequestIds,
    /// Where their spans go.
    pub(super) traces: Traces,
}

impl Tracked {
    /// The identifiers of a request, and its span. Probes have none.
    fn begin(&self, request: &ServiceRequest) -> (RequestContext, Option<RequestSpan>) {
        let mut context = RequestContext::from_headers(request.headers(), &self.ids);
        if !self.traces.are_on() || probes::PATHS.contains(&request.path()) {
            return (context, None);
        }
        let method = known_method(request.method().as_str());
        let span = self.traces.request(method, context.traceparent.as_deref());
        if let Some(span) = &span {
            context.traceparent = Some(span.traceparent());
        }
        (context, span)
    }
}

/// The middleware function; needs `Tracked`, `OverloadPacing` and `web::Data<HttpMetrics>` in the app.
pub(super) async fn observe<B: MessageBody + 'static>(
    mut request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<AnswerBody>, actix_web::Error> {
    let started_at = Instant::now();
    let (context, span) = match request.app_data::<Tracked>() {
        Some(tracked) => tracked.begin(&request),
        None => return Err(Problem::internal("the server has no Tracked").into()),
    };
    request.extensions_mut().insert(context.clone());
    let within = span.as_ref().map(RequestSpan::context);
    let seen = Seen::of(request.request(), started_at, span);
    let in_hand = request.conn_data::<Rc<Link>>().map(|link| Rc::clone(link).take_in_hand());
    let body = hold(&mut request);
    let answering = match within {
        Some(span) => Either::Left(next.call(request).with_context(span)),
        None => Either::Right(next.call(request)),
    };
    let answered = AssertUnwindSafe(answering).catch_unwind().await;
    // The panic hook has logged the place and the reason.
    let panicked = |_| Err(Problem::internal("a handler panicked").into());
    let mut response = match answered.unwrap_or_else(panicked) {
        Ok(response) => response.map_into_boxed_body(),
        Err(error) => return Err(seen.failed(&error, &context)),
    };
    hold_refusal(&response).await;
    let verdict = OriginVerdict::of(response.request());
    let headers = response.headers_mut();
    if let Some(verdict) = verdict {
        verdict.tell(headers);
    }
    if let Ok(value) = HeaderValue::from_str(&context.request_id) {
        headers.insert(X_REQUEST_ID.clone(), value);
    }
    // A browser must not interpret our JSON as anything else.
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if !headers.contains_key(header::CACHE_CONTROL) {
        // Answers contain personal data, and a cache may store even a 404 unless it is forbidden.
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    let is_broken = in_hand.as_ref().is_some_and(InHand::is_broken);
    if is_broken || headers.get(header::CONNECTION).is_some_and(|value| value == "close") {
        // actix ignores this header unless the connection type is set, too.
        response.response_mut().head_mut().set_connection_type(ConnectionType::Close);
    }
    seen.answered(&response, &context);
    Ok(response.map_body(|_, sent| AnswerBody::new(sent, body, in_hand)))
}

/// Delays an overload answer (503 with `Retry-After`), as `OverloadPacing` decides.
async fn hold_refusal<B>(response: &ServiceResponse<B>) {
    if response.status() != StatusCode::SERVICE_UNAVAILABLE
        || !response.headers().contains_key(header::RETRY_AFTER)
    {
        return;
    }
    let Some(pace) = response.request().app_data::<OverloadPacing>() else { return };
    let delay = pace.delay(Instant::now());
    if !delay.is_zero() {
        actix_web::rt::time::sleep(delay).await;
    }
}

/// The request is gone without an answer. What happened is in the log.
#[derive(Debug, thiserror::Error)]
#[error("the request was not answered")]
struct Unanswered;

/// What is kept of a request, which its handler takes with it.
struct Seen {
    method: Method,
    uri: Uri,
    client: IpAddr,
    metrics: Option<web::Data<HttpMetrics>>,
    started_at: Instant,
    span: Option<RequestSpan>,
}

impl Seen {
    fn of(request: &HttpRequest, started_at: Instant, span: Option<RequestSpan>) -> Self {
        Self {
            method: request.method().clone(),
            uri: request.uri().clone(),
            client: ClientAddress::of(request).0,
            metrics: request.app_data::<web::Data<HttpMetrics>>().cloned(),
            started_at,
            span,
        }
    }

    fn record(
        &self,
        route: Option<&'static str>,
        (status, bytes): (StatusCode, Option<u64>),
        context: &RequestContext,
        error: Option<&actix_web::Error>,
    ) {
        let cause = error.map(chain_of);
        let line = AccessLine {
            method: self.method.as_str(),
            route,
            path: self.uri.path(),
            status: status.as_u16(),
            latency: self.started_at.elapsed(),
            bytes,
            client: Some(self.client),
            context,
            cause: cause.as_deref(),
        };
        line.write(self.metrics.as_ref().map(|metrics| &***metrics));
        if let Some(span) = &self.span {
            span.end(&AnswerSeen {
                route,
                path: &shown(route, self.uri.path()),
                status: status.as_u16(),
                request_id: &context.request_id,
            });
        }
    }

    /// Notes the answer of a handler, or of what stands for one.
    fn answered(&self, response: &ServiceResponse<BoxBody>, context: &RequestContext) {
        let route = response.request().app_data::<Route>().map(|route| route.0);
        let answer = (response.status(), length_of(response.response().body()));
        self.record(route, answer, context, response.response().error());
    }

    /// Notes an error that came without a response, and makes the answer: the same as for any other
    /// fault, without the parts that need the request.
    fn failed(&self, error: &actix_web::Error, context: &RequestContext) -> actix_web::Error {
        self.record(None, (error.as_response_error().status_code(), None), context, Some(error));
        Problem::internal(Unanswered).with_header(X_REQUEST_ID.clone(), &context.request_id).into()
    }
}

/// The length of a body, if it is known before it is sent.
fn length_of(body: &impl MessageBody) -> Option<u64> {
    match body.size() {
        BodySize::None => Some(0),
        BodySize::Sized(bytes) => Some(bytes),
        BodySize::Stream => None,
    }
}

/// The error with all its causes.
fn chain_of(error: &actix_web::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.as_error::<Problem>().and_then(Error::source);
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::middleware::from_fn;
    use actix_web::test::{TestRequest, init_service, try_call_service};
    use actix_web::{App, HttpResponse};

    async fn panics() -> HttpResponse {
        panic!("on purpose")
    }

    #[actix_web::test]
    async fn a_panic_is_answered_like_any_other_fault() {
        let app = App::new()
            .app_data(Tracked { ids: RequestIds::new(), traces: Traces::default() })
            .route("/", web::get().to(panics))
            .wrap(from_fn(observe));
        let app = init_service(app).await;
        let request = TestRequest::get().insert_header(("x-request-id", "r1")).to_request();
        let error = try_call_service(&app, request).await.err().unwrap();
        let answer = error.error_response();
        assert_eq!(answer.status(), 500);
        assert_eq!(answer.headers().get("x-request-id").unwrap(), "r1");
    }
}
