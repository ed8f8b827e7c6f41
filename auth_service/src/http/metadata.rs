//! `GET /.well-known/oauth-authorization-server` (RFC 8414): what other services need to know to take
//! our tokens.

use actix_web::http::header::{CACHE_CONTROL, HOST};
use actix_web::http::uri::Uri;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use contract::token::ADMIN_SCOPE;
use shared::http::{Problem, ProblemKind};

use super::Api;
use super::bodies::Metadata;

/// How a service proves that it is a client of ours.
const CLIENT_AUTHENTICATION: [&str; 1] = ["client_secret_basic"];

/// Read the metadata
///
/// RFC 8414. `issuer` is the tokens' `iss` (TOKEN_ISSUER). If that is a URL, the endpoints are below
/// it; otherwise they are at the host that the request names.
#[utoipa::path(
    get, path = "/.well-known/oauth-authorization-server", operation_id = "readMetadata",
    tag = "tokens",
    responses((status = 200, description = "The metadata", body = Metadata, headers(
        ("Cache-Control" = String, description = "no-store: it may depend on the Host header"),
    ))),
)]
pub(super) async fn metadata(
    request: HttpRequest,
    api: Data<Api>,
) -> Result<HttpResponse, Problem> {
    let issuer = &api.rules.issuer;
    let base = match base_of_issuer(issuer) {
        Some(base) => base.to_owned(),
        None => base_of_request(&request)?,
    };
    let endpoint = |path: &str| format!("{base}{path}");
    let of_clients = |path: &str| (!api.clients.is_empty()).then(|| endpoint(path));
    let methods = (!api.clients.is_empty()).then_some(CLIENT_AUTHENTICATION);
    let metadata = Metadata {
        issuer: issuer.clone(),
        scopes_supported: [ADMIN_SCOPE],
        jwks_uri: endpoint("/.well-known/jwks.json"),
        introspection_endpoint: of_clients("/introspect"),
        introspection_endpoint_auth_methods_supported: methods,
        revocation_endpoint: of_clients("/revoke"),
        revocation_endpoint_auth_methods_supported: methods,
        response_types_supported: [],
        grant_types_supported: [],
    };
    Ok(HttpResponse::Ok().insert_header((CACHE_CONTROL, "no-store")).json(metadata))
}

/// Where the endpoints are, if the issuer is a URL without query and fragment, as RFC 8414 section 2
/// wants it.
fn base_of_issuer(issuer: &str) -> Option<&str> {
    let uri: Uri = issuer.parse().ok()?;
    let is_url = matches!(uri.scheme_str(), Some("https" | "http"))
        && uri.authority().is_some()
        && uri.query().is_none()
        && !issuer.contains('#');
    is_url.then(|| issuer.trim_end_matches('/'))
}

/// Where the request came to. The header is the client's word; only the client reads the answer.
fn base_of_request(request: &HttpRequest) -> Result<String, Problem> {
    let host = request.headers().get(HOST).and_then(|host| host.to_str().ok());
    let is_host = |host: &&str| {
        !host.is_empty()
            && host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._:[]".contains(&b))
    };
    host.filter(is_host).map(|host| format!("http://{host}")).ok_or_else(|| {
        Problem::new(ProblemKind::Malformed, "the Host header must be a host and perhaps a port")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_issuer_that_is_a_url_is_the_base_of_the_endpoints() {
        for (issuer, base) in [
            ("https://auth.example", Some("https://auth.example")),
            ("https://auth.example/", Some("https://auth.example")),
            ("http://127.0.0.1:8002/a", Some("http://127.0.0.1:8002/a")),
            ("lockstep", None),
            ("https://auth.example?x", None),
            ("https://auth.example#x", None),
            ("urn:example", None),
            ("ftp://auth.example", None),
        ] {
            assert_eq!(base_of_issuer(issuer), base, "{issuer}");
        }
    }
}
