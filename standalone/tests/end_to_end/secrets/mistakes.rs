//! What clients do wrong with a password or a token in it.

use std::net::SocketAddr;

use awc::http::Method;
use data_encoding::BASE64_NOPAD;
use serde_json::json;
use testkit::wait::within;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{BOUND, Journey};

impl Journey {
    /// Everything that a client can do wrong with a password in it.
    pub(super) async fn mistakes(&mut self) {
        self.wrong_passwords().await;
        self.wrong_bodies().await;
        self.wrong_places().await;
        self.wrong_headers().await;
        self.wrong_lengths().await;
    }

    async fn wrong_passwords(&mut self) {
        let (wrong, unknown) = (self.canaries.wrong.clone(), self.canaries.unknown.clone());
        let as_username = self.canaries.as_username.clone();
        assert_eq!(self.login("ada", &wrong).await.0, 401);
        assert_eq!(self.login("nobody", &unknown).await.0, 401);
        assert_eq!(self.login("ada", &unknown.repeat(9)).await.0, 401);
        assert_eq!(self.login("ada", &format!("{wrong}\u{7}")).await.0, 401);
        assert_eq!(self.login(&as_username, "ada").await.0, 401);
        let change = json!({"password": unknown, "current_password": wrong});
        assert_eq!(self.put_user(&change).await, 403);
        let change = json!({"password": unknown.repeat(9), "current_password": wrong});
        assert_eq!(self.put_user(&change).await, 422);
    }

    async fn wrong_bodies(&mut self) {
        let bad = self.canaries.malformed.clone();
        for body in [
            format!(r#"{{"username":"bob","password":"{bad}"#),
            format!(r#"{{"username":"bob","password":["{bad}"]}}"#),
            format!(r#"{{"username":"bob","password":{{"a":"{bad}"}}}}"#),
            format!(r#"{{"username":"bob","password":"{bad}","password":"{bad}"}}"#),
            format!(r#"{{"username":"bob","password":"{bad}\u0007"}}"#),
            format!(r#"{{"username":"b b","password":"{}"}}"#, bad.repeat(9)),
            format!(r#"{{"username":"bob","passwort":"{bad}"}}"#),
            format!(r#"{{"username":["{bad}"],"password":"{bad}"}}"#),
            format!(r#"{{"username":"bob","password":"{bad}","password_again":"{bad}"}}"#),
            format!(r#"{{"user":{{"username":"bob","password":"{bad}"}}}}"#),
            format!(r#"{{"username":"bob","password":"{bad}\ud800"}}"#),
            format!(r#"[{{"username":"bob","password":"{bad}"}}]"#),
            format!(r#""{bad}""#),
            bad.clone(),
            format!("username=bob&password={bad}"),
            format!(r#"{{"username":"bob","password":"{}"}}"#, bad.repeat(1_000)),
        ] {
            for (at, path) in [(self.users_at, "/users"), (self.auth_at, "/login")] {
                let (status, _) = self.call(Method::POST, at, path, &[], &body).await;
                assert!((400..500).contains(&status), "{path}: {status}");
            }
            let user = "/users/1";
            let (status, _) = self.call(Method::PUT, self.users_at, user, &[], &body).await;
            assert!((400..500).contains(&status), "{status}");
        }
        // The name of a member is named to its sender, who has written it, and to nobody else.
        let body = format!(r#"{{"username":"bob","password":"x","{bad}":1}}"#);
        for (at, path) in [(self.users_at, "/users"), (self.auth_at, "/login")] {
            let (status, answer) = self.call(Method::POST, at, path, &[], &body).await;
            assert_eq!((status, answer.contains(&bad)), (400, true));
            self.leave_out(&answer);
        }
    }

    /// In the path and in the query.
    async fn wrong_places(&mut self) {
        let bad = self.canaries.in_target.clone();
        let token = self.tokens[0].clone();
        let escaped = format!("%{:02x}{}", bad.as_bytes()[0], &bad[1..]);
        let post = |path: String| (Method::POST, path);
        let get = |path: String| (Method::GET, path);
        for (method, path) in [
            post(format!("/login?username=ada&password={bad}")),
            post(format!("/login/ada/{bad}")),
            post(format!("/login/{escaped}")),
            post(format!("/logout/{token}")),
            post(format!("/logout?access_token={token}")),
            get(format!("/verify?access_token={token}")),
            get(format!("/verify/{token}")),
            post(format!("/users?username=bob&password={bad}")),
            get(format!("/users?password={bad}")),
            get(format!("/users/{bad}")),
            get(format!("/users/{escaped}")),
            get(format!("/users/1/{bad}")),
            (Method::DELETE, format!("/users/{bad}")),
            (Method::PUT, format!("/users/ada:{bad}")),
            get(format!("/{bad}")),
            get(format!("/{}", bad.repeat(200))),
            get(format!("/problems/{bad}")),
            get(format!("/docs/{bad}")),
            get(format!("/metrics?password={bad}")),
            get(format!("/healthz?password={bad}")),
            get(format!("/openapi.json?password={bad}")),
        ] {
            for at in [self.users_at, self.auth_at] {
                let (status, _) = self.call(method.clone(), at, &path, &[], "").await;
                assert!(status < 500, "{method} {path}: {status}");
            }
        }
    }

    async fn wrong_headers(&mut self) {
        let (first, bad) = (self.canaries.first.clone(), self.canaries.in_headers.clone());
        let basic = BASE64_NOPAD.encode(format!("ada:{first}").as_bytes());
        let spoilt = self.tokens[0].replacen('.', "..", 1);
        for authorization in [
            format!("Basic {basic}"),
            format!("Bearer {bad}"),
            format!("{bad} {bad}"),
            format!("Bearer ada:{bad}"),
            format!("Bearer {spoilt}"),
        ] {
            let headers = [("authorization", &*authorization)];
            for (method, path) in [(Method::GET, "/verify"), (Method::POST, "/logout")] {
                let answer = self.call(method, self.auth_at, path, &headers, "").await;
                assert_eq!(answer.0, 401);
            }
        }
        for name in [
            "idempotency-key",
            "consistency-token",
            "if-match",
            "if-none-match",
            "traceparent",
            "content-type",
            "accept",
            "cookie",
            "referer",
            "user-agent",
            "x-forwarded-for",
            "forwarded",
        ] {
            let headers = [(name, &*bad)];
            for (at, path) in [(self.users_at, "/users"), (self.auth_at, "/login")] {
                let (status, _) = self.call(Method::POST, at, path, &headers, "{}").await;
                assert!((400..500).contains(&status), "{name}: {status}");
            }
        }
    }

    /// A body that is longer than the client has said: its rest looks like the next request.
    async fn wrong_lengths(&mut self) {
        let bad = self.canaries.malformed.clone();
        let body = format!(r#"{{"username":"bob","password":"{bad}"}}"#);
        for (at, path) in [(self.users_at, "/users"), (self.auth_at, "/login")] {
            let start =
                format!("POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n");
            for rest in [
                format!("Content-Length: 5\r\n\r\n{body}\r\n\r\n"),
                format!("Content-Length: 34\r\n\r\n{body}\r\n\r\n"),
                format!("Content-Length: {bad}\r\n\r\n{body}"),
                format!("Transfer-Encoding: chunked\r\n\r\n{body}\r\n0\r\n\r\n"),
                format!("{body}\r\n\r\n"),
            ] {
                let said = exchanged(at, &format!("{start}{rest}")).await;
                assert!(said.starts_with("HTTP/1.1 4"), "{said}");
                self.said.push_str(&said);
            }
            self.said.push_str(&exchanged(at, &format!("{body}\r\n\r\n")).await);
        }
    }
}

/// Sends the bytes and no more; returns all that is answered.
async fn exchanged(at: SocketAddr, sent: &str) -> String {
    let mut stream = TcpStream::connect(at).await.unwrap();
    stream.write_all(sent.as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut answers = Vec::new();
    within("the answer", BOUND, stream.read_to_end(&mut answers)).await.unwrap();
    String::from_utf8_lossy(&answers).into_owned()
}
