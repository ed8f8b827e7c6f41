//! An actix-web handler that answers a constant.

use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use actix_web::{App, HttpResponse, HttpServer, web};
use testkit::rabbitmq::free_port;

use crate::system::wait_for_port;

/// Serves until it is killed; runs in a separate process.
pub(crate) async fn serve(listen: SocketAddr) {
    let workers = std::thread::available_parallelism().map_or(1, Into::into);
    HttpServer::new(|| {
        App::new()
            .route("/users/{id}", web::get().to(constant))
            .route("/verify", web::get().to(constant))
    })
    .workers(workers)
    .bind(listen)
    .unwrap()
    .run()
    .await
    .unwrap();
}

async fn constant() -> HttpResponse {
    HttpResponse::Ok().content_type("application/json").body(r#"{"id":1,"username":"testuser"}"#)
}

/// The process that serves.
pub(crate) struct BareHandler {
    pub(crate) address: SocketAddr,
    child: Child,
}

impl BareHandler {
    /// Starts this same binary again.
    pub(crate) fn start() -> Self {
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let binary = std::env::current_exe().unwrap();
        let child = Command::new(binary)
            .args(["bare-handler", &address.to_string()])
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        wait_for_port(address);
        Self { address, child }
    }
}

impl Drop for BareHandler {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
