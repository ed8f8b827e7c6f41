//! The first answers to requests with an `Idempotency-Key`. They lie beside the dead tokens because
//! that of a logout is written in the transaction of its revocation.

use actix::{Context, Handler};
use contract::Claims;
use rusqlite::Connection;
use shared::actors::{Ask, Command};
use shared::idempotency::IdempotentRequest;
use shared::sqlite::StoreError;
use shared::sqlite::idempotency::{self, Lookup};

use super::{Revocations, RevokeRefused};

/// "A login with an `Idempotency-Key` is about to be answered with these claims." Answers with
/// the claims of the first answer: the same claims give the same token.
pub struct RememberLogin {
    /// The request.
    pub request: IdempotentRequest,
    /// The claims if it is the first.
    pub claims: Claims,
}

impl Command for RememberLogin {
    type Reply = Result<Claims, RevokeRefused>;
}

/// "How was this request answered?"
pub struct FindOutcome(pub IdempotentRequest);

impl Command for FindOutcome {
    type Reply = Result<Lookup, StoreError>;
}

impl Handler<Ask<RememberLogin>> for Revocations {
    type Result = ();

    fn handle(&mut self, ask: Ask<RememberLogin>, context: &mut Context<Self>) {
        self.before_push(context);
        let (RememberLogin { request, claims }, reply) = ask.into_parts();
        let now_ms = self.clock.unix_ms();
        self.group.push(reply, move |connection| remember(connection, &request, claims, now_ms));
    }
}

fn remember(
    connection: &Connection,
    request: &IdempotentRequest,
    claims: Claims,
    now_ms: i64,
) -> Result<Claims, RevokeRefused> {
    match idempotency::find(connection, request, now_ms)? {
        Lookup::Outcome(first) => serde_json::from_str(&first).map_err(RevokeRefused::Outcome),
        Lookup::OtherRequest => Err(RevokeRefused::KeyReused),
        Lookup::Nothing => {
            let outcome = serde_json::to_string(&claims).map_err(RevokeRefused::Outcome)?;
            idempotency::record(connection, request, &outcome, now_ms)?;
            Ok(claims)
        }
    }
}

impl Handler<Ask<FindOutcome>> for Revocations {
    type Result = ();

    fn handle(&mut self, ask: Ask<FindOutcome>, _: &mut Context<Self>) {
        let now_ms = self.clock.unix_ms();
        ask.answer(|FindOutcome(request)| idempotency::find(&self.connection, &request, now_ms));
    }
}
