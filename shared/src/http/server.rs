//! Starting and stopping an HTTP server.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use actix_web::dev::ServerHandle;
use actix_web::middleware::from_fn;
use actix_web::{App, HttpServer, web};
use utoipa::openapi::OpenApi;

use crate::config::ListenAddress;

use super::access_log::observe;
use super::client_address::TrustedProxies;
use super::context::RequestIds;
use super::docs;
use super::metrics::HttpMetrics;
use super::overload::OverloadPacing;
use super::probes::Probes;
use super::problem::{Problem, ProblemKind};

/// How a client that is slow with its request's head is cut off.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// How long an idle connection is kept.
const KEEP_ALIVE: Duration = Duration::from_secs(75);

/// How a server is set up.
#[derive(Clone, Debug)]
pub struct HttpServerConfig {
    /// Where it listens; port 0 takes a free one.
    pub listen: ListenAddress,
    /// How many connections it may have open; further ones wait to be accepted.
    pub max_connections: usize,
    /// How many threads answer.
    pub workers: usize,
    /// Who is believed where a request comes from.
    pub trusted_proxies: TrustedProxies,
    /// How long requests in hand may take to finish when it is stopped.
    pub shutdown_grace: Duration,
}

/// The server cannot start.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The address is taken or not allowed.
    #[error("cannot listen on {listen}")]
    Listen {
        /// The address.
        listen: ListenAddress,
        /// Why.
        source: io::Error,
    },
}

/// A server that answers.
pub struct RunningHttpServer {
    /// Where it listens.
    pub address: SocketAddr,
    handle: ServerHandle,
}

impl RunningHttpServer {
    /// Takes no more requests, and waits for those in hand up to the grace period.
    pub async fn stop(&self) {
        self.handle.stop(true).await;
    }
}

/// Starts a server. `configure` adds the service's own paths; it is called once on each worker's
/// thread, and may start actors there.
///
/// # Errors
/// See [`ServeError`].
pub fn serve(
    config: &HttpServerConfig,
    metrics: HttpMetrics,
    probes: Probes,
    openapi: OpenApi,
    configure: impl Fn(&mut web::ServiceConfig) + Clone + Send + 'static,
) -> Result<RunningHttpServer, ServeError> {
    let listen = &config.listen;
    let failed = |source| ServeError::Listen { listen: listen.clone(), source };
    let metrics = web::Data::new(metrics);
    let trusted_proxies = config.trusted_proxies.clone();
    let pace = OverloadPacing::new(config.workers);
    let server = HttpServer::new(move || {
        App::new()
            .app_data(metrics.clone())
            .app_data(RequestIds::new())
            .app_data(pace.clone())
            .app_data(trusted_proxies.clone())
            // Paths are tried in this order: first those that are asked for most.
            .configure(&configure)
            .configure(|app| probes.configure(app))
            .configure(|app| docs::configure(&openapi, app))
            .default_service(web::to(no_such_path))
            .wrap(from_fn(observe))
    })
    .workers(config.workers)
    .client_request_timeout(HEAD_TIMEOUT)
    .keep_alive(KEEP_ALIVE)
    // A client that closes is gone, as it is for most proxies: its password is not hashed.
    .h1_allow_half_closed(false)
    .shutdown_timeout(config.shutdown_grace.as_secs().max(1))
    // The signals belong to main, which stops the services in their order.
    .disable_signals()
    .max_connections((config.max_connections / config.workers.max(1)).max(1))
    .bind(listen.all())
    .map_err(failed)?;
    let address = server.addrs().first().copied().unwrap_or(listen.first());
    let running = server.run();
    let handle = running.handle();
    actix_web::rt::spawn(running);
    Ok(RunningHttpServer { address, handle })
}

async fn no_such_path() -> Result<&'static str, Problem> {
    Err(Problem::new(ProblemKind::NoSuchPath, "see /docs for the paths that there are"))
}
