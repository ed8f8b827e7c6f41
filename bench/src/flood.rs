//! Logins at a fixed rate, whatever becomes of those before: what an overload is.

use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use serde_json::json;

/// Between two bursts.
const TICK: Duration = Duration::from_millis(10);
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// What became of one login.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) has_retry_after: bool,
    /// From its sending.
    pub(crate) after: Duration,
}

/// Sends so many logins in a second for so long, and waits for all answers.
pub(crate) async fn flood(at: SocketAddr, per_s: f64, time: Duration, users: i64) -> Vec<Answer> {
    let connector = awc::Connector::new().limit(0);
    let client = awc::Client::builder().connector(connector).timeout(PATIENCE).finish();
    let (client, url) = (Rc::new(client), format!("http://{at}/login"));
    let (started, mut running, mut sent) = (Instant::now(), Vec::new(), 0_i64);
    while started.elapsed() < time {
        while (sent as f64) < started.elapsed().as_secs_f64() * per_s {
            sent += 1;
            let (client, url, user) = (Rc::clone(&client), url.clone(), 1 + sent % users);
            running.push(actix_web::rt::spawn(async move { log_in(&client, &url, user).await }));
        }
        tokio::time::sleep(TICK).await;
    }
    let mut answers = Vec::new();
    for login in running {
        answers.push(login.await.unwrap());
    }
    answers
}

async fn log_in(client: &awc::Client, url: &str, user: i64) -> Answer {
    let body = json!({ "username": format!("user{user}"), "password": "testpassword" });
    let sent = Instant::now();
    let answer = client.post(url).send_json(&body).await.unwrap();
    Answer {
        status: answer.status().as_u16(),
        has_retry_after: answer.headers().contains_key("retry-after"),
        after: sent.elapsed(),
    }
}
