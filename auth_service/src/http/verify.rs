//! `GET /verify`: for proxies that let a request pass if its token is alive (nginx `auth_request`,
//! Traefik `ForwardAuth`). Answered on the worker's own thread.

use actix_web::HttpResponse;
use actix_web::web::Data;
use percent_encoding::{AsciiSet, CONTROLS, PercentEncode, utf8_percent_encode};
use shared::http::{Bearer, Problem};

use super::Api;

/// What a name in a header must not contain as it is, beside bytes above ASCII.
const NOT_IN_HEADERS: &AsciiSet = &CONTROLS.add(b' ').add(b'%');

/// Verify a token
#[utoipa::path(
    get, path = "/verify", operation_id = "verify", tag = "tokens",
    security(("token" = [])),
    responses((status = 200, description = "The token is valid; the answer has no body", headers(
        ("X-User-Id" = i64, description = "The user's id"),
        ("X-Username" = String, description = "The user's name when the token was issued, in UTF-8; \
            % and everything except visible ASCII is percent-encoded"),
    ))),
)]
pub(super) async fn verify(bearer: Bearer, api: Data<Api>) -> Result<HttpResponse, Problem> {
    let token = api.tokens.check(&bearer.0).await?;
    let claims = &token.claims;
    Ok(HttpResponse::Ok()
        .insert_header(("X-User-Id", claims.sub.as_str()))
        .insert_header(("X-Username", percent_encoded(&claims.username).to_string()))
        .finish())
}

/// A header can carry only ASCII; names can have any letters.
fn percent_encoded(name: &str) -> PercentEncode<'_> {
    utf8_percent_encode(name, NOT_IN_HEADERS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_in_a_header_can_be_read_back() {
        assert_eq!(percent_encoded("test.user~").to_string(), "test.user~");
        assert_eq!(percent_encoded("Zoë%").to_string(), "Zo%C3%AB%25");
    }
}
