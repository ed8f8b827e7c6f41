//! The paths of this service, one file for each use case. Handlers own nothing: they parse the request,
//! send a message, and translate the answer.

mod authentication;
mod bodies;
mod claims;
mod client;
mod internal_tokens;
mod introspect;
mod jwks;
mod live_tokens;
mod login;
mod logout;
mod logout_all;
mod metadata;
mod openapi;
mod problems;
mod refresh;
mod revoke;
mod routes;
mod sessions;
mod token_rejection;
mod verify;
mod wait_for_write;
mod waiters;

use std::sync::Arc;
use std::time::Duration;

use contract::UserId;
use shared::actors::Mailbox;
use shared::audit::AuditTrail;
use shared::clock::Clock;
use shared::http::GuessLimit;
use shared::secrets::{ClientSecrets, SealingKeys};
use shared::tokens::TokenRules;
use shared::tokens::token_set_view::TokenSetView;
use tokio::sync::watch;

use crate::actors::{Applied, TokenRevocations, TokenSigner};
use crate::metrics::LoginMetrics;

pub use authentication::Authenticator;
pub use live_tokens::TokenChecker;
pub use logout_all::EndSessionsSender;
pub use openapi::document;
pub use routes::configure;
pub use sessions::Sessions;

/// What the handlers of one worker need.
pub struct Api {
    /// Verifies names and passwords.
    pub authenticator: Authenticator,
    /// Verifies tokens.
    pub tokens: TokenChecker,
    /// Ends sessions.
    pub sessions: Sessions,
    /// Stores what is remembered of tokens.
    pub revocations: Mailbox<TokenRevocations>,
    /// Asks user_service to end all sessions of a user.
    pub end_sessions: EndSessionsSender,
    /// Signs tokens, on this thread.
    pub signer: TokenSigner,
    /// Lists the keys that verify them.
    pub token_set: TokenSetView,
    /// How far the projection is.
    pub applied: watch::Receiver<Applied>,
    /// Keys fingerprints.
    pub sealing_key: Arc<SealingKeys>,
    /// Slows the guessing of passwords down.
    pub guesses: GuessLimit,
    /// Writes down who did what.
    pub audit: AuditTrail,
    /// Tells the time.
    pub clock: Clock,
    /// Counts logins.
    pub metrics: LoginMetrics,
    /// The issuer and the audience of tokens.
    pub rules: TokenRules,
    /// The services that may introspect and revoke tokens.
    pub clients: ClientSecrets,
    /// The users who are administrators.
    pub admins: Arc<[UserId]>,
    /// How long a token lives, in seconds.
    pub token_lifetime_s: i64,
    /// How long a session can be prolonged, in seconds.
    pub session_max_age_s: i64,
    /// How long a login waits for the projection.
    pub login_wait: Duration,
}
