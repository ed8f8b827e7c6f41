//! The id and the secret of a service that asks about tokens (RFC 6749 section 2.3.1).

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::http::header::{AUTHORIZATION, HeaderMap};
use actix_web::web::Data;
use actix_web::{FromRequest, HttpRequest};
use data_encoding::BASE64;
use shared::http::Problem;
use shared::secrets::ClientSecrets;

use super::Api;
use super::problems::{invalid_client, no_clients};

/// The request comes from a service that knows its secret.
#[derive(Debug)]
pub(super) struct KnownClient;

impl FromRequest for KnownClient {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let api = request.app_data::<Data<Api>>();
        let api = api.ok_or_else(|| Problem::internal("the request has no Api"));
        ready(api.and_then(|api| check(&api.clients, request.headers())))
    }
}

fn check(clients: &ClientSecrets, headers: &HeaderMap) -> Result<KnownClient, Problem> {
    if clients.is_empty() {
        return Err(no_clients());
    }
    let (id, secret) = credentials(headers).ok_or_else(invalid_client)?;
    if clients.contains(&id, &secret) { Ok(KnownClient) } else { Err(invalid_client()) }
}

/// The user and the password of HTTP Basic (RFC 7617).
fn credentials(headers: &HeaderMap) -> Option<(String, String)> {
    let mut values = headers.get_all(AUTHORIZATION);
    let (Some(value), None) = (values.next(), values.next()) else { return None };
    let (scheme, encoded) = value.to_str().ok()?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = BASE64.decode(encoded.trim_matches(' ').as_bytes()).ok()?;
    let (id, secret) = str::from_utf8(&decoded).ok()?.split_once(':')?;
    Some((id.to_owned(), secret.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::test::TestRequest;
    use shared::http::ProblemKind;

    const SECRET: &str = "0123456789abcdef0123456789abcdef";

    fn outcome(clients: &ClientSecrets, values: &[&str]) -> Result<(), ProblemKind> {
        let mut request = TestRequest::default();
        for value in values {
            request = request.append_header((AUTHORIZATION, *value));
        }
        let checked = check(clients, request.to_http_request().headers());
        checked.map(|KnownClient| ()).map_err(|problem| problem.kind())
    }

    #[test]
    fn a_client_is_known_by_http_basic_and_by_nothing_else() {
        let clients = ClientSecrets::parse(&format!("proxy:{SECRET}")).unwrap();
        let good = BASE64.encode(format!("proxy:{SECRET}").as_bytes());
        for scheme in ["Basic", "basic", "BASIC "] {
            assert_eq!(outcome(&clients, &[&format!("{scheme} {good}")]), Ok(()), "{scheme}");
        }
        let other = BASE64.encode(format!("proxy:{SECRET}x").as_bytes());
        let without_colon = BASE64.encode(b"proxy");
        let good = format!("Basic {good}");
        for values in [
            &[] as &[&str],
            &["Basic"],
            &["Basic ###"],
            &[&format!("Basic {other}")],
            &[&format!("Basic {without_colon}")],
            &[&good.replace("Basic", "Bearer")],
            &[&good, &good],
        ] {
            assert_eq!(outcome(&clients, values), Err(ProblemKind::InvalidClient), "{values:?}");
        }
        assert_eq!(outcome(&ClientSecrets::default(), &[&good]), Err(ProblemKind::NoClients));
    }
}
