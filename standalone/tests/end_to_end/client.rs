//! A client of both services: the calls of the contract as methods.

use std::net::SocketAddr;

use awc::http::Method;
use serde_json::{Value, json};

/// Where the services are.
#[derive(Clone, Copy)]
pub(crate) struct Client {
    pub(crate) users: SocketAddr,
    pub(crate) auth: SocketAddr,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Value,
    pub(crate) consistency_token: Option<String>,
    pub(crate) etag: Option<String>,
}

/// A user that was created.
#[derive(Clone, Debug)]
pub(crate) struct Created {
    pub(crate) id: i64,
    pub(crate) consistency_token: String,
}

impl Client {
    pub(crate) async fn create(&self, username: &str, password: &str) -> Created {
        let body = json!({"username": username, "password": password});
        let answer = self.call_users(Method::POST, "/users", Some(body)).await;
        assert_eq!(answer.status, 201, "{:?}", answer.body);
        let id = answer.body["id"].as_i64().unwrap();
        Created { id, consistency_token: answer.consistency_token.unwrap() }
    }

    pub(crate) async fn put(&self, id: i64, body: Value) -> Answer {
        self.call_users(Method::PUT, &format!("/users/{id}"), Some(body)).await
    }

    pub(crate) async fn read(&self, id: i64) -> Answer {
        self.call_users(Method::GET, &format!("/users/{id}"), None).await
    }

    pub(crate) async fn list(&self) -> Answer {
        self.call_users(Method::GET, "/users", None).await
    }

    pub(crate) async fn delete(&self, id: i64) -> Answer {
        self.call_users(Method::DELETE, &format!("/users/{id}"), None).await
    }

    pub(crate) async fn login(&self, username: &str, password: &str) -> Answer {
        self.login_after(username, password, None).await
    }

    /// A login that waits for the write that gave the consistency token.
    pub(crate) async fn login_after(
        &self,
        username: &str,
        password: &str,
        consistency_token: Option<&str>,
    ) -> Answer {
        let headers: Vec<_> =
            consistency_token.map(|token| ("consistency-token", token)).into_iter().collect();
        let body = json!({"username": username, "password": password});
        self.send(Method::POST, self.auth, "/login", &headers, Some(body)).await
    }

    /// The token of a login that must succeed.
    pub(crate) async fn token(&self, username: &str, password: &str) -> String {
        let answer = self.login(username, password).await;
        assert_eq!(answer.status, 200, "{:?}", answer.body);
        answer.body["token"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn logout(&self, token: &str) -> Answer {
        self.with_token(Method::POST, "/logout", token).await
    }

    pub(crate) async fn logout_all(&self, token: &str) -> Answer {
        self.with_token(Method::POST, "/logout/all", token).await
    }

    pub(crate) async fn verify(&self, token: &str) -> Answer {
        self.with_token(Method::GET, "/verify", token).await
    }

    pub(crate) async fn refresh(&self, token: &str) -> Answer {
        self.with_token(Method::POST, "/refresh", token).await
    }

    pub(crate) async fn is_alive(&self, token: &str) -> bool {
        let answer = self.verify(token).await;
        assert!([200, 401].contains(&answer.status), "{answer:?}");
        answer.status == 200
    }

    /// The status of auth_service's `/readyz`.
    pub(crate) async fn ready(&self) -> u16 {
        self.send(Method::GET, self.auth, "/readyz", &[], None).await.status
    }

    /// The keys that verify tokens.
    pub(crate) async fn jwks(&self) -> Value {
        let path = "/.well-known/jwks.json";
        self.send(Method::GET, self.auth, path, &[], None).await.body["keys"].take()
    }

    /// All metrics of a service, as OpenMetrics.
    pub(crate) async fn metrics_of(&self, at: SocketAddr) -> String {
        let accept = ("accept", "application/openmetrics-text; version=1.0.0");
        let request = awc::Client::new().get(format!("http://{at}/metrics")).insert_header(accept);
        let metrics = request.send().await.unwrap().body().await.unwrap();
        String::from_utf8(metrics.to_vec()).unwrap()
    }

    /// Which users the service has, and as of which place in the log.
    pub(crate) async fn users_checksum(&self, at: SocketAddr) -> Option<String> {
        let request = awc::Client::new().get(format!("http://{at}/metrics"));
        let metrics = request.send().await.unwrap().body().await.unwrap();
        let metrics = String::from_utf8(metrics.to_vec()).unwrap();
        let mut lines = metrics.lines().map(str::to_owned);
        lines.find(|line| line.starts_with("lockstep_users_checksum_info{"))
    }

    /// The value of a metric of auth_service.
    pub(crate) async fn metric(&self, name: &str) -> i64 {
        let request = awc::Client::new().get(format!("http://{}/metrics", self.auth));
        let metrics = request.send().await.unwrap().body().await.unwrap();
        let metrics = String::from_utf8(metrics.to_vec()).unwrap();
        let line = metrics.lines().find_map(|line| line.strip_prefix(&format!("{name} ")));
        line.unwrap().parse().unwrap()
    }

    /// A call of user_service with a token.
    pub(crate) async fn call_as(
        &self,
        token: &str,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Answer {
        let bearer = format!("Bearer {token}");
        self.send(method, self.users, path, &[("authorization", &bearer)], body).await
    }

    async fn with_token(&self, method: Method, path: &str, token: &str) -> Answer {
        let bearer = format!("Bearer {token}");
        self.send(method, self.auth, path, &[("authorization", &bearer)], None).await
    }

    /// A call of user_service with a header.
    pub(crate) async fn call_with(
        &self,
        method: Method,
        path: &str,
        header: (&str, &str),
    ) -> Answer {
        self.send(method, self.users, path, &[header], None).await
    }

    /// The same with a body.
    pub(crate) async fn call_users_with(
        &self,
        method: Method,
        path: &str,
        header: (&str, &str),
        body: Value,
    ) -> Answer {
        self.send(method, self.users, path, &[header], Some(body)).await
    }

    async fn call_users(&self, method: Method, path: &str, body: Option<Value>) -> Answer {
        self.send(method, self.users, path, &[], body).await
    }

    /// A call of either service.
    pub(crate) async fn send(
        &self,
        method: Method,
        to: SocketAddr,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<Value>,
    ) -> Answer {
        let mut request = awc::Client::new().request(method, format!("http://{to}{path}"));
        for header in headers {
            request = request.insert_header(*header);
        }
        let sent = match body {
            Some(body) => request.send_json(&body),
            None => request.send(),
        };
        let mut response = sent.await.unwrap();
        let bytes = response.body().await.unwrap();
        let header = |name: &str| {
            response.headers().get(name).map(|value| value.to_str().unwrap().to_owned())
        };
        let (consistency_token, etag) = (header("consistency-token"), header("etag"));
        Answer {
            status: response.status().as_u16(),
            body: serde_json::from_slice(&bytes).unwrap_or_default(),
            consistency_token,
            etag,
        }
    }
}
