//! The OpenAPI documents of both services, judged by the tools of others: they are valid, and the services
//! do what they say.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use crate::contract_tools::{contracts, printed_by, python};
use crate::journeys::until_login_gives;
use crate::system::System;

const PASSWORD: &str = "testpassword";
/// How many requests of each operation a phase makes; `scripts/contract-tools.sh COUNT` makes more.
const EXAMPLES: &str = "6";

async fn document_of(service: SocketAddr, directory: &Path) -> PathBuf {
    let url = format!("http://{service}/openapi.json");
    let mut answer = awc::Client::new().get(url).send().await.unwrap();
    let path = directory.join("openapi.json");
    std::fs::write(&path, answer.body().limit(1 << 22).await.unwrap()).unwrap();
    path
}

/// Both services, with a user who can log in.
async fn start(access: &'static str) -> System {
    let system = System::with_settings(vec![
        ("USER_SERVICE_ACCESS", access),
        ("INTROSPECTION_CLIENTS", "tester:0123456789abcdef0123456789abcdef"),
        // Made-up tokens name writes that never come.
        ("LOGIN_WAIT", "10ms"),
    ]);
    system.client.create("testuser", PASSWORD).await;
    until_login_gives(system.client, "testuser", PASSWORD, 200).await;
    system
}

/// Runs schemathesis in all its phases against this service, with this token; returns what it prints.
async fn check(service: SocketAddr, token: &str) -> String {
    let directory = tempfile::tempdir().unwrap();
    let document = document_of(service, directory.path()).await;
    printed_by(python("openapi-spec-validator").arg(&document));

    let examples = std::env::var_os("CONTRACT_EXAMPLES").unwrap_or(EXAMPLES.into());
    let mut tester = python("schemathesis");
    tester.arg("--config-file").arg(contracts("schemathesis.toml"));
    tester.arg("run").arg(&document).arg("--max-examples").arg(examples);
    tester.args(["--url", &format!("http://{service}"), "--no-color"]).env("TOKEN", token);
    // It keeps what it learned in the directory that it runs in.
    printed_by(tester.current_dir(directory.path()))
}

#[actix_web::test]
async fn the_services_do_what_their_openapi_documents_say_user_service_to_a_user() {
    let mut system = start("open").await;
    let token = system.client.token("testuser", PASSWORD).await;
    println!("{}", check(system.client.users, &token).await);
    system.stop();
}

/// Where access is `owner`: everybody else is refused.
#[actix_web::test]
async fn the_services_do_what_their_openapi_documents_say_user_service_to_an_administrator() {
    let mut system = start("owner").await;
    println!("{}", check(system.client.users, system.admin_token().trim()).await);
    system.stop();
}

#[actix_web::test]
async fn the_services_do_what_their_openapi_documents_say_auth_service() {
    let mut system = start("open").await;
    let token = system.client.token("testuser", PASSWORD).await;
    println!("{}", check(system.client.auth, &token).await);
    system.stop();
}
