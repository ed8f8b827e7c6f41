use serde_json::json;

use crate::test_app::{Setup, TestApp};
use contract::{EventKind, Position, UserChange};

#[actix_web::test]
async fn a_user_is_renamed_and_the_etag_and_the_log_move_on() {
    let app = TestApp::start().await;
    app.create("anna").await;
    let answer = app.put(1, &json!({"username": "newusername"})).await;
    assert_eq!(
        (answer.status, answer.text.as_str()),
        (200, r#"{"id":1,"username":"newusername"}"#)
    );
    let token = answer.header("consistency-token");
    assert_eq!(answer.header("etag"), format!("\"{token}\""));
    assert_eq!(Position::decode(token).map(|position| position.seq), Some(2));
    let own_in_another_case = app.put(1, &json!({"username": "NewUserName"})).await;
    assert_eq!(own_in_another_case.json()["username"], "NewUserName");
    app.stop().await;
}

#[actix_web::test]
async fn a_taken_name_is_refused_and_a_freed_one_is_free() {
    let app = TestApp::start().await;
    app.create("anna").await;
    app.create("bert").await;
    let taken = app.put(2, &json!({"username": "ANNA"})).await;
    taken.assert_problem(409, "username-taken");
    assert_eq!(app.delete(1).await.status, 200);
    assert_eq!(app.put(2, &json!({"username": "ANNA"})).await.status, 200);
    app.stop().await;
}

#[actix_web::test]
async fn a_deleted_user_is_shown_as_they_last_were_and_their_id_is_not_used_again() {
    let app = TestApp::start().await;
    app.create("anna").await;
    let answer = app.delete(1).await;
    assert_eq!((answer.status, answer.text.as_str()), (200, r#"{"id":1,"username":"anna"}"#));
    let token = Position::decode(answer.header("consistency-token"));
    assert_eq!(token.map(|position| position.seq), Some(2));
    app.delete(1).await.assert_problem(404, "no-such-user");
    assert_eq!(app.create("anna").await, 2);
    app.stop().await;
}

#[actix_web::test]
async fn a_change_of_password_needs_the_current_one() {
    let app = TestApp::start().await;
    app.create("anna").await;
    let change = |new: &str, current: &str| json!({"password": new, "current_password": current});
    let wrong = app.put(1, &change("otherpassword", "wrongpassword")).await;
    wrong.assert_problem(403, "wrong-current-password");
    let never_a_password = app.put(1, &change("otherpassword", "a\u{7}")).await;
    never_a_password.assert_problem(403, "wrong-current-password");
    assert_eq!(app.put(1, &change("otherpassword", "testpassword")).await.status, 200);
    let old = app.put(1, &change("thirdpassword", "testpassword")).await;
    old.assert_problem(403, "wrong-current-password");
    let both = json!({"username": "bert", "password": "thirdpassword",
                      "current_password": "otherpassword"});
    assert_eq!(app.put(1, &both).await.json()["username"], "bert");
    let records = app.records();
    let last: UserChange = serde_json::from_str(&records.last().unwrap().data).unwrap();
    let last = last.user.unwrap();
    assert_eq!((records.len(), last.version, last.password_version), (3, 3, 3));
    app.stop().await;
}

#[actix_web::test]
async fn what_does_not_belong_together_is_refused() {
    let app = TestApp::start().await;
    app.create("anna").await;
    for (body, pointers) in [
        (json!({}), vec![""]),
        (json!({"password": "otherpassword"}), vec!["/current_password"]),
        (json!({"current_password": "testpassword"}), vec!["/password"]),
        (json!({"username": "bert", "current_password": "testpassword"}), vec!["/password"]),
        (
            json!({"username": "a b", "password": "short"}),
            vec!["/current_password", "/username", "/password"],
        ),
    ] {
        let answer = app.put(1, &body).await;
        answer.assert_problem(422, "refused-value");
        assert_eq!(answer.pointers(), pointers, "{body}");
    }
    assert_eq!(app.records().len(), 1);
    app.stop().await;
}

#[actix_web::test]
async fn if_match_lets_only_those_change_who_have_seen_the_user() {
    let app = TestApp::start().await;
    app.create("anna").await;
    let name = json!({"username": "bert"});
    let password = json!({"password": "otherpassword", "current_password": "testpassword"});
    let tag = app.tag(1).await;
    // The second is how commit 2574c51 named a user's first state.
    for stale in ["\"x\"", "\"1.1\"", &format!("W/{tag}"), "\"a\", \"b\"", "", ",", "\"1.1,\""] {
        let headers = [("if-match", stale)];
        for body in [&name, &password] {
            let answer = app.send_json("PUT", "/users/1", &headers, body).await;
            answer.assert_problem(412, "precondition-failed");
        }
        let answer = app.send("DELETE", "/users/1", &headers, "").await;
        answer.assert_problem(412, "precondition-failed");
    }
    for malformed in ["1.1", "*, \"1.1\"", "\"1.1"] {
        let answer = app.send_json("PUT", "/users/1", &[("if-match", malformed)], &name).await;
        answer.assert_problem(400, "malformed-request");
    }
    let last = format!("{tag},");
    let listed = [("if-match", ",\"x,y\", ,"), ("if-match", &*last)];
    assert_eq!(app.send_json("PUT", "/users/1", &listed, &name).await.status, 200);
    let tag = app.tag(1).await;
    let right = [("if-match", &*tag)];
    assert_eq!(app.send_json("PUT", "/users/1", &right, &password).await.status, 200);
    assert_eq!(app.send("DELETE", "/users/1", &[("if-match", "*")], "").await.status, 200);
    app.stop().await;
}

#[actix_web::test]
async fn if_none_match_refuses_a_change_of_the_state_that_it_names() {
    let app = TestApp::start().await;
    app.create("anna").await;
    let name = json!({"username": "bert"});
    let password = json!({"password": "otherpassword", "current_password": "testpassword"});
    let tag = app.tag(1).await;
    for present in ["*", &tag, &format!("W/{tag}"), &format!("\"x\", ,{tag},")] {
        let headers = [("if-none-match", present)];
        for body in [&name, &password] {
            let answer = app.send_json("PUT", "/users/1", &headers, body).await;
            answer.assert_problem(412, "precondition-failed");
        }
        let answer = app.send("DELETE", "/users/1", &headers, "").await;
        answer.assert_problem(412, "precondition-failed");
    }
    assert_eq!(app.records().len(), 1);
    let neither = [("if-match", &*tag), ("if-none-match", "*")];
    let answer = app.send_json("PUT", "/users/1", &neither, &name).await;
    answer.assert_problem(412, "precondition-failed");
    let other = [("if-match", "*"), ("if-none-match", "\"1.7\"")];
    assert_eq!(app.send_json("PUT", "/users/1", &other, &name).await.status, 200);
    assert_eq!(app.send("DELETE", "/users/1", &[("if-none-match", &*tag)], "").await.status, 200);
    app.send("DELETE", "/users/1", &[("if-none-match", "*")], "")
        .await
        .assert_problem(404, "no-such-user");
    app.stop().await;
}

#[actix_web::test]
async fn what_get_returned_may_be_put_and_another_id_is_refused() {
    let app = TestApp::start().await;
    app.create("anna").await;
    let mut user = app.get("/users/1").await.json();
    user["username"] = json!("bert");
    assert_eq!(app.put(1, &user).await.text, r#"{"id":1,"username":"bert"}"#);
    assert_eq!(app.put(1, &app.get("/users/1").await.json()).await.status, 200);
    let records = app.records().len();
    for id in [json!(2), json!(0), json!(-1), json!(18_446_744_073_709_551_615_u64)] {
        let answer = app.put(1, &json!({"id": id, "username": "carl"})).await;
        answer.assert_problem(422, "refused-value");
        assert_eq!(answer.pointers(), ["/id"]);
    }
    for id in [json!("1"), json!(1.5), json!(null), json!([1])] {
        let answer = app.put(1, &json!({"id": id, "username": "carl"})).await;
        answer.assert_problem(400, "malformed-request");
        assert_eq!(answer.pointers(), ["/id"]);
    }
    assert_eq!(app.records().len(), records);
    app.stop().await;
}

#[actix_web::test]
async fn an_installation_may_require_if_match() {
    let setup = Setup { flags: vec!["--require-if-match"], ..Setup::default() };
    let app = setup.start().await;
    app.create("anna").await;
    let name = json!({"username": "bert"});
    app.put(1, &name).await.assert_problem(428, "precondition-required");
    app.delete(1).await.assert_problem(428, "precondition-required");
    let tag = app.tag(1).await;
    let seen = [("if-match", &*tag)];
    assert_eq!(app.send_json("PUT", "/users/1", &seen, &name).await.status, 200);
    app.stop().await;
}

#[actix_web::test]
async fn each_kind_of_change_is_recorded_as_what_it_is() {
    let app = TestApp::start().await;
    app.create("anna").await;
    app.put(1, &json!({"username": "bert"})).await;
    app.delete(1).await;
    let kinds: Vec<_> = app.records().iter().map(|record| record.kind.clone()).collect();
    assert_eq!(kinds, [EventKind::CREATED, EventKind::UPDATED, EventKind::DELETED]);
    app.stop().await;
}
