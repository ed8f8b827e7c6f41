//! Whether the duration of a refused login reveals the reason for the refusal.
//!
//! Each round sends one login of each class, in random order, over one connection; their bodies are
//! equally long, and so are their answers. Welch's t compares the times of each class with those of
//! a wrong password: above 4.5 the classes can be told apart with certainty. Hashes are cheap here,
//! so that the rest of a login is visible, and so that ten thousand rounds take a minute.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use testkit::sample::Sample;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::raw_http::parse;
use crate::system::{Service, post, until_login_gives};
use crate::table::{Figure, Wanted};

/// The users that exist or existed.
pub(crate) const USERS: i64 = 2;
/// Logins of each class.
const ROUNDS: usize = 10_000;
/// Not counted: the first logins open connections and warm up caches and memory.
const WARM_UP: usize = 500;
/// A |t| above this value tells two classes apart.
const BOUND: f64 = 4.5;
/// The slowest tenth of all logins is left out: interruptions by the system would hide everything
/// else.
const KEPT: f64 = 0.9;
/// All bodies are padded to this length with spaces.
const BODY_LENGTH: usize = 320;

const CLASSES: [(&str, &str); 4] = [
    ("Welch's |t|: wrong password / the same again", "user1"),
    ("Welch's |t|: unknown name / wrong password", "user9"),
    ("Welch's |t|: deleted user / wrong password", "user2"),
    ("Welch's |t|: over-long password / wrong password", "user1"),
];

pub(crate) async fn measure() -> Vec<Figure> {
    let directory = tempfile::tempdir().unwrap();
    let users = SocketAddr::from(([127, 0, 0, 1], testkit::rabbitmq::free_port()));
    let settings = [
        ("USER_SERVICE_LISTEN", users.to_string()),
        ("ARGON2_MEMORY_KIB", "64".to_owned()),
        ("ARGON2_ITERATIONS", "1".to_owned()),
        ("HTTP_WORKERS", "1".to_owned()),
        ("HASH_THREADS", "1".to_owned()),
        // This measurement does guess passwords.
        ("LOGIN_FAILURES_PER_NAME", "0".to_owned()),
        ("LOGIN_FAILURES_PER_ADDRESS", "0".to_owned()),
        ("LOG", "warn".to_owned()),
    ];
    let settings: Vec<(&str, &str)> =
        settings.iter().map(|(name, value)| (*name, &**value)).collect();
    let service = Service::start_with("standalone", directory.path(), &settings).await;
    let auth = service.address;
    make_users(users, auth).await;
    let times = times_of_all(auth).await;
    let [wrong, others @ ..] = &kept(&times)[..] else { return Vec::new() };
    let figure = |((name, _), of): (&(&'static str, &str), &Vec<f64>)| Figure {
        name,
        value: welch_t(wrong, of).abs(),
        unit: "",
        wanted: Wanted::AtMost(BOUND),
        detail: format!(
            "{:.1} us, wrong password {:.1} us (means of {})",
            mean(of),
            mean(wrong),
            of.len()
        ),
    };
    CLASSES.iter().zip(others).map(figure).collect()
}

/// `user1` stays, `user2` is deleted, and auth_service knows both facts.
async fn make_users(users: SocketAddr, auth: SocketAddr) {
    for name in ["user1", "user2"] {
        assert_eq!(post(users, "/users", name).await.0, 201);
    }
    until_login_gives(auth, "user2", 200).await;
    let deleted = awc::Client::new().delete(format!("http://{users}/users/2")).send().await;
    assert!(deleted.unwrap().status().is_success());
    until_login_gives(auth, "user2", 401).await;
    until_login_gives(auth, "user1", 200).await;
}

/// In microseconds: the wrong password first, then each class.
async fn times_of_all(auth: SocketAddr) -> Vec<Vec<f64>> {
    let requests: Vec<Vec<u8>> = [("user1", "wrongpassword".to_owned())]
        .into_iter()
        .chain(CLASSES.iter().enumerate().map(|(n, (_, name))| {
            let is_long = n + 1 == CLASSES.len();
            (*name, if is_long { "x".repeat(200) } else { "wrongpassword".to_owned() })
        }))
        .map(|(name, password)| request(name, &password))
        .collect();
    let mut connection = TcpStream::connect(auth).await.unwrap();
    connection.set_nodelay(true).unwrap();
    let mut times = vec![Vec::with_capacity(ROUNDS); requests.len()];
    let mut order: Vec<usize> = (0..requests.len()).collect();
    for round in 0..WARM_UP + ROUNDS {
        shuffle(&mut order);
        for &class in &order {
            let time = send(&mut connection, &requests[class]).await;
            if round >= WARM_UP {
                times[class].push(time.as_secs_f64() * 1e6);
            }
        }
    }
    times
}

fn request(name: &str, password: &str) -> Vec<u8> {
    let body = format!(r#"{{"username":"{name}","password":"{password}"}}"#);
    format!(
        "POST /login HTTP/1.1\r\nHost: auth\r\nContent-Type: application/json\r\n\
         Content-Length: {BODY_LENGTH}\r\n\r\n{body:<BODY_LENGTH$}"
    )
    .into_bytes()
}

async fn send(connection: &mut TcpStream, request: &[u8]) -> Duration {
    let mut answer = Vec::with_capacity(2048);
    let sent = Instant::now();
    connection.write_all(request).await.unwrap();
    loop {
        let count = connection.read_buf(&mut answer).await.unwrap();
        assert!(count > 0, "the connection was closed");
        if let Some(head) = parse(&answer) {
            assert_eq!(head.status, 401);
            return sent.elapsed();
        }
    }
}

/// Fisher-Yates shuffle, with the randomness of the standard library.
fn shuffle(order: &mut [usize]) {
    use std::hash::{BuildHasher, RandomState};
    for last in (1..order.len()).rev() {
        let random = usize::try_from(RandomState::new().hash_one(last) >> 1).unwrap();
        order.swap(last, random % (last + 1));
    }
}

/// Leaves out the slowest logins over all classes together.
fn kept(times: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let limit = Sample::new(times.concat()).quantile(KEPT);
    let quick = |class: &Vec<f64>| class.iter().copied().filter(|time| *time <= limit).collect();
    times.iter().map(quick).collect()
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// The difference of the means, in units of its standard error (Welch 1947).
fn welch_t(one: &[f64], other: &[f64]) -> f64 {
    let error = |values: &[f64]| {
        let (mean, count) = (mean(values), values.len() as f64);
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        squares / (count - 1.0) / count
    };
    (mean(one) - mean(other)) / (error(one) + error(other)).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn means_that_differ_by_more_than_chance_are_told_apart_and_others_are_not() {
        let values = |shift: f64| (0..1_000).map(|n| f64::from(n % 10) + shift).collect::<Vec<_>>();
        assert!(welch_t(&values(0.0), &values(0.0)).abs() < 1e-9);
        assert!(welch_t(&values(0.0), &values(1.0)) < -BOUND);
        assert!(welch_t(&values(0.0), &values(0.1)).abs() < BOUND);
        // Computed by hand: means 2 and 4, variances 1 and 4, three values each.
        let t = welch_t(&[1.0, 2.0, 3.0], &[2.0, 4.0, 6.0]);
        assert!((t + 2.0 / (5.0_f64 / 3.0).sqrt()).abs() < 1e-12, "{t}");
    }
}
