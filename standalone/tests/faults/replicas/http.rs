//! Requests of clients that ask each replica by itself.

use std::net::SocketAddr;
use std::time::Duration;

use awc::http::Method;
use awc::http::header::HeaderMap;
use serde_json::Value;

/// After that an answer is missing. A request that waits for a proof of freshness takes 2.8 s.
const TIMEOUT: Duration = Duration::from_secs(5);

/// A client of all services.
#[derive(Clone)]
pub(crate) struct Http(awc::Client);

/// What came back.
#[derive(Default)]
pub(crate) struct Reply {
    /// 0 if nothing did: what was asked for may have happened.
    pub(crate) status: u16,
    headers: HeaderMap,
    pub(crate) body: Value,
}

impl Reply {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

impl Http {
    pub(crate) fn new() -> Self {
        Self(awc::Client::builder().timeout(TIMEOUT).finish())
    }

    /// Sends a request, with a token if there is one.
    pub(crate) async fn call(
        &self,
        method: Method,
        to: (SocketAddr, &str),
        token: Option<&str>,
        body: Option<Value>,
    ) -> Reply {
        let bearer = token.map(|token| ("authorization", format!("Bearer {token}")));
        self.send(method, to, bearer.as_slice(), body.as_ref()).await
    }

    /// Sends a request with these headers.
    pub(crate) async fn send(
        &self,
        method: Method,
        (at, path): (SocketAddr, &str),
        headers: &[(&str, String)],
        body: Option<&Value>,
    ) -> Reply {
        let mut request = self.0.request(method, format!("http://{at}{path}"));
        for (name, value) in headers {
            request = request.insert_header((*name, value.as_str()));
        }
        let sent = match body {
            Some(body) => request.send_json(body).await,
            None => request.send().await,
        };
        let Ok(mut response) = sent else { return Reply::default() };
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        match response.body().await {
            Ok(bytes) => {
                let body = serde_json::from_slice(&bytes).unwrap_or_default();
                Reply { status, headers, body }
            }
            Err(_) => Reply::default(),
        }
    }

    pub(crate) async fn verify(&self, at: SocketAddr, token: &str) -> u16 {
        self.call(Method::GET, (at, "/verify"), Some(token), None).await.status
    }

    pub(crate) async fn logout(&self, at: SocketAddr, token: &str) -> u16 {
        self.call(Method::POST, (at, "/logout"), Some(token), None).await.status
    }

    pub(crate) async fn refresh(&self, at: SocketAddr, token: &str) -> (u16, Option<String>) {
        let reply = self.call(Method::POST, (at, "/refresh"), Some(token), None).await;
        (reply.status, reply.body["token"].as_str().map(str::to_owned))
    }

    pub(crate) async fn log_in(&self, at: SocketAddr, name: &str) -> (u16, Option<String>) {
        let body = serde_json::json!({"username": name, "password": super::PASSWORD});
        let reply = self.call(Method::POST, (at, "/login"), None, Some(body)).await;
        (reply.status, reply.body["token"].as_str().map(str::to_owned))
    }

    /// What `/readyz` says.
    pub(crate) async fn knowledge(&self, at: SocketAddr) -> Knowledge {
        let reply = self.call(Method::GET, (at, "/readyz"), None, None).await;
        let texts = |member: &str| {
            let texts = reply.body[member].as_array().into_iter().flatten();
            texts.filter_map(Value::as_str).map(str::to_owned).collect::<Vec<_>>()
        };
        let mut told = texts("degraded");
        let silent = told.iter().find_map(|text| text.strip_suffix(SILENT)?.trim().parse().ok());
        let is_cut_off = reply.status != 200 || told.iter().any(|text| is_about_a_gap(text));
        told.extend(texts("reasons"));
        Knowledge { is_cut_off, silent: silent.unwrap_or(0), told }
    }
}

const SILENT: &str = "other replicas of auth_service are silent";

/// What docs/security.md calls cut off: logouts, or changes of users, may be unknown.
fn is_about_a_gap(degraded: &str) -> bool {
    degraded.starts_with("cut off from other replicas")
        || degraded.starts_with("no answer of user_service")
}

/// What a replica says of itself.
#[derive(Debug)]
pub(crate) struct Knowledge {
    /// It is not ready, or says that it may lack what others know.
    pub(crate) is_cut_off: bool,
    /// How many other replicas it misses.
    pub(crate) silent: usize,
    /// Everything that it complains of.
    pub(crate) told: Vec<String>,
}
