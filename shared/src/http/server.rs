//! Starting and stopping an HTTP server.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::rc::Rc;
use std::time::Duration;

use actix_http::error::DispatchError;
use actix_http::{HttpService, KeepAlive, Request};
use actix_server::{GracefulShutdownSignal, Server, ServerHandle};
use actix_service::{IntoServiceFactory, Service, ServiceFactory, apply_fn_factory, map_config};
use actix_web::body::MessageBody;
use actix_web::dev::{AppConfig, ServiceResponse};
use actix_web::middleware::from_fn;
use actix_web::rt::net::{TcpSocket, TcpStream};
use actix_web::{App, web};
use utoipa::openapi::OpenApi;

use crate::config::ListenAddress;
use crate::traces::Traces;

use super::client_address::TrustedProxies;
use super::connection::{Link, Refusals, RequestStream, run};
use super::context::RequestIds;
use super::cors::AllowedOrigins;
use super::docs;
use super::instrumentation::{Tracked, observe};
use super::metrics::HttpMetrics;
use super::overload::OverloadPacing;
use super::probes::Probes;
use super::problem::{Problem, ProblemKind};
use super::problem_pages;

/// How many connections may wait to be accepted.
const BACKLOG: u32 = 1024;
/// How long a client whose body was not read may take to read its answer.
const DISCONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// How many connections the probes' own port may have open.
const PROBES_CONNECTIONS: usize = 16;

/// The settings of a server.
#[derive(Clone, Debug)]
pub struct HttpServerConfig {
    /// Where it listens; port 0 takes a free one.
    pub listen: ListenAddress,
    /// Where `/metrics` and the probes are instead, if they have a port of their own.
    pub probes_listen: Option<ListenAddress>,
    /// How many connections it may have open; further connections wait to be accepted.
    pub max_connections: usize,
    /// The number of worker threads.
    pub workers: usize,
    /// The proxies that are trusted to report where a request comes from.
    pub trusted_proxies: TrustedProxies,
    /// The pages of other origins that may call it from a browser.
    pub cors_origins: AllowedOrigins,
    /// How long requests in progress may take to finish when it is stopped.
    pub shutdown_grace: Duration,
    /// Where the spans of requests go.
    pub traces: Traces,
}

/// The server cannot start.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The address is in use or not allowed.
    #[error("cannot listen on {listen}")]
    Listen {
        /// The address.
        listen: ListenAddress,
        /// The cause.
        source: io::Error,
    },
}

/// A running server.
pub struct RunningHttpServer {
    /// Where it listens.
    pub address: SocketAddr,
    handle: ServerHandle,
    /// Of the probes' own port.
    probes: Option<ServerHandle>,
}

impl RunningHttpServer {
    /// Accepts no more requests, and waits for those in progress up to the grace period. Probes that have
    /// a port of their own are answered until then.
    pub async fn stop(&self) {
        self.handle.stop(true).await;
        if let Some(probes) = &self.probes {
            probes.stop(true).await;
        }
    }
}

/// Which paths a port has.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    All,
    AllButProbes,
    Probes,
}

/// A port that is taken.
struct Listening {
    listeners: Vec<TcpListener>,
    listen: ListenAddress,
    /// The one to be told.
    address: SocketAddr,
}

impl Listening {
    fn on(listen: &ListenAddress) -> Result<Self, ServeError> {
        let failed = |source| ServeError::Listen { listen: listen.clone(), source };
        let listeners = bind(listen.all()).map_err(failed)?;
        let address = listeners.first().map_or(Ok(listen.first()), TcpListener::local_addr);
        Ok(Self { listeners, listen: listen.clone(), address: address.map_err(failed)? })
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
    // Both ports are taken before anybody is answered at one.
    let service = Listening::on(&config.listen)?;
    let apart = config.probes_listen.as_ref().map(Listening::on).transpose()?;
    let (part, of_probes) =
        if apart.is_some() { (Part::AllButProbes, PROBES_CONNECTIONS) } else { (Part::All, 0) };
    let (refused, metrics) = (metrics.clone(), web::Data::new(metrics));
    let trusted_proxies = config.trusted_proxies.clone();
    let cors_origins = config.cors_origins.clone();
    let traces = config.traces.clone();
    let pace = OverloadPacing::new(config.workers);
    let openapi = docs::rendered(openapi, part == Part::All);
    let app = move |part: Part| {
        let (probes, openapi, configure) = (&probes, &openapi, &configure);
        App::new()
            .app_data(metrics.clone())
            .app_data(Tracked { ids: RequestIds::new(), traces: traces.clone() })
            .app_data(pace.clone())
            .app_data(trusted_proxies.clone())
            .app_data(cors_origins.clone())
            .configure(|app| {
                // Paths are tried in this order: the most frequent ones first.
                if part != Part::Probes {
                    configure(app);
                }
                if part != Part::AllButProbes {
                    probes.configure(app);
                }
                problem_pages::configure(app);
                if part != Part::Probes {
                    docs::configure(openapi.clone(), app);
                }
            })
            .default_service(web::to(no_such_path))
            .wrap(from_fn(observe))
    };
    let probes = apart.map(|apart| {
        tracing::info!(address = %apart.address, "metrics and probes have a port of their own");
        let (app, size) = (app.clone(), (1, PROBES_CONNECTIONS));
        start(config, apart, size, &refused, move || app(Part::Probes))
    });
    let address = service.address;
    let size = (config.workers, config.max_connections.saturating_sub(of_probes));
    let handle = start(config, service, size, &refused, move || app(part))?;
    Ok(RunningHttpServer { address, handle, probes: probes.transpose()? })
}

/// Answers on a port with an app, with this many workers and connections.
fn start<A, S, B>(
    config: &HttpServerConfig,
    Listening { listeners, listen, address }: Listening,
    (workers, connections): (usize, usize),
    refused: &HttpMetrics,
    app: impl Fn() -> A + Clone + Send + 'static,
) -> Result<ServerHandle, ServeError>
where
    A: IntoServiceFactory<S, Request>,
    S: ServiceFactory<
            Request,
            Config = AppConfig,
            Response = ServiceResponse<B>,
            Error = actix_web::Error,
            InitError = (),
        > + 'static,
    S::Future: 'static,
    B: MessageBody + 'static,
{
    let builder = Server::build();
    let stopping = builder.graceful_shutdown_signal();
    let mut builder = builder
        .workers(workers)
        .max_concurrent_connections((connections / workers.max(1)).max(1))
        .shutdown_timeout(config.shutdown_grace.as_secs().max(1))
        // `main` handles the signals and stops the services in order.
        .disable_signals();
    for listener in listeners {
        let (app, refused, stopping) = (app.clone(), refused.clone(), stopping.clone());
        let connections =
            move || over_tcp(app(), address, stopping.clone(), Refusals::new(refused.clone()));
        let listening = builder.listen("http", listener, connections);
        builder =
            listening.map_err(|source| ServeError::Listen { listen: listen.clone(), source })?;
    }
    let running = builder.run();
    let handle = running.handle();
    actix_web::rt::spawn(running);
    Ok(handle)
}

/// Listens on every address of the name. A name such as localhost may have an address that this
/// machine lacks: one that works is enough.
fn bind(addresses: &[SocketAddr]) -> io::Result<Vec<TcpListener>> {
    let (listeners, errors): (Vec<_>, Vec<_>) =
        addresses.iter().map(|address| bind_one(*address)).partition(Result::is_ok);
    match errors.into_iter().find_map(Result::err) {
        Some(error) if listeners.is_empty() => Err(error),
        _ => Ok(listeners.into_iter().flatten().collect()),
    }
}

fn bind_one(listen: SocketAddr) -> io::Result<TcpListener> {
    let socket = if listen.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // A restarted service reuses its port although old connections are still closing.
    socket.set_reuseaddr(true)?;
    socket.bind(listen)?;
    socket.listen(BACKLOG)?.into_std()
}

/// Answers on TCP connections with an app, through the layer in `connection`.
fn over_tcp<S, B>(
    app: impl IntoServiceFactory<S, Request>,
    address: SocketAddr,
    stopping: GracefulShutdownSignal,
    refusals: Refusals,
) -> impl ServiceFactory<TcpStream, Config = (), Response = (), Error = DispatchError, InitError = ()>
where
    S: ServiceFactory<
            Request,
            Config = AppConfig,
            Response = ServiceResponse<B>,
            Error = actix_web::Error,
            InitError = (),
        > + 'static,
    S::Future: 'static,
    B: MessageBody + 'static,
{
    let signal = stopping.clone();
    let refusals = Rc::new(refusals);
    let http = HttpService::build()
        // Between requests, the layer in `connection` enforces the timeouts; and a client that has
        // half closed still gets its answer.
        .keep_alive(KeepAlive::Os)
        .client_request_timeout(Duration::ZERO)
        .h1_allow_half_closed(true)
        .client_disconnect_timeout(DISCONNECT_TIMEOUT)
        .local_addr(address)
        .graceful_shutdown_signal(move || {
            let signal = signal.clone();
            async move { signal.notified().await }
        })
        .on_connect_ext(|stream: &RequestStream, data| {
            data.insert(stream.link());
        })
        // The app's own host and address serve to make absolute links, and there are none.
        .h1(map_config(app, |()| AppConfig::default()));
    apply_fn_factory(http, move |stream: TcpStream, http: &_| {
        let peer = stream.peer_addr().ok();
        let link = Link::new(stream);
        let actix = Service::call(http, (RequestStream::new(Rc::clone(&link)), peer));
        let (stopping, refusals) = (stopping.clone(), Rc::clone(&refusals));
        async move {
            run(link, actix, stopping.notified(), &refusals).await;
            Ok(())
        }
    })
}

async fn no_such_path() -> Result<&'static str, Problem> {
    Err(Problem::new(ProblemKind::NoSuchPath, "/docs lists the paths of this service"))
}
