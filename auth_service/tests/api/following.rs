use crate::test_app::TestApp;

#[actix_web::test]
async fn events_that_come_twice_or_in_another_order_leave_the_same_users() {
    let app = TestApp::start().await;
    let id = app.users.create("first", "testpassword");
    app.users.create("second", "testpassword");
    app.users.rename(id, "renamed");
    app.users.create("first", "otherpassword");
    app.users.publish([3, 1, 1, 4, 2, 3, 2, 4, 1]).await;
    app.until_applied().await;
    for (name, password, status) in [
        ("renamed", "testpassword", 200),
        ("second", "testpassword", 200),
        ("first", "otherpassword", 200),
        ("first", "testpassword", 401),
    ] {
        assert_eq!(app.login(name, password).await.status, status, "{name} {password}");
    }
    app.stop().await;
}

#[actix_web::test]
async fn names_that_are_handed_on_in_one_burst_meet_no_conflict() {
    let app = TestApp::start().await;
    let (first, second) =
        (app.users.create("a", "password-1"), app.users.create("c", "password-2"));
    app.users.rename(first, "b");
    app.users.rename(second, "a");
    app.users.rename(first, "c");
    app.users.publish(1..=5).await;
    app.until_applied().await;
    assert_eq!(app.login("a", "password-2").await.status, 200);
    assert_eq!(app.login("c", "password-1").await.status, 200);
    assert_eq!(app.login("b", "password-1").await.status, 401);
    app.stop().await;
}

#[actix_web::test]
async fn what_happened_while_the_service_was_away_is_applied_when_it_is_back() {
    let app = TestApp::start().await;
    app.users.create("testuser", "testpassword");
    app.bring().await;
    let users = app.users.clone();
    let app = app
        .restart_after(|_| {
            users.create("newcomer", "testpassword");
            users.delete(1);
        })
        .await;
    app.until_applied().await;
    assert_eq!(app.login("newcomer", "testpassword").await.status, 200);
    assert_eq!(app.login("testuser", "testpassword").await.status, 401);
    app.stop().await;
}
