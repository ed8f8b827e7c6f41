//! The real nginx with the configuration of docs/proxies.md, in front of an application that answers with
//! the headers that it got.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::time::Duration;

use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use awc::http::StatusCode;
use serde_json::Value;
use tempfile::TempDir;
use testkit::service_process::ServiceProcess;
use testkit::wait::until_holds;

use crate::documented::{INTEGRATE, PROXIES, block};
use crate::journeys::until_login_gives;
use crate::system::System;

const PASSWORD: &str = "testpassword";
const NGINX: &str = "/usr/sbin/nginx";
/// What the configuration leaves open: one process without privileges, with its files in its prefix.
const FRAME: &str = "daemon off; master_process off; pid nginx.pid; error_log stderr error;
events {}
http {
    access_log off;
    client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi; scgi_temp_path scgi;
    include documented.conf;
}
";

/// nginx in front of the application; the system behind it is given.
struct Proxy {
    _prefix: TempDir,
    nginx: ServiceProcess,
    at: SocketAddr,
}

/// An answer through the proxy.
#[derive(Debug)]
struct Answer {
    status: StatusCode,
    challenge: Option<String>,
    retry_after: Option<String>,
    /// The headers that the application got, as pairs; null if it was not reached.
    seen: Value,
}

impl Answer {
    fn all_seen(&self, name: &str) -> Vec<&str> {
        let pairs = self.seen.as_array().unwrap().iter();
        pairs.filter(|pair| pair[0] == name).map(|pair| pair[1].as_str().unwrap()).collect()
    }
}

impl Proxy {
    async fn start(auth: SocketAddr) -> Self {
        assert!(std::path::Path::new(NGINX).exists(), "scripts/install.sh nginx");
        let at = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap();
        let addresses = [
            ("127.0.0.1:8002", auth),
            ("127.0.0.1:8080", at),
            ("127.0.0.1:3000", start_application()),
        ];
        let prefix = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(prefix.path().join(name), text);
        write("nginx.conf", FRAME).unwrap();
        write("documented.conf", &with_cookies(&block(PROXIES, "nginx", &addresses))).unwrap();
        let mut command = Command::new(NGINX);
        command.arg("-p").arg(prefix.path()).args(["-e", "stderr", "-c", "nginx.conf"]);
        let nginx = ServiceProcess::spawn(command, &[]);
        let proxy = Self { _prefix: prefix, nginx, at };
        let bound = Duration::from_secs(30);
        until_holds("nginx listens", bound, || TcpStream::connect(at).is_ok()).await;
        proxy
    }

    async fn get(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        let mut request = awc::Client::new().get(format!("http://{}{path}", self.at));
        for header in headers {
            request = request.append_header(*header);
        }
        let mut response = request.send().await.unwrap();
        let header = |name: &str| Some(response.headers().get(name)?.to_str().unwrap().to_owned());
        let (challenge, retry_after) = (header("www-authenticate"), header("retry-after"));
        let body = response.body().await.unwrap();
        let seen = serde_json::from_slice(&body).unwrap_or_default();
        let seen = if Value::is_array(&seen) { seen } else { Value::Null };
        Answer { status: response.status(), challenge, retry_after, seen }
    }

    async fn get_as(&self, token: &str) -> Answer {
        self.get("/", &[("authorization", &format!("Bearer {token}"))]).await
    }
}

/// The configuration with what docs/integrate.md adds, so that a token may also come in a cookie.
fn with_cookies(configuration: &str) -> String {
    let added = block(INTEGRATE, "nginx", &[]);
    let (map, header) = added.split_once("# in location = /_verify:").unwrap();
    let place = "location = /_verify {";
    assert_eq!(configuration.matches(place).count(), 1);
    format!("{map}{}", configuration.replace(place, &format!("{place}{header}")))
}

/// An application that answers with its request's headers, and at `/broken` with 500.
fn start_application() -> SocketAddr {
    let echo = |request: HttpRequest| async move {
        let headers = request.headers().iter();
        let text = |(name, value): (&_, &_)| (format!("{name}"), format_value(value));
        let status = if request.path() == "/broken" { 500 } else { 200 };
        let status = StatusCode::from_u16(status).unwrap();
        HttpResponse::build(status).json(headers.map(text).collect::<Vec<_>>())
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

fn format_value(value: &actix_web::http::header::HeaderValue) -> String {
    String::from_utf8_lossy(value.as_bytes()).into_owned()
}

#[actix_web::test]
async fn nginx_as_documented_lets_through_what_carries_a_live_token_and_nothing_else() {
    let mut system = System::in_one_process();
    let user = system.client.create("Zoë", PASSWORD).await;
    until_login_gives(system.client, "Zoë", PASSWORD, 200).await;
    let token = system.client.token("Zoë", PASSWORD).await;
    let proxy = Proxy::start(system.client.auth).await;

    a_live_token_passes(&proxy, &token, user.id).await;
    what_a_client_says_of_itself_is_replaced(&proxy, &token, user.id).await;
    no_other_form_of_the_header_passes(&proxy, &token).await;

    a_token_in_a_cookie_passes(&proxy, &token, user.id).await;

    let inside = proxy.get("/_verify", &[("authorization", &format!("Bearer {token}"))]).await;
    assert_eq!(inside.status, 404, "the inner location is for nginx alone");
    let broken = proxy.get("/broken", &[("authorization", &format!("Bearer {token}"))]).await;
    assert_eq!(broken.status, 500, "of the application, not of auth_service");
    assert_eq!(broken.retry_after, None);

    assert_eq!(system.client.logout(&token).await.status, 200);
    let logged_out = proxy.get_as(&token).await;
    assert_eq!((logged_out.status.as_u16(), &logged_out.seen), (401, &Value::Null));
    let challenge = logged_out.challenge.unwrap();
    assert!(challenge.contains("invalid_token"), "{challenge}");

    let live = system.client.token("Zoë", PASSWORD).await;
    assert_eq!(proxy.get_as(&live).await.status, 200);
    system.stop();
    let unknown = proxy.get_as(&live).await;
    assert_eq!((unknown.status.as_u16(), &unknown.seen), (503, &Value::Null));
    assert_eq!(unknown.retry_after.as_deref(), Some("1"));
    proxy.nginx.stop();
}

async fn a_live_token_passes(proxy: &Proxy, token: &str, id: i64) {
    let answer = proxy.get_as(token).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.all_seen("x-user-id"), [id.to_string()]);
    assert_eq!(answer.all_seen("x-username"), ["Zo%C3%AB"]);
    assert!(answer.all_seen("authorization").is_empty(), "{answer:?}");
}

async fn a_token_in_a_cookie_passes(proxy: &Proxy, token: &str, id: i64) {
    let cookie = format!("other=1; token={token}");
    let answer = proxy.get("/", &[("cookie", &cookie)]).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.all_seen("x-user-id"), [id.to_string()]);
    for cookie in ["token=", "token=x", "other=1"] {
        let answer = proxy.get("/", &[("cookie", cookie)]).await;
        assert_eq!((answer.status.as_u16(), answer.seen), (401, Value::Null), "{cookie}");
    }
}

async fn what_a_client_says_of_itself_is_replaced(proxy: &Proxy, token: &str, id: i64) {
    let bearer = format!("Bearer {token}");
    let mut headers = vec![("authorization", &*bearer)];
    for name in ["x-user-id", "X-USER-ID", "x_user_id", "x-username", "x_username"] {
        headers.push((name, "999"));
    }
    let answer = proxy.get("/", &headers).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.all_seen("x-user-id"), [id.to_string()]);
    assert_eq!(answer.all_seen("x-username"), ["Zo%C3%AB"]);
    assert!(!answer.seen.to_string().contains("999"), "{answer:?}");
}

async fn no_other_form_of_the_header_passes(proxy: &Proxy, token: &str) {
    let without = proxy.get("/", &[("x-user-id", "1")]).await;
    assert_eq!((without.status.as_u16(), &without.seen), (401, &Value::Null));
    assert!(without.challenge.unwrap().starts_with("Bearer"));
    let encoded = [format!("Bearer%20{token}"), format!("Bearer {}", token.replace('.', "%2E"))];
    for value in encoded {
        let answer = proxy.get("/", &[("authorization", &value)]).await;
        assert_eq!((answer.status.as_u16(), answer.seen), (401, Value::Null), "{value}");
    }
    let bearer = format!("Bearer {token}");
    for other in [&*bearer, "Bearer x", "Basic eDp5"] {
        let twice = [("authorization", &*bearer), ("authorization", other)];
        let answer = proxy.get("/", &twice).await;
        assert_eq!(answer.seen, Value::Null, "{answer:?}");
        assert!([400, 401].contains(&answer.status.as_u16()), "{answer:?}");
    }
}
