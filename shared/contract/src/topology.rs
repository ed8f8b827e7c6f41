//! Names on the bus. One topology serves RabbitMQ 3.10 to 4.x and the in-process bus.
//!
//! Names of durable queues carry a version: a broker refuses to change the arguments of a queue, so
//! other arguments need another name. [`predecessor`] tells the name that came before.

/// What the names of durable queues end with.
const VERSION: &str = ".v2";

/// Topic exchange with all events of users; anybody may bind a queue of theirs to `user.*`.
pub const USERS_EXCHANGE: &str = "users";
/// Binds a queue to every event of a user.
pub const ALL_USER_EVENTS: &str = "user.*";
/// Routing key of [`super::Head`] on [`USERS_EXCHANGE`].
pub const HEAD_ROUTING_KEY: &str = "log.head";
/// Queue of [`super::SyncRequest`]s, taken by user_service.
pub const SYNC_REQUESTS_QUEUE: &str = "user_service.sync.v2";
/// Queue of [`super::PasswordRehashed`], taken by user_service.
pub const REHASH_QUEUE: &str = "user_service.rehash.v2";
/// Header of every message between the services: `<key id>.<base64url(HMAC-SHA-256)>` over the
/// message, under a key that the services share.
pub const MAC: &str = "x-lockstep-mac";
/// Where a copy of each message goes that nobody could decode or apply, with its reason.
pub const DEAD_LETTERS_QUEUE: &str = "lockstep.dead_letters.v2";
/// Headers exchange to which the broker itself sends what nobody could receive.
pub const DEAD_LETTERS_EXCHANGE: &str = "lockstep.dead_letters.v2";
/// Header of a dead letter: why it is there.
pub const DEAD_LETTER_REASON: &str = "x-lockstep-reason";
/// Header of a dead letter: the routing key that the message came with.
pub const DEAD_LETTER_ROUTING_KEY: &str = "x-lockstep-routing-key";
/// How many dead letters are kept; then the oldest go.
pub const DEAD_LETTERS_MAX: u32 = 10_000;

/// The durable queue of one replica of auth_service: it lets the replica catch up while
/// user_service is down.
pub fn projection_queue(replica: &str) -> String {
    format!("auth.{replica}.users{VERSION}")
}

/// The queue that this one has taken the place of, when it carries a version: before there were
/// versions its name had none.
pub fn predecessor(queue: &str) -> Option<&str> {
    queue.strip_suffix(VERSION)
}

/// The transient queue of one session of a replica of auth_service: heads and answers, worthless
/// when missed.
pub fn control_queue(replica: &str, session: &str) -> String {
    format!("auth.{replica}.control.{session}")
}
