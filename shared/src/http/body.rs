//! Bodies: JSON objects of at most 16 KiB.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use actix_web::dev::Payload;
use actix_web::http::header;
use actix_web::web::{Bytes, BytesMut};
use actix_web::{FromRequest, HttpMessage, HttpRequest};
use futures_util::StreamExt;
use tokio::time::timeout;

use super::members::Members;
use super::problem::{Problem, ProblemKind};

/// The most bytes that a body may have.
pub const BODY_LIMIT: usize = 16 * 1024;
/// How long a body may take to arrive: actix itself would wait for ever.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// A body that was read whole and is a JSON object.
pub struct JsonBody {
    /// Its members.
    pub members: Members,
    /// Its bytes, for fingerprints.
    pub bytes: Bytes,
}

impl FromRequest for JsonBody {
    type Error = Problem;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Problem>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let checked = check_headers(request);
        let payload = payload.take();
        Box::pin(async move {
            checked?;
            let bytes = read_within(BODY_TIMEOUT, payload).await?;
            Ok(Self { members: Members::parse(&bytes)?, bytes })
        })
    }
}

fn check_headers(request: &HttpRequest) -> Result<(), Problem> {
    let unsupported = |detail: &str| Problem::new(ProblemKind::UnsupportedMediaType, detail);
    let declared = request.headers().get(header::CONTENT_LENGTH);
    let declared = declared.and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if declared.is_some_and(|length| length > BODY_LIMIT as u64) {
        return Err(too_large());
    }
    if request.headers().get_all(header::CONTENT_TYPE).count() > 1 {
        return Err(unsupported("there is more than one Content-Type"));
    }
    if request.headers().contains_key(header::CONTENT_ENCODING) {
        return Err(unsupported("a Content-Encoding is not supported"));
    }
    if !request.content_type().eq_ignore_ascii_case("application/json") {
        return Err(unsupported("the Content-Type is not application/json"));
    }
    let encoding = request.encoding().map_err(|_| unsupported("the charset is not known"))?;
    if encoding.name() != "UTF-8" {
        return Err(unsupported("the charset must be UTF-8"));
    }
    Ok(())
}

async fn read_within(limit: Duration, payload: Payload) -> Result<Bytes, Problem> {
    timeout(limit, read(payload)).await.unwrap_or_else(|_| {
        let detail = "the body did not arrive in time";
        Err(Problem::new(ProblemKind::BodyTooSlow, detail).with_header(header::CONNECTION, "close"))
    })
}

/// Reads no further than the limit.
async fn read(mut payload: Payload) -> Result<Bytes, Problem> {
    let mut bytes = BytesMut::new();
    while let Some(chunk) = payload.next().await {
        let chunk = chunk.map_err(|error| {
            Problem::new(ProblemKind::Malformed, "the body broke off").with_source(error)
        })?;
        if bytes.len() + chunk.len() > BODY_LIMIT {
            return Err(too_large());
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes.freeze())
}

fn too_large() -> Problem {
    // What is left of the body is not read: the connection is of no more use.
    Problem::new(ProblemKind::BodyTooLarge, "a body may have at most 16384 bytes")
        .with_header(header::CONNECTION, "close")
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::test::TestRequest;

    #[actix_web::test]
    async fn a_body_that_does_not_come_is_given_up() {
        let payload = Payload::Stream { payload: futures_util::stream::pending().boxed_local() };
        let problem = read_within(Duration::ZERO, payload).await.unwrap_err();
        assert_eq!(problem.kind(), ProblemKind::BodyTooSlow);
    }

    #[test]
    fn of_two_content_types_none_is_believed() {
        let request = TestRequest::default()
            .append_header((header::CONTENT_TYPE, "application/json"))
            .append_header((header::CONTENT_TYPE, "text/plain"));
        let problem = check_headers(&request.to_http_request()).unwrap_err();
        assert_eq!(problem.kind(), ProblemKind::UnsupportedMediaType);
    }
}
