//! Names on the bus. One topology serves RabbitMQ 3.10 to 4.x and the in-process bus.
//!
//! Names of durable queues contain a version: a broker refuses to change the arguments of a queue,
//! so other arguments need another name. [`predecessor`] returns the previous name.

use super::ReplicaId;

/// The suffix of durable queues' names.
const VERSION: &str = ".v2";

/// Topic exchange with all events of users; any service may bind its own queue to `user.*`.
pub const USERS_EXCHANGE: &str = "users";
/// The binding key for every event of a user.
pub const ALL_USER_EVENTS: &str = "user.*";
/// The binding key for the event that the log went back ([`super::LogRewound`]), which concerns
/// every user.
pub const LOG_REWOUND: &str = "log.rewound";
/// Routing key of [`super::Head`] on [`USERS_EXCHANGE`].
pub const HEAD_ROUTING_KEY: &str = "log.head";
/// Queue of [`super::SyncRequest`]s, taken by user_service.
pub const SYNC_REQUESTS_QUEUE: &str = "user_service.sync.v2";
/// Queue of [`super::PasswordRehashed`], taken by user_service.
pub const REHASH_QUEUE: &str = "user_service.rehash.v2";
/// Queue of [`super::EndSessions`], taken by user_service.
pub const END_SESSIONS_QUEUE: &str = "user_service.end_sessions.v2";
/// Names the [`super::TokenQuestion`]s to auth_service, which come over HTTP alone.
pub const TOKEN_QUESTIONS: &str = "auth_service.tokens.v1";
/// Names the answers to them.
pub const TOKEN_ANSWERS: &str = "user_service.tokens.v1";
/// Topic exchange of the replicas of auth_service: [`super::token_exchange`].
pub const TOKENS_EXCHANGE: &str = "auth.tokens";
/// Routing key of [`super::TokenRecords`] on [`TOKENS_EXCHANGE`].
pub const TOKEN_RECORDS: &str = "token.records";
/// Routing key of [`super::TokenSetHead`]s on [`TOKENS_EXCHANGE`].
pub const TOKEN_SET_HEADS: &str = "token.heads";
/// Topic exchange with the ends of sessions ([`super::SessionRevoked`]); any service may bind its own queue.
pub const SESSIONS_EXCHANGE: &str = "sessions";
/// Routing key of [`super::SessionRevoked`] on [`SESSIONS_EXCHANGE`].
pub const SESSION_REVOKED: &str = "session.revoked";
/// Header of every message between the services: `<key id>.<base64url(HMAC-SHA-256)>` over the
/// message, under a key that the services share.
pub const MAC: &str = "x-lockstep-mac";
/// Queue with a copy of each message that could not be decoded or applied, and the reason.
pub const DEAD_LETTERS_QUEUE: &str = "lockstep.dead_letters.v2";
/// Headers exchange to which the broker sends messages that could not be received.
pub const DEAD_LETTERS_EXCHANGE: &str = "lockstep.dead_letters.v2";
/// Header of a dead letter: the reason.
pub const DEAD_LETTER_REASON: &str = "x-lockstep-reason";
/// Header of a dead letter whose message was larger than what is kept: how large it was.
pub const DEAD_LETTER_CUT: &str = "x-lockstep-cut";
/// Header of a dead letter: the routing key that the message came with.
pub const DEAD_LETTER_ROUTING_KEY: &str = "x-lockstep-routing-key";
/// How many dead letters are kept; beyond that the oldest are dropped.
pub const DEAD_LETTERS_MAX: u32 = 10_000;

/// The durable queue of one replica of auth_service: it lets the replica catch up while
/// user_service is down.
pub fn projection_queue(replica: &str) -> String {
    format!("auth.{replica}.users{VERSION}")
}

/// The queue that this one has replaced, if its name contains a version: before versions were
/// introduced, the name had no suffix.
pub fn predecessor(queue: &str) -> Option<&str> {
    queue.strip_suffix(VERSION)
}

/// The transient queue of one session of a replica of auth_service. It receives heads and answers,
/// which may be lost without harm.
pub fn control_queue(replica: &str, session: &str) -> String {
    format!("auth.{replica}.control.{session}")
}

/// The transient queue of one process of user_service for the heads of all logs.
pub fn heads_queue(session: &str) -> String {
    format!("user_service.heads.{session}")
}

/// The durable queue of one replica of auth_service for everything about its token set.
pub fn token_queue(replica: &ReplicaId) -> String {
    format!("auth.tokens.v1.{replica}")
}

/// Routing key of the [`super::TokenMarker`]s of one replica on [`TOKENS_EXCHANGE`]: a marker that comes
/// back proves that the queue is bound, too.
pub fn token_marker_key(replica: &ReplicaId) -> String {
    format!("token.marker.{replica}")
}

/// The transient queue of one session of a replica for the heads of the other token sets.
pub fn token_heads_queue(replica: &ReplicaId, session: &str) -> String {
    format!("auth.tokens.{replica}.heads.{session}")
}
