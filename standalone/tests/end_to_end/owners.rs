//! `USER_SERVICE_ACCESS=owner`: who may do what, with both services.

use std::process::Output;

use actix_web::rt::task::spawn_blocking;
use awc::http::Method;
use serde_json::{Value, json};

use crate::client::Client;
use crate::journeys::until_login_gives;
use crate::system::{System, command_on};

const PASSWORD: &str = "testpassword";

/// The user with the id 1 is an administrator, as the setting says.
fn owners() -> System {
    System::with_settings(vec![("USER_SERVICE_ACCESS", "owner"), ("ADMINS", "1")])
}

async fn new_user(client: Client, name: &str) -> (String, String) {
    let id = client.create(name, PASSWORD).await.id;
    until_login_gives(client, name, PASSWORD, 200).await;
    (format!("/users/{id}"), client.token(name, PASSWORD).await)
}

#[actix_web::test]
async fn a_user_is_read_changed_and_deleted_by_themselves_and_by_administrators_alone() {
    let mut system = owners();
    let client = system.client;
    let (_, admin) = new_user(client, "admin").await;
    let (anna_path, anna) = new_user(client, "anna").await;
    let (bert_path, bert) = new_user(client, "bert").await;
    let rename = || Some(json!({"username": "bertram"}));
    for (method, body) in [(Method::GET, None), (Method::PUT, rename()), (Method::DELETE, None)] {
        let nobody = client.call_as("x", method.clone(), &bert_path, body.clone()).await;
        assert_eq!((nobody.status, &nobody.body["type"]), (401, &json!("/problems/invalid-token")));
        for path in [&*bert_path, "/users/99"] {
            let other = client.call_as(&anna, method.clone(), path, body.clone()).await;
            assert_eq!(
                (other.status, &other.body["type"]),
                (403, &json!("/problems/not-permitted"))
            );
        }
    }
    assert_eq!(client.read(2).await.status, 401);
    assert_eq!(client.call_as(&bert, Method::GET, &bert_path, None).await.status, 200);
    assert_eq!(client.call_as(&bert, Method::PUT, &bert_path, rename()).await.status, 200);
    for token in [&anna, "x"] {
        assert_ne!(client.call_as(token, Method::GET, "/users", None).await.status, 200);
    }
    for token in [&admin, &system.admin_token()] {
        let list = client.call_as(token, Method::GET, "/users", None).await;
        assert_eq!((list.status, list.body.as_array().unwrap().len()), (200, 3));
        assert_eq!(client.call_as(token, Method::GET, &anna_path, None).await.status, 200);
    }
    assert_eq!(client.call_as(&bert, Method::DELETE, &bert_path, None).await.status, 200);
    assert_eq!(client.call_as(&bert, Method::GET, &bert_path, None).await.status, 401);
    system.stop();
}

#[actix_web::test]
async fn a_token_that_has_ended_gives_no_access() {
    let mut system = owners();
    let client = system.client;
    let (_, admin) = new_user(client, "admin").await;
    let (path, token) = new_user(client, "anna").await;
    assert_eq!(client.logout(&token).await.status, 200);
    assert_eq!(client.call_as(&token, Method::GET, &path, None).await.status, 401);
    let token = client.token("anna", PASSWORD).await;
    let body = json!({"password": "a new password", "current_password": PASSWORD});
    assert_eq!(client.call_as(&token, Method::PUT, &path, Some(body)).await.status, 200);
    let after = client.call_as(&token, Method::GET, &path, None).await;
    assert_eq!(after.status, 401, "at once: user_service knows the new stamp before auth_service");
    // An administrator of the setting does what the first one can do.
    let sessions = format!("{path}/sessions");
    assert_eq!(client.call_as(&admin, Method::DELETE, &sessions, None).await.status, 204);
    let body = Some(json!({"password": "given by the admin"}));
    assert_eq!(client.call_as(&admin, Method::PUT, &path, body).await.status, 200);
    until_login_gives(client, "anna", "given by the admin", 200).await;
    let token = client.token("anna", "given by the admin").await;
    let body = Some(json!({"password": "without the current one"}));
    assert_eq!(client.call_as(&token, Method::PUT, &path, body).await.status, 422);
    for (method, path) in
        [(Method::DELETE, sessions), (Method::POST, format!("{path}/reset-token"))]
    {
        assert_eq!(client.call_as(&token, method, &path, None).await.status, 403);
    }
    system.stop();
}

/// `admins` with these arguments, beside the running service.
pub(crate) async fn admins(system: &System, arguments: &[&str]) -> Output {
    let mut command = command_on(&system.data_dir());
    command.arg("admins").args(arguments);
    spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

fn printed(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[actix_web::test]
async fn a_command_makes_an_administrator_and_takes_that_back_at_once() {
    let mut system = System::with_settings(vec![("USER_SERVICE_ACCESS", "owner")]);
    let client = system.client;
    let (_, before) = new_user(client, "anna").await;
    let (bert_path, _) = new_user(client, "bert").await;
    assert_eq!(printed(&admins(&system, &["list"]).await), "");

    let made = printed(&admins(&system, &["add", "Anna"]).await);
    assert!(made.contains("anna (id 1) is an administrator now"), "{made}");
    let again = printed(&admins(&system, &["add", "--id", "1", "--json"]).await);
    let unchanged = json!({"id": 1, "username": "anna", "is_admin": true, "changed": false});
    assert_eq!(serde_json::from_str::<Value>(&again).unwrap(), unchanged);
    let listed = printed(&admins(&system, &["list", "--json"]).await);
    assert_eq!(
        serde_json::from_str::<Value>(&listed).unwrap(),
        json!({"id": 1, "username": "anna"})
    );
    let old = client.call_as(&before, Method::GET, &bert_path, None).await;
    assert_eq!(old.status, 401, "the sessions of before have ended");
    let scope = async || {
        until_login_gives(client, "anna", PASSWORD, 200).await;
        let token = client.token("anna", PASSWORD).await;
        let list = client.call_as(&token, Method::GET, "/users", None).await;
        (list.status, token)
    };
    let list_as_admin = async || Some(scope().await).filter(|(status, _)| *status == 200);
    let wait = std::time::Duration::from_secs(30);
    let (_, admin) = testkit::wait::until("anna lists all users", wait, list_as_admin).await;
    assert_eq!(client.call_as(&admin, Method::GET, &bert_path, None).await.status, 200);

    let removed = printed(&admins(&system, &["remove", "anna"]).await);
    assert!(removed.contains("is no administrator now"), "{removed}");
    for path in ["/users", &bert_path] {
        assert_eq!(client.call_as(&admin, Method::GET, path, None).await.status, 401, "{path}");
    }
    let list_as_user = async || Some(scope().await).filter(|(status, _)| *status == 403);
    testkit::wait::until("anna lists nothing", wait, list_as_user).await;

    for wrong in
        [&["add", "nobody"][..], &["remove", "--id", "99"], &["add"], &["add", "--id", "0"]]
    {
        let output = admins(&system, wrong).await;
        assert!(!output.status.success() && output.stdout.is_empty(), "{wrong:?}");
        assert!(!output.stderr.is_empty(), "{wrong:?}");
    }
    system.stop();
}
