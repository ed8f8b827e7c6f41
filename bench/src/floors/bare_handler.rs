//! An actix-web handler that answers a constant.

use std::net::SocketAddr;

use actix_web::{App, HttpResponse, HttpServer, web};

use super::handler_process::HandlerProcess;
use crate::figures::cores;

/// Serves until it is killed; runs in a separate process.
pub(crate) async fn serve(listen: SocketAddr) {
    HttpServer::new(|| {
        App::new()
            .route("/users/{id}", web::get().to(constant))
            .route("/verify", web::get().to(constant))
    })
    .workers(cores())
    .bind(listen)
    .unwrap()
    .run()
    .await
    .unwrap();
}

async fn constant() -> HttpResponse {
    HttpResponse::Ok().content_type("application/json").body(r#"{"id":1,"username":"testuser"}"#)
}

/// Starts it.
pub(crate) fn start() -> HandlerProcess {
    HandlerProcess::start("bare-handler", |_| {})
}
