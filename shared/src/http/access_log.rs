//! The outermost layer: gives each request its id, writes the access log line of each answer, and
//! delays refusals.

use std::error::Error;
use std::panic::AssertUnwindSafe;
use std::rc::Rc;
use std::time::Instant;

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::http::{ConnectionType, StatusCode};
use actix_web::middleware::Next;
use actix_web::{HttpMessage, web};
use futures_util::FutureExt;

use super::answer_body::AnswerBody;
use super::connection::{InHand, Link};
use super::context::{RequestContext, RequestIds};
use super::methods::Route;
use super::metrics::HttpMetrics;
use super::overload::OverloadPacing;
use super::problem::{Problem, shortened};
use super::shown_path::shown;
use super::unread_body::hold;

/// The most characters of the path in a log line, and of the error with its causes.
const MAX_PATH: usize = 256;
const MAX_CAUSE: usize = 1024;
/// The most characters of the method: HTTP allows any word.
const MAX_METHOD: usize = 16;
/// Machines ask these every few seconds: a line for each good answer would hide the others.
const PROBES: [&str; 3] = ["/healthz", "/readyz", "/metrics"];

/// The middleware function; needs `RequestIds`, `OverloadPacing` and `web::Data<HttpMetrics>` in the app.
pub(super) async fn observe<B: MessageBody + 'static>(
    mut request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<AnswerBody>, actix_web::Error> {
    let started_at = Instant::now();
    let context = match request.app_data::<RequestIds>() {
        Some(ids) => RequestContext::from_headers(request.headers(), ids),
        None => return Err(Problem::internal("the server has no RequestIds").into()),
    };
    request.extensions_mut().insert(context.clone());
    let in_hand = request.conn_data::<Rc<Link>>().map(|link| Rc::clone(link).take_in_hand());
    let body = hold(&mut request);
    let answered = AssertUnwindSafe(next.call(request)).catch_unwind().await;
    // The panic hook has logged the place and the reason.
    let mut response = answered.unwrap_or_else(|_| Err(failed(&context)))?.map_into_boxed_body();
    hold_refusal(&response).await;
    let headers = response.headers_mut();
    if let Ok(value) = HeaderValue::from_str(&context.request_id) {
        headers.insert(HeaderName::from_static("x-request-id"), value);
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
    record(&response, &context, started_at);
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

/// The answer after a handler panicked: the same as for an error, without the parts that need the
/// request.
fn failed(context: &RequestContext) -> actix_web::Error {
    let request_id = &context.request_id;
    tracing::error!(target: "access", status = 500, request_id, cause = "a handler panicked");
    let name = HeaderName::from_static("x-request-id");
    Problem::internal("a handler panicked").with_header(name, request_id).into()
}

fn record<B>(response: &ServiceResponse<B>, context: &RequestContext, started_at: Instant) {
    let request = response.request();
    let route = request.app_data::<Route>().map(|route| route.0);
    let (method, status) = (request.method().as_str(), response.status().as_u16());
    let seconds = started_at.elapsed().as_secs_f64();
    if let Some(metrics) = request.app_data::<web::Data<HttpMetrics>>() {
        metrics.observe(method, route.unwrap_or("unknown"), status, seconds);
    }
    let RequestContext { request_id, traceparent } = context;
    let traceparent = traceparent.as_deref();
    let path = shown(route, request.path());
    let (path, latency_us) = (&*shortened(&path, MAX_PATH), micros_since(started_at));
    let method = &*shortened(method, MAX_METHOD);
    let cause = response.response().error().map(chain_of);
    let cause = cause.as_deref().map(|cause| shortened(cause, MAX_CAUSE));
    let cause = cause.as_deref();
    if status == 503 || status == 507 {
        // Refused on purpose: a client that floods the service must not flood the alarms, too. Of a
        // full disk the writer tells once.
        tracing::warn!(target: "access", method, path, status, latency_us, request_id, traceparent, cause);
    } else if status >= 500 {
        tracing::error!(target: "access", method, path, status, latency_us, request_id, traceparent, cause);
    } else if PROBES.contains(&path) && status == 200 {
        tracing::debug!(target: "access", method, path, status, latency_us, request_id);
    } else {
        tracing::info!(target: "access", method, path, status, latency_us, request_id, traceparent, cause);
    }
}

fn micros_since(started_at: Instant) -> u64 {
    u64::try_from(started_at.elapsed().as_micros()).unwrap_or(u64::MAX)
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
            .app_data(RequestIds::new())
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
