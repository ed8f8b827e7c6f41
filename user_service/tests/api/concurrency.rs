use futures_util::future::join_all;
use serde_json::json;

use crate::test_app::TestApp;

#[actix_web::test]
async fn of_sixteen_creates_of_one_name_at_the_same_moment_one_succeeds() {
    let app = TestApp::start().await;
    let bodies: Vec<_> = (0..16)
        .map(|n| if n % 2 == 0 { "samename" } else { "SameName" })
        .map(|name| json!({"username": name, "password": "testpassword"}))
        .collect();
    let answers = join_all(bodies.iter().map(|body| app.post(body))).await;
    let created = answers.iter().filter(|answer| answer.status == 201).count();
    assert_eq!(created, 1);
    for answer in answers.iter().filter(|answer| answer.status != 201) {
        answer.assert_problem(409, "username-taken");
    }
    assert_eq!(app.records().len(), 1);
    app.stop().await;
}

#[actix_web::test]
async fn of_many_changes_of_password_with_the_same_current_one_only_one_succeeds() {
    let app = TestApp::start().await;
    app.create("anna").await;
    let bodies: Vec<_> = (0..8)
        .map(|n| json!({"password": format!("newpassword{n}"), "current_password": "testpassword"}))
        .collect();
    let answers = join_all(bodies.iter().map(|body| app.put(1, body))).await;
    let changed = answers.iter().filter(|answer| answer.status == 200).count();
    assert_eq!(changed, 1);
    for answer in answers.iter().filter(|answer| answer.status != 200) {
        answer.assert_problem(403, "wrong-current-password");
    }
    app.stop().await;
}

#[actix_web::test]
async fn of_many_conditional_renames_only_the_first_goes_through() {
    let app = TestApp::start().await;
    app.create("anna").await;
    let bodies: Vec<_> = (0..8).map(|n| json!({"username": format!("name{n}")})).collect();
    let tag = app.tag(1).await;
    let seen = [("if-match", &*tag)];
    let puts = bodies.iter().map(|body| app.send_json("PUT", "/users/1", &seen, body));
    let statuses: Vec<u16> = join_all(puts).await.iter().map(|answer| answer.status).collect();
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 1, "{statuses:?}");
    assert_eq!(statuses.iter().filter(|status| **status == 412).count(), 7, "{statuses:?}");
    app.stop().await;
}
