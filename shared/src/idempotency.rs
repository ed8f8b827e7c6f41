//! Requests that a client may repeat, by their `Idempotency-Key`
//! (draft-ietf-httpapi-idempotency-key-header).

/// How long the answer to such a request is remembered: 24 hours, in milliseconds.
pub const RETENTION_MS: i64 = 24 * 60 * 60 * 1000;

/// A key with the request that it stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdempotentRequest {
    /// Method and path.
    pub scope: &'static str,
    /// As the client gave it.
    pub key: String,
    /// A keyed hash of the request, see `SealingKeys::fingerprint`.
    pub fingerprint: String,
}

/// What is known of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// Nothing: this is the first request.
    Nothing,
    /// The same request was answered: this is its outcome.
    Outcome(String),
    /// Another request used the key.
    OtherRequest,
}
