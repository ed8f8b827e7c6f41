//! An application behind a proxy that answers with the request that it got.

use std::net::SocketAddr;

use actix_web::http::StatusCode;
use actix_web::http::header::HeaderValue;
use actix_web::web::Bytes;
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use serde_json::json;

use crate::curl::Answer;

/// Starts it. At `/broken` it answers 500.
pub(crate) fn start_echo() -> SocketAddr {
    let echo = |request: HttpRequest, body: Bytes| async move {
        let headers = request.headers().iter();
        let text = |(name, value): (&_, &_)| (format!("{name}"), format_value(value));
        let status = if request.path() == "/broken" { 500 } else { 200 };
        let status = StatusCode::from_u16(status).unwrap();
        HttpResponse::build(status).json(json!({
            "headers": headers.map(text).collect::<Vec<_>>(),
            "content": String::from_utf8_lossy(&body),
        }))
    };
    let server = HttpServer::new(move || App::new().default_service(web::to(echo)))
        .workers(1)
        .disable_signals()
        .bind(("127.0.0.1", 0))
        .unwrap();
    let at = server.addrs()[0];
    actix_web::rt::spawn(server.run());
    at
}

fn format_value(value: &HeaderValue) -> String {
    String::from_utf8_lossy(value.as_bytes()).into_owned()
}

/// The values of a header that the application got.
pub(crate) fn all_seen<'a>(answer: &'a Answer, name: &str) -> Vec<&'a str> {
    let pairs = answer.body["headers"].as_array().unwrap().iter();
    pairs.filter(|pair| pair[0] == name).map(|pair| pair[1].as_str().unwrap()).collect()
}

/// Whether the proxy answered by itself.
pub(crate) fn reached_nobody(answer: &Answer) -> bool {
    !answer.body["headers"].is_array()
}
