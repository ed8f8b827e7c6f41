//! `GET /verify`: for proxies that let a request pass if its token is alive (nginx `auth_request`,
//! Traefik `ForwardAuth`). Answered on the worker's own thread.

use std::fmt::Write;

use actix_web::HttpResponse;
use actix_web::http::header::CACHE_CONTROL;
use actix_web::web::Data;
use shared::http::Problem;

use super::bearer::Bearer;
use super::live_tokens::TokenChecker;
use super::openapi::ProblemBody;

/// Tells whose a live token is
#[utoipa::path(
    get,
    path = "/verify",
    tag = "tokens",
    security(("token" = [])),
    responses(
        (status = 200, description = "The token is alive; no body", headers(
            ("X-User-Id" = i64, description = "The user"),
            ("X-Username" = String, description = "The name when the token was made: UTF-8, where \
                % and everything but visible ASCII is percent-encoded"),
            ("Cache-Control" = String, description = "no-store"))),
        (status = 401, description = "No token, or none that is alive", body = ProblemBody,
            content_type = "application/problem+json",
            headers(("WWW-Authenticate" = String, description = "As RFC 6750 has it"))),
    )
)]
pub(super) async fn verify(
    bearer: Bearer,
    tokens: Data<TokenChecker>,
) -> Result<HttpResponse, Problem> {
    let claims = tokens.check(&bearer.0)?;
    Ok(HttpResponse::Ok()
        .insert_header(("X-User-Id", claims.sub.as_str()))
        .insert_header(("X-Username", percent_encoded(&claims.username)))
        .insert_header((CACHE_CONTROL, "no-store"))
        .finish())
}

/// A header can hold ASCII only; names can hold any letters.
fn percent_encoded(name: &str) -> String {
    let mut encoded = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_graphic() && byte != b'%' {
            encoded.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_in_a_header_can_be_read_back() {
        assert_eq!(percent_encoded("test.user"), "test.user");
        assert_eq!(percent_encoded("Zoë%"), "Zo%C3%AB%25");
    }
}
