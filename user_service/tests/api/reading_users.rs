use crate::test_app::TestApp;

#[actix_web::test]
async fn a_user_is_read_with_an_etag_that_saves_the_next_read() {
    let app = TestApp::start().await;
    app.create("anna").await;
    let answer = app.get("/users/1").await;
    assert_eq!((answer.status, answer.text.as_str()), (200, r#"{"id":1,"username":"anna"}"#));
    let tag = answer.header("etag").to_owned();
    for (value, status) in
        [(tag.as_str(), 304), (&*format!("\"x\", W/{tag}"), 304), ("*", 304), ("\"1.2\"", 200)]
    {
        let answer = app.send("GET", "/users/1", &[("if-none-match", value)], "").await;
        assert_eq!((answer.status, answer.header("etag")), (status, &*tag), "{value}");
    }
    let malformed = app.send("GET", "/users/1", &[("if-none-match", "1.1")], "").await;
    malformed.assert_problem(400, "malformed-request");
    app.stop().await;
}

#[actix_web::test]
async fn a_read_honours_both_preconditions_and_if_match_comes_first() {
    let app = TestApp::start().await;
    app.create("anna").await;
    let tag = app.tag(1).await;
    let (weak, second) = (format!("W/{tag}"), format!(", {tag},"));
    for method in ["GET", "HEAD"] {
        for (headers, status) in [
            (vec![("if-match", "\"1.9\"")], 412),
            (vec![("if-match", &*weak)], 412),
            (vec![("if-match", "\"1.9\""), ("if-none-match", "*")], 412),
            (vec![("if-match", &*tag)], 200),
            (vec![("if-match", "*"), ("if-none-match", &*tag)], 304),
            (vec![("if-none-match", "\"x\""), ("if-none-match", &*second)], 304),
            (vec![("if-none-match", "\"1.1,\"")], 200),
        ] {
            let answer = app.send(method, "/users/1", &headers, "").await;
            assert_eq!(answer.status, status, "{method} {headers:?}");
        }
        let absent = app.send(method, "/users/9", &[("if-match", "*")], "").await;
        assert_eq!(absent.status, 404);
    }
    app.stop().await;
}

#[actix_web::test]
async fn answers_about_users_are_in_no_shared_cache() {
    let app = TestApp::start().await;
    app.create("anna").await;
    let tag = app.tag(1).await;
    let known = [("if-none-match", &*tag)];
    assert_eq!(app.get("/users/1").await.header("cache-control"), "private, no-cache");
    let unchanged = app.send("GET", "/users/1", &known, "").await;
    assert_eq!(unchanged.header("cache-control"), "private, no-cache");
    for path in ["/users", "/users?username=anna", "/users/7", "/users/x", "/nothing"] {
        assert_eq!(app.get(path).await.header("cache-control"), "no-store", "{path}");
    }
    assert_eq!(app.delete(1).await.header("cache-control"), "no-store");
    app.stop().await;
}

#[actix_web::test]
async fn head_answers_like_get_without_the_body() {
    let app = TestApp::start().await;
    app.create("anna").await;
    for path in ["/users/1", "/users"] {
        let (get, head) = (app.get(path).await, app.send("HEAD", path, &[], "").await);
        assert_eq!((head.status, head.text.as_str()), (200, ""));
        assert_eq!(head.headers.get("etag"), get.headers.get("etag"));
        assert_eq!(head.header("content-length"), get.text.len().to_string());
    }
    app.stop().await;
}

#[actix_web::test]
async fn a_user_who_is_not_there_is_a_problem_on_every_method() {
    let app = TestApp::start().await;
    app.get("/users/7").await.assert_problem(404, "no-such-user");
    app.delete(7).await.assert_problem(404, "no-such-user");
    let name = serde_json::json!({"username": "anna"});
    app.put(7, &name).await.assert_problem(404, "no-such-user");
    let if_match = [("if-match", "\"7.1\"")];
    let answer = app.send_json("PUT", "/users/7", &if_match, &name).await;
    answer.assert_problem(404, "no-such-user");
    let password = serde_json::json!({"password": "12345678", "current_password": "x"});
    app.put(7, &password).await.assert_problem(404, "no-such-user");
    app.stop().await;
}
