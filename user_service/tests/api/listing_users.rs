use serde_json::json;

use crate::test_app::TestApp;

#[actix_web::test]
async fn users_are_listed_as_a_bare_array_in_order_of_their_ids() {
    let app = TestApp::start().await;
    assert_eq!(app.get("/users").await.text, "[]");
    app.create("bert").await;
    app.create("anna").await;
    let answer = app.get("/users").await;
    assert_eq!(answer.text, r#"[{"id":1,"username":"bert"},{"id":2,"username":"anna"}]"#);
    assert!(answer.headers.get("link").is_none());
    app.stop().await;
}

#[actix_web::test]
async fn following_the_links_shows_every_user_once() {
    let app = TestApp::start().await;
    for name in ["a", "b", "c", "d", "e"] {
        app.create(name).await;
    }
    app.delete(3).await;
    let mut path = "/users?limit=2".to_owned();
    let mut seen = Vec::new();
    loop {
        let answer = app.get(&path).await;
        let page = answer.json();
        seen.extend(page.as_array().unwrap().iter().map(|user| user["id"].as_i64().unwrap()));
        let Some(link) = answer.headers.get("link") else { break };
        let (next, rel) = link.to_str().unwrap().split_once(">; ").unwrap();
        assert_eq!(rel, "rel=\"next\"");
        path = next.trim_start_matches('<').to_owned();
    }
    assert_eq!((seen, path.as_str()), (vec![1, 2, 4, 5], "/users?limit=2&after=2"));
    app.stop().await;
}

#[actix_web::test]
async fn one_user_is_found_by_name_and_what_is_no_name_is_nobodys() {
    let app = TestApp::start().await;
    app.create("Anna").await;
    let found = app.get("/users?username=aNNa").await;
    assert_eq!(found.text, r#"[{"id":1,"username":"Anna"}]"#);
    for path in ["/users?username=bert", "/users?username=a%20b", "/users?username="] {
        let answer = app.get(path).await;
        assert_eq!((answer.status, answer.text.as_str()), (200, "[]"), "{path}");
    }
    app.stop().await;
}

#[actix_web::test]
async fn wrong_values_in_the_query_are_problems_and_unknown_parameters_are_not() {
    let app = TestApp::start().await;
    for bad in [
        "limit=0",
        "limit=1001",
        "limit=ten",
        "limit=",
        "after=-1",
        "after=x",
        "limit=1&limit=1",
        "after=1&after=2",
        "username=a&username=b",
    ] {
        app.get(&format!("/users?{bad}")).await.assert_problem(400, "malformed-request");
    }
    assert_eq!(app.get("/users?color=blue&color=red&limit=1000&after=0").await.status, 200);
    app.stop().await;
}

#[actix_web::test]
async fn the_list_exists_and_has_no_etag() {
    let app = TestApp::start().await;
    for (name, value, read, written) in [
        ("if-none-match", "*", 304, 412),
        ("if-none-match", "\"q\"", 200, 201),
        ("if-match", "*", 200, 201),
        ("if-match", "\"q\"", 412, 412),
        ("if-match", "nonsense", 400, 400),
        ("if-none-match", "", 200, 201),
    ] {
        let conditions = [(name, value)];
        assert_eq!(
            app.send("GET", "/users", &conditions, "").await.status,
            read,
            "{name}: {value}"
        );
        let user = json!({"username": format!("user{}", value.len()), "password": "testpassword"});
        let answer = app.send_json("POST", "/users", &conditions, &user).await;
        assert_eq!(answer.status, written, "{name}: {value}");
    }
    assert_eq!(app.records().len(), 3);
    // What is wrong without a condition is wrong with one (RFC 9110 section 13.2.1).
    let conditions = [("if-none-match", "*")];
    let read = app.send("GET", "/users?limit=0", &conditions, "").await;
    read.assert_problem(400, "malformed-request");
    let written = app.send_json("POST", "/users", &conditions, &json!({"username": "anna"})).await;
    written.assert_problem(400, "malformed-request");
    app.stop().await;
}
