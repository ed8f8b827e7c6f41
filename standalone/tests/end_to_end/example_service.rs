//! The service of examples/ that verifies tokens by the public keys alone, and honours logouts all the same.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde_json::json;
use testkit::wait::until;

use crate::contract_tools::{Program, python, repository};
use crate::journeys::until_login_gives;
use crate::system::System;

const PASSWORD: &str = "testpassword";
const BOUND: Duration = Duration::from_secs(20);

pub(crate) struct Service {
    _program: Program,
    address: SocketAddr,
}

impl Service {
    pub(crate) fn start(system: &System, reader: &str, endings: &Path) -> Self {
        let mut command = python("python");
        command.arg(repository("examples/service-python/service.py")).arg(reader);
        command.arg(format!("http://{}", system.client.auth)).arg(endings).arg("0");
        let mut program = Program::start(command.stdout(Stdio::piped()));
        let mut lines = BufReader::new(program.0.stdout.take().unwrap()).lines();
        let line = lines.next().unwrap().unwrap();
        let port = line.strip_prefix("listens on ").unwrap().parse().unwrap();
        Self { _program: program, address: SocketAddr::from(([127, 0, 0, 1], port)) }
    }

    pub(crate) async fn status_for(&self, token: &str) -> u16 {
        let request = awc::Client::new().get(format!("http://{}/me", self.address));
        let request = request.insert_header(("authorization", format!("Bearer {token}")));
        request.send().await.unwrap().status().as_u16()
    }

    pub(crate) async fn until_it_refuses(&self, token: &str, after: &str) {
        until(&format!("401 after {after}"), BOUND, async || {
            (self.status_for(token).await == 401).then_some(())
        })
        .await;
    }
}

/// `reader` is the URL of an account of the broker that can only read.
pub(crate) async fn the_service_honours_logouts(system: &System, reader: &str) {
    let directory = tempfile::tempdir().unwrap();
    let endings = directory.path().join("endings.db");
    let (client, service) = (system.client, Service::start(system, reader, &endings));
    let id = client.create("anna", PASSWORD).await.id;
    until_login_gives(client, "anna", PASSWORD, 200).await;
    let [first, second, third] = [
        client.token("anna", PASSWORD).await,
        client.token("anna", PASSWORD).await,
        client.token("anna", PASSWORD).await,
    ];
    for token in [&first, &second, &third] {
        assert_eq!(service.status_for(token).await, 200);
    }
    assert_eq!(service.status_for("a.b.c").await, 401);

    assert_eq!(client.logout(&first).await.status, 200);
    service.until_it_refuses(&first, "a logout").await;
    assert_eq!(service.status_for(&second).await, 200);

    drop(service);
    assert_eq!(client.logout(&second).await.status, 200);
    let service = Service::start(system, reader, &endings);
    service.until_it_refuses(&second, "a logout while it was away").await;
    assert_eq!(service.status_for(&first).await, 401);
    assert_eq!(service.status_for(&third).await, 200);

    let change = json!({"password": "another password", "current_password": PASSWORD});
    assert_eq!(client.put(id, change).await.status, 200);
    service.until_it_refuses(&third, "a change of password").await;
    until_login_gives(client, "anna", "another password", 200).await;
    let fourth = client.token("anna", "another password").await;
    assert_eq!(service.status_for(&fourth).await, 200);
    assert_eq!(client.put(id, json!({"username": "hanna"})).await.status, 200);
    assert_eq!(client.delete(id).await.status, 200);
    service.until_it_refuses(&fourth, "the deletion of its user").await;
}
