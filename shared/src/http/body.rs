//! Request bodies: JSON objects and forms of at most 16 KiB.

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

use actix_web::dev::Payload;
use actix_web::http::header::{self, HeaderMap};
use actix_web::web::{Bytes, BytesMut};
use actix_web::{FromRequest, HttpRequest};
use futures_util::StreamExt;
use tokio::time::timeout;

use super::connection::Link;
use super::form::Form;
use super::members::Members;
use super::problem::{Problem, ProblemKind};
use crate::bus::Delivery;
use crate::bus::direct::from_line;

/// The most bytes that a body may have.
pub const BODY_LIMIT: usize = 16 * 1024;
/// The media type of a JSON body.
const JSON: &str = "application/json";
/// The media type of a form.
const FORM: &str = "application/x-www-form-urlencoded";
/// How long a body may take to arrive: actix itself would wait without limit.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// A body that was read completely and is a JSON object.
pub struct JsonBody(pub Members);

/// A message from the other service, as it would be delivered by a bus. It is not authenticated.
pub struct DirectMessage(pub Delivery);

/// A body that was read completely and is a form.
pub struct FormBody(pub Form);

/// A body without a meaning, read completely: a request that breaks off is not carried out. Every
/// handler that changes something and takes no JSON has it.
pub struct IgnoredBody;

impl FromRequest for JsonBody {
    type Error = Problem;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Problem>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let reading = read_typed(JSON, request, payload);
        Box::pin(async move { Members::parse(&reading.await?).map(Self) })
    }
}

impl FromRequest for DirectMessage {
    type Error = Problem;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Problem>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let reading = read_typed(JSON, request, payload);
        Box::pin(async move {
            from_line(&reading.await?).map(Self).map_err(|error| {
                Problem::new(ProblemKind::Malformed, "the body must be one message")
                    .with_source(error)
            })
        })
    }
}

impl FromRequest for FormBody {
    type Error = Problem;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Problem>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let reading = read_typed(FORM, request, payload);
        Box::pin(async move { Form::parse(&reading.await?).map(Self) })
    }
}

impl FromRequest for IgnoredBody {
    type Error = Problem;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Problem>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let checked = check_length(request.headers());
        let reading = read_if(checked, request, payload);
        Box::pin(async move { reading.await.map(|_| Self) })
    }
}

/// Reads a body that is said to be of this media type. It is not parsed.
fn read_typed(
    media_type: &'static str,
    request: &HttpRequest,
    payload: &mut Payload,
) -> impl Future<Output = Result<Bytes, Problem>> + use<> {
    read_if(check_headers(request.headers(), media_type), request, payload)
}

/// Reads the body if its headers have passed the check; otherwise it is not even asked for.
fn read_if(
    checked: Result<(), Problem>,
    request: &HttpRequest,
    payload: &mut Payload,
) -> impl Future<Output = Result<Bytes, Problem>> + use<> {
    let (payload, link) = (payload.take(), request.conn_data::<Rc<Link>>().map(Rc::clone));
    async move {
        checked?;
        read_within(BODY_TIMEOUT, link, payload).await
    }
}

fn check_length(headers: &HeaderMap) -> Result<(), Problem> {
    let declared = headers.get(header::CONTENT_LENGTH);
    let declared = declared.and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if declared.is_some_and(|length| length > BODY_LIMIT as u64) {
        return Err(too_large());
    }
    Ok(())
}

/// Checks the headers of a body of this media type before it is read.
fn check_headers(headers: &HeaderMap, wanted: &'static str) -> Result<(), Problem> {
    check_length(headers)?;
    let has_coding = headers.get_all(header::CONTENT_ENCODING).any(|line| {
        let mut codings = line.as_bytes().split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
        !codings.all(|coding| coding.is_empty() || coding.eq_ignore_ascii_case(b"identity"))
    });
    if has_coding {
        let detail = "the body must not be compressed: no Content-Encoding but identity";
        return Err(Problem::new(ProblemKind::UnsupportedMediaType, detail)
            .with_header(header::ACCEPT_ENCODING, "identity"));
    }
    check_content_type(headers, wanted).map_err(|detail| {
        Problem::new(ProblemKind::UnsupportedMediaType, detail).with_header(header::ACCEPT, wanted)
    })
}

/// RFC 9110 section 8.3: a media type and its parameters, with spaces around the semicolons.
fn check_content_type(headers: &HeaderMap, wanted: &str) -> Result<(), String> {
    let mut lines = headers.get_all(header::CONTENT_TYPE);
    let other = || format!("the Content-Type must be {wanted}");
    let (Some(line), None) = (lines.next(), lines.next()) else {
        return Err(format!("the request must have one Content-Type header, {wanted}"));
    };
    let mut is_quoted = false;
    let is_end = |c: char| {
        is_quoted ^= c == '"';
        c == ';' && !is_quoted
    };
    let mut parts = line.to_str().map_err(|_| other())?.split(is_end).map(str::trim);
    if !parts.next().is_some_and(|essence| essence.eq_ignore_ascii_case(wanted)) {
        return Err(other());
    }
    for parameter in parts.filter(|parameter| !parameter.is_empty()) {
        let (name, value) = parameter.split_once('=').ok_or_else(other)?;
        let value = value.strip_prefix('"').and_then(|v| v.strip_suffix('"')).unwrap_or(value);
        let is_utf_8 = ["utf-8", "utf8"].iter().any(|known| value.eq_ignore_ascii_case(known));
        if name.eq_ignore_ascii_case("charset") && !is_utf_8 {
            return Err("the charset must be UTF-8".to_owned());
        }
    }
    Ok(())
}

async fn read_within(
    limit: Duration,
    link: Option<Rc<Link>>,
    payload: Payload,
) -> Result<Bytes, Problem> {
    let asked_and_read = async {
        if let Some(link) = link {
            link.ask_for_body().await;
        }
        read(payload).await
    };
    timeout(limit, asked_and_read).await.unwrap_or_else(|_| {
        let detail = "the body did not arrive in time";
        Err(Problem::new(ProblemKind::BodyTooSlow, detail).with_header(header::CONNECTION, "close"))
    })
}

/// Reads no further than the limit.
async fn read(mut payload: Payload) -> Result<Bytes, Problem> {
    let mut bytes = BytesMut::new();
    while let Some(chunk) = payload.next().await {
        let chunk = chunk.map_err(|error| {
            let detail = "the body ended early, or its chunks are malformed";
            Problem::new(ProblemKind::Malformed, detail)
                .with_header(header::CONNECTION, "close")
                .with_source(error)
        })?;
        if bytes.len() + chunk.len() > BODY_LIMIT {
            return Err(too_large());
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes.freeze())
}

fn too_large() -> Problem {
    // The rest of the body is not read, so the connection cannot carry another request.
    Problem::new(ProblemKind::BodyTooLarge, "a body may have at most 16384 bytes")
        .with_header(header::CONNECTION, "close")
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::ResponseError;
    use actix_web::test::TestRequest;

    #[actix_web::test]
    async fn a_body_that_does_not_come_is_given_up() {
        let payload = Payload::Stream { payload: futures_util::stream::pending().boxed_local() };
        let problem = read_within(Duration::ZERO, None, payload).await.unwrap_err();
        assert_eq!(problem.kind(), ProblemKind::BodyTooSlow);
    }

    fn outcome(headers: &[(&str, &str)]) -> Result<(), Problem> {
        let mut request = TestRequest::default();
        for header in headers {
            request = request.append_header(*header);
        }
        check_headers(request.to_http_request().headers(), JSON)
    }

    #[test]
    fn json_in_utf_8_is_recognised_however_its_type_is_written() {
        for value in [
            "application/json",
            "Application/JSON",
            "application/json ; charset=utf-8",
            "application/json;charset=\"UTF-8\"",
            "application/json\t;\tcharset=utf8",
            "application/json;",
            "application/json; profile=x; ; charset=utf-8",
            "application/json; profile=\"x;y\";charset=utf-8",
        ] {
            assert!(outcome(&[("content-type", value)]).is_ok(), "{value}");
        }
    }

    #[test]
    fn other_types_and_charsets_are_refused_with_the_type_that_is_wanted() {
        let double = [("content-type", "application/json"), ("content-type", "text/plain")];
        for headers in [
            &double as &[_],
            &[],
            &[("content-type", "")],
            &[("content-type", "text/json")],
            &[("content-type", "application/jsonx")],
            &[("content-type", "application/json, text/plain")],
            &[("content-type", "application/json; charset=utf-16")],
            &[("content-type", "application/json; charset")],
        ] {
            let problem = outcome(headers).unwrap_err();
            assert_eq!(problem.kind(), ProblemKind::UnsupportedMediaType, "{headers:?}");
            assert!(problem.error_response().headers().contains_key("accept"));
        }
    }

    #[test]
    fn identity_is_no_coding_and_any_other_is_refused_with_what_is_accepted() {
        let json = ("content-type", "application/json");
        for value in ["identity", "Identity", "identity, identity", ""] {
            assert!(outcome(&[json, ("content-encoding", value)]).is_ok(), "{value}");
        }
        for value in ["gzip", "identity, br", "x-unknown"] {
            let problem = outcome(&[json, ("content-encoding", value)]).unwrap_err();
            let answer = problem.error_response();
            assert_eq!(answer.status(), 415);
            assert_eq!(answer.headers().get("accept-encoding").unwrap(), "identity", "{value}");
        }
    }
}
