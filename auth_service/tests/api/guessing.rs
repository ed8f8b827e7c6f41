use awc::http::Method;
use futures_util::future::join_all;
use serde_json::json;
use shared::clock::Clock;

use crate::test_app::{Answer, TestApp, read};

async fn app_with_testuser(settings: &[&str]) -> TestApp {
    let app = TestApp::start_with(settings, Clock::system()).await;
    app.users.create("testuser", "testpassword");
    app.bring().await;
    app
}

async fn login_from(app: &TestApp, address: &str, username: &str, password: &str) -> Answer {
    app.login_with(username, password, &[("X-Forwarded-For", address)]).await
}

const BEHIND_A_PROXY: [&str; 2] = ["--trusted-proxies", "127.0.0.0/8,::1"];

#[actix_web::test]
async fn of_wrong_passwords_at_the_same_moment_no_more_are_looked_at_than_the_budget_allows() {
    let app = app_with_testuser(&[]).await;
    for name in ["testuser", "nobody"] {
        let answers = join_all((0..40).map(|_| app.login(name, "wrongpassword"))).await;
        let count = |status| answers.iter().filter(|answer| answer.status == status).count();
        assert_eq!((count(401), count(429)), (10, 30), "{name}");
    }
    let answer = app.login("TESTUSER", "testpassword").await;
    assert_eq!((answer.status, answer.problem().as_str()), (429, "too-many-failures"));
    let wait: u64 = answer.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=90).contains(&wait), "{wait}");
    assert_eq!(answer.header("ratelimit-policy"), Some(r#""login-name";q=10;w=900"#));
    let wanted = format!(r#""login-name";r=0;t={wait}"#);
    assert_eq!(answer.header("ratelimit"), Some(wanted.as_str()));
    app.stop().await;
}

#[actix_web::test]
async fn a_name_that_gets_a_new_password_has_a_whole_budget_again() {
    let app = TestApp::start().await;
    for status in [401; 10].into_iter().chain([429]) {
        // A client that asks again and again whether its user has arrived.
        assert_eq!(app.login("testuser", "testpassword").await.status, status);
    }
    app.users.create("testuser", "testpassword");
    app.bring().await;
    assert_eq!(app.login("testuser", "testpassword").await.status, 200);
    app.stop().await;
}

#[actix_web::test]
async fn right_passwords_cost_nothing() {
    let app = app_with_testuser(&["--login-failures-per-name", "2"]).await;
    let answers = join_all((0..50).map(|_| app.login("testuser", "testpassword"))).await;
    assert!(answers.iter().all(|answer| answer.status == 200), "{answers:?}");
    app.stop().await;
}

#[actix_web::test]
async fn nobody_is_locked_out_of_the_place_where_they_logged_in_lately() {
    let app = app_with_testuser(&BEHIND_A_PROXY).await;
    let (home, elsewhere) = ("192.0.2.1", "2001:db8::1");
    assert_eq!(login_from(&app, home, "testuser", "testpassword").await.status, 200);
    for _ in 0..10 {
        let answer = login_from(&app, elsewhere, "testuser", "wrongpassword").await;
        assert_eq!(answer.status, 401);
    }
    for address in [elsewhere, "2001:db8::2", "198.51.100.1"] {
        assert_eq!(login_from(&app, address, "testuser", "testpassword").await.status, 429);
    }
    assert_eq!(login_from(&app, home, "testuser", "testpassword").await.status, 200);
    app.stop().await;
}

#[actix_web::test]
async fn an_address_tries_so_many_names_and_no_more() {
    let settings = [&BEHIND_A_PROXY[..], &["--login-failures-per-address", "5"]].concat();
    let app = app_with_testuser(&settings).await;
    for n in 0..5 {
        let address = format!("2001:db8::{n}");
        let answer = login_from(&app, &address, &format!("name-{n}"), "password").await;
        assert_eq!(answer.status, 401);
    }
    let refused = login_from(&app, "2001:db8::9", "testuser", "testpassword").await;
    assert_eq!((refused.status, refused.problem().as_str()), (429, "too-many-failures"));
    assert!(refused.header("ratelimit").unwrap().starts_with(r#""login-address";r=0;t="#));
    let forged = login_from(&app, "192.0.2.1, 2001:db8::9", "testuser", "testpassword").await;
    assert_eq!(forged.status, 429, "what is left of the proxy's word counts for nothing");
    assert_eq!(login_from(&app, "192.0.2.1", "testuser", "testpassword").await.status, 200);
    app.stop().await;
}

#[actix_web::test]
async fn without_trusted_proxies_nobody_chooses_an_address() {
    let app = app_with_testuser(&["--login-failures-per-address", "5"]).await;
    for n in 0..6 {
        let answer = login_from(&app, &format!("192.0.2.{n}"), &format!("n{n}"), "password").await;
        assert_eq!(answer.status, if n < 5 { 401 } else { 429 });
    }
    app.stop().await;
}

#[actix_web::test]
async fn a_budget_of_zero_lets_everybody_guess() {
    let settings = ["--login-failures-per-name", "0", "--login-failures-per-address", "0"];
    let app = app_with_testuser(&settings).await;
    let answers = join_all((0..40).map(|_| app.login("testuser", "wrongpassword"))).await;
    assert!(answers.iter().all(|answer| answer.status == 401));
    app.stop().await;
}

#[actix_web::test]
async fn what_is_refused_for_its_form_is_no_failure() {
    let app = app_with_testuser(&["--login-failures-per-name", "1"]).await;
    for _ in 0..3 {
        let request = app.request(Method::POST, "/login");
        let answer = read(request.send_json(&json!({"username": "testuser"})).await.unwrap()).await;
        assert_eq!(answer.status, 400);
    }
    assert_eq!(app.login("testuser", "testpassword").await.status, 200);
    app.stop().await;
}
