//! The HTTP layer that both services share. Handlers hold no state: they parse, send, and translate
//! the answer.

mod access_log;
mod answer_body;
mod bearer;
mod body;
mod client_address;
mod client_presence;
mod connection;
mod context;
mod cors;
mod docs;
mod exposition;
mod form;
mod html;
mod idempotency_key;
mod instrumentation;
mod members;
mod methods;
mod metrics;
mod openapi;
mod overload;
mod preconditions;
mod probes;
mod problem;
mod problem_kind;
mod problem_pages;
mod rate_limit;
mod request_origin;
mod server;
mod shown_path;
mod unread_body;

pub use bearer::{Bearer, CHALLENGE, NoBearer, invalid_token, not_permitted};
pub use body::{BODY_LIMIT, DirectMessage, FormBody, IgnoredBody, JsonBody};
pub use client_address::{Cidr, ClientAddress, TrustedProxies};
pub use client_presence::ClientPresence;
pub use context::RequestContext;
pub use cors::{AllowedOrigins, Origin};
pub use form::Form;
pub use idempotency_key::IdempotencyKey;
pub use members::Members;
pub use methods::{GET_OR_HEAD, get_or_head, resource};
pub use metrics::HttpMetrics;
pub use openapi::{
    IGNORED_BODY, OperationProblems, TYPED_BODY, add_bearer_scheme, add_problems, not_in_both,
};
pub use preconditions::EntityTags;
pub use probes::{Probes, Readiness, ReadinessReport};
pub use problem::{Problem, ProblemKind};
pub use rate_limit::{Guess, GuessLimit};
pub use request_origin::RequestOrigin;
pub use server::{HttpServerConfig, RunningHttpServer, ServeError, serve};

/// The header with a write's position, in answers to writes and in logins that wait for them.
pub const CONSISTENCY_TOKEN: &str = "consistency-token";
