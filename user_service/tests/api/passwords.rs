use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::test_app::{Setup, TestApp};

fn change(password: &str, current: &str) -> Value {
    json!({"password": password, "current_password": current})
}

#[actix_web::test]
async fn a_password_that_others_guess_first_is_refused() {
    let app = TestApp::start().await;
    app.create("AdaLovelace").await;
    for bad in ["password", "PASSWORD", "qwerty123", "iloveyou", "adalovelace", "AdaLovelace1815!"]
    {
        let created = app.post(&json!({"username": "adalovelace", "password": bad})).await;
        created.assert_problem(422, "refused-value");
        assert_eq!(created.pointers(), ["/password"], "{bad}");
        let changed = app.put(1, &change(bad, "testpassword")).await;
        changed.assert_problem(422, "refused-value");
        assert_eq!(changed.pointers(), ["/password"], "{bad}");
        let told = created.json()["errors"].to_string() + &changed.json()["errors"].to_string();
        assert!(bad == "password" || !told.contains(bad), "{told}");
    }
    let taken = json!({"username": "bob", "password": "AdaLovelace1815!"});
    assert_eq!(app.post(&taken).await.status, 201, "another user's name is a password like any");
    let mut renaming = change("charlesbabbage7", "testpassword");
    renaming["username"] = "CharlesBabbage".into();
    app.put(1, &renaming).await.assert_problem(422, "refused-value");
    assert_eq!(app.put(1, &change("charlesbabbage7", "testpassword")).await.status, 200);
    app.stop().await;
}

#[actix_web::test]
async fn settings_switch_the_list_off_or_except_passwords_from_it() {
    let post = async |flags: Vec<&'static str>, password: &str| {
        let app = Setup { flags, ..Setup::default() }.start().await;
        let answer = app.post(&json!({"username": "testuser", "password": password})).await;
        app.stop().await;
        answer.status
    };
    assert_eq!(post(vec![], "testpassword").await, 201);
    assert_eq!(post(vec!["--password-blocklist", "off"], "password").await, 201);
    let except = vec!["--password-blocklist-except", "trustno1,Password"];
    assert_eq!(post(except.clone(), "password").await, 201);
    assert_eq!(post(except, "iloveyou").await, 422);
}

#[actix_web::test]
async fn of_wrong_current_passwords_no_more_are_looked_at_than_the_budget_allows() {
    let app = TestApp::start().await;
    app.create("testuser").await;
    app.create("other").await;
    let wrong = change("otherpassword", "wrongpassword");
    let answers = join_all((0..30).map(|_| app.put(1, &wrong))).await;
    let count = |status| answers.iter().filter(|answer| answer.status == status).count();
    assert_eq!((count(403), count(429)), (10, 20));
    let refused = app.put(1, &change("otherpassword", "testpassword")).await;
    refused.assert_problem(429, "too-many-failures");
    assert_eq!(refused.header("ratelimit-policy"), r#""login-name";q=10;w=900"#);
    assert!(refused.header("retry-after").parse::<u64>().unwrap() <= 90);
    assert_eq!(app.put(1, &json!({"username": "renamed"})).await.status, 200, "no password asked");
    assert_eq!(app.put(2, &change("otherpassword", "testpassword")).await.status, 200);
    app.stop().await;
}
