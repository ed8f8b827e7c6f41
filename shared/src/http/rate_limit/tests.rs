use super::*;
use actix_web::ResponseError;
use futures_util::FutureExt;
use futures_util::future::join_all;
use std::net::IpAddr;

const HOME: &str = "192.0.2.1";
const ELSEWHERE: &str = "203.0.113.9";

/// In one minute, three wrong passwords for a name and five from an address.
fn launch() -> (GuessLimit, MonotonicClock) {
    limit_of(3, 5)
}

fn limit_of(per_name: u32, per_address: u32) -> (GuessLimit, MonotonicClock) {
    let settings = GuessingArgs {
        login_failures_per_name: per_name,
        login_failures_per_address: per_address,
        login_failures_window: "60s".parse().unwrap(),
        trusted_proxies: vec![],
    };
    let clock = MonotonicClock::manual();
    (GuessLimit::launch(&settings, clock.clone(), &Health::default()), clock)
}

fn at(address: &str) -> ClientAddress {
    ClientAddress(address.parse::<IpAddr>().unwrap())
}

/// One login with a right or wrong password; returns the status that its client gets.
async fn guess(limit: &GuessLimit, subject: &str, address: &str, is_right: bool) -> u16 {
    match limit.begin(subject, 1, at(address)).await {
        Ok(guess) => {
            guess.settle(is_right);
            if is_right { 200 } else { 401 }
        }
        Err(problem) => problem.status_code().as_u16(),
    }
}

async fn fail_until_refused(limit: &GuessLimit, subject: &str, address: &str) -> usize {
    for count in 0..1000 {
        if guess(limit, subject, address, false).await == 429 {
            return count;
        }
    }
    panic!("never refused")
}

#[actix::test]
async fn a_name_takes_so_many_wrong_passwords_from_wherever_they_come() {
    let (limit, clock) = launch();
    for address in ["192.0.2.1", "192.0.2.2", "192.0.2.3"] {
        assert_eq!(guess(&limit, "ada", address, false).await, 401);
    }
    assert_eq!(guess(&limit, "ada", "192.0.2.4", true).await, 429, "not even looked at");
    assert_eq!(guess(&limit, "bob", "192.0.2.4", true).await, 200);
    clock.advance(Duration::from_secs(20));
    assert_eq!(guess(&limit, "ada", "192.0.2.4", false).await, 401, "one came back");
    assert_eq!(guess(&limit, "ada", "192.0.2.4", false).await, 429);
}

#[actix::test]
async fn an_address_has_so_many_wrong_passwords_for_whatever_names() {
    let (limit, clock) = launch();
    for name in ["a", "b", "c", "d", "e"] {
        assert_eq!(guess(&limit, name, "2001:db8::1", false).await, 401);
    }
    assert_eq!(guess(&limit, "f", "2001:db8::ffff", false).await, 429, "the same /64");
    assert_eq!(guess(&limit, "f", "2001:db8:0:1::1", false).await, 401);
    clock.advance(Duration::from_secs(12));
    assert_eq!(guess(&limit, "f", "2001:db8::1", true).await, 200);
}

#[actix::test]
async fn at_the_same_moment_no_more_are_checked_than_one_after_the_other() {
    let (limit, _) = launch();
    let tries = (0..200).map(|n| {
        let (limit, address) = (limit.clone(), format!("192.0.2.{n}"));
        async move {
            let Ok(guess) = limit.begin("ada", 1, at(&address)).await else { return 429 };
            tokio::task::yield_now().await;
            guess.settle(false);
            401
        }
    });
    let statuses = join_all(tries).await;
    assert_eq!(statuses.iter().filter(|status| **status == 401).count(), 3);
    assert_eq!(statuses.iter().filter(|status| **status == 429).count(), 197);
}

#[actix::test]
async fn right_passwords_cost_nothing_however_many_come_at_once() {
    let (limit, _) = launch();
    let tries = (0..200).map(|_| guess(&limit, "ada", HOME, true));
    assert!(join_all(tries).await.iter().all(|status| *status == 200));
    assert_eq!(fail_until_refused(&limit, "ada", ELSEWHERE).await, 3);
}

#[actix::test]
async fn whoever_logged_in_lately_is_not_locked_out_by_strangers() {
    let (limit, clock) = launch();
    assert_eq!(guess(&limit, "ada", HOME, true).await, 200);
    assert_eq!(fail_until_refused(&limit, "ada", ELSEWHERE).await, 3);
    assert_eq!(guess(&limit, "ada", HOME, true).await, 200, "the name's budget is spent");
    for name in ["b", "c", "d", "e", "f"] {
        guess(&limit, name, HOME, false).await;
    }
    assert_eq!(guess(&limit, "b", HOME, true).await, 429, "the address's budget is spent, too");
    assert_eq!(guess(&limit, "ada", HOME, true).await, 200);
    assert_eq!(fail_until_refused(&limit, "ada", HOME).await, 3, "and guessing there is bounded");
    clock.advance(KNOWN_FOR + Duration::from_secs(1));
    assert_eq!(fail_until_refused(&limit, "ada", ELSEWHERE).await, 3);
    assert_eq!(guess(&limit, "ada", HOME, true).await, 429, "known no longer");
}

#[actix::test]
async fn a_new_password_starts_with_a_whole_budget() {
    let (limit, _) = launch();
    assert_eq!(fail_until_refused(&limit, "ada", ELSEWHERE).await, 3);
    limit.begin("ada", 2, at(ELSEWHERE)).await.unwrap().settle(true);
    assert_eq!(guess(&limit, "bob", ELSEWHERE, false).await, 401, "two of the address are left");
    assert_eq!(guess(&limit, "bob", ELSEWHERE, false).await, 401);
    assert_eq!(limit.begin("cleo", 1, at(ELSEWHERE)).await.unwrap_err().status_code(), 429);
}

#[actix::test]
async fn a_check_that_nobody_waited_for_counts_as_none_and_lets_the_next_one_in() {
    let (limit, _) = launch();
    let mut begun = Vec::new();
    for _ in 0..3 {
        begun.push(limit.begin("ada", 1, at(HOME)).await.unwrap());
    }
    let mut fourth = Box::pin(limit.begin("ada", 1, at(HOME)));
    tokio::task::yield_now().await;
    assert!(fourth.as_mut().now_or_never().is_none(), "it waits");
    begun.clear();
    fourth.await.unwrap().settle(false);
    assert_eq!(fail_until_refused(&limit, "ada", HOME).await, 2);
}

#[actix::test]
async fn more_than_may_wait_are_refused_and_who_gave_up_waiting_is_passed_over() {
    let (limit, _) = limit_of(1, 0);
    let first = limit.begin("ada", 1, at(HOME)).await.unwrap();
    let mut tries = Vec::new();
    for n in 0..WAITING_MAX + 10 {
        let limit = limit.clone();
        tries.push(actix::spawn(async move { guess(&limit, "ada", HOME, true).await }));
        if n % 100 == 0 {
            // So that the actor's mailbox never gets full.
            tokio::task::yield_now().await;
        }
    }
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    for gave_up in &tries[..100] {
        gave_up.abort();
    }
    first.settle(true);
    let statuses: Vec<u16> = join_all(tries).await.into_iter().flatten().collect();
    assert_eq!(statuses.iter().filter(|status| **status == 503).count(), 10);
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), WAITING_MAX - 100);
}

#[actix::test]
async fn a_budget_of_zero_is_no_limit() {
    let (limit, _) = limit_of(0, 0);
    for _ in 0..1000 {
        assert_eq!(guess(&limit, "ada", HOME, false).await, 401);
    }
}

#[actix::test]
async fn a_refusal_says_in_headers_when_to_come_back() {
    let (limit, clock) = launch();
    fail_until_refused(&limit, "ada", HOME).await;
    clock.advance(Duration::from_millis(1500));
    let answer = limit.begin("ada", 1, at(HOME)).await.unwrap_err().error_response();
    let header = |name: &str| answer.headers().get(name).unwrap().to_str().unwrap().to_owned();
    assert_eq!(header("retry-after"), "19", "18.5 s, and no less");
    assert_eq!(header("ratelimit-policy"), r#""login-name";q=3;w=60"#);
    assert_eq!(header("ratelimit"), r#""login-name";r=0;t=19"#);
}
