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
