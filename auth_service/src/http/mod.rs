//! The paths of this service. Handlers own nothing: they parse, send, and translate the answer.

mod authentication;
mod bearer;
mod consistency;
mod jwks;
mod live_tokens;
mod login;
mod logout;
mod openapi;
mod verify;

use std::sync::Arc;
use std::time::Duration;

use actix_web::web::{self, Data, ServiceConfig};
use shared::actors::{Health, Mailbox};
use shared::bus::Bus;
use shared::bus::cloud_event::Codec;
use shared::clock::Clock;
use shared::hashing::{HashingThreads, PasswordHasher};
use shared::http::{GET_OR_HEAD, get_or_head, resource};
use shared::secrets::SealingKeys;
use shared::sqlite::ReadPool;
use shared::tokens::{RevokedView, TokenRules, Verifier};
use tokio::sync::watch;

use crate::actors::{Applied, CredentialReader, KeyRing, Revocations};
use crate::metrics::LoginMetrics;

use authentication::Authenticator;
use live_tokens::TokenChecker;
pub use openapi::document;

/// What the handlers send to and read. Clones are handles to the same.
#[derive(Clone)]
pub struct Api {
    /// Kills tokens.
    pub revocations: Mailbox<Revocations>,
    /// Signs tokens.
    pub key_ring: Mailbox<KeyRing>,
    /// How far the projection is.
    pub applied: watch::Receiver<Applied>,
    /// Keys fingerprints.
    pub sealing_key: Arc<SealingKeys>,
    /// Tells the time.
    pub clock: Clock,
    /// Counts logins.
    pub metrics: LoginMetrics,
    /// What tokens say.
    pub rules: TokenRules,
    /// How long a token lives, in seconds.
    pub token_lifetime_s: i64,
    /// How long a login waits for the projection.
    pub login_wait: Duration,
}

/// What each worker has of its own, before there is a worker.
#[derive(Clone)]
pub struct WorkerParts {
    /// Verify passwords.
    pub hashing: HashingThreads,
    /// Connections to the projection.
    pub readers: ReadPool,
    /// Verifies tokens; each worker has a memory for it.
    pub verifier: Arc<Verifier>,
    /// The dead tokens.
    pub revoked: RevokedView,
    /// Takes hashes that were made anew.
    pub bus: Arc<dyn Bus>,
    /// Writes them.
    pub codec: Codec,
    /// Watches the workers' actors.
    pub health: Health,
}

/// Adds the paths; called once on each worker's thread, where it starts the worker's actors.
pub fn configure(handles: &Api, parts: &WorkerParts, app: &mut ServiceConfig) {
    let WorkerParts { hashing, readers, verifier, revoked, bus, codec, health } = parts.clone();
    app.app_data(Data::new(Authenticator {
        reader: CredentialReader::launch(readers, &health),
        hasher: PasswordHasher::launch(hashing, &health),
        sealing_key: Arc::clone(&handles.sealing_key),
        bus,
        codec,
    }));
    app.app_data(Data::new(TokenChecker::new(verifier, revoked, handles.clock.clone())));
    app.app_data(Data::new(handles.clone()));
    let get = || web::route().guard(get_or_head());
    let verify = resource("/verify", GET_OR_HEAD).route(get().to(verify::verify));
    let login = resource("/login", "POST").route(web::post().to(login::login));
    let logout = resource("/logout", "POST").route(web::post().to(logout::logout));
    let jwks = resource("/.well-known/jwks.json", GET_OR_HEAD).route(get().to(jwks::jwks));
    app.service(verify).service(login).service(logout).service(jwks);
}
