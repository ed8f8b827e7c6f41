//! Stored responses to requests with an `Idempotency-Key`.

use actix::{Context, Handler};
use contract::Claims;
use shared::actors::{Ask, Command};
use shared::idempotency::{IdempotentRequest, Lookup};

use super::TokenRevocations;
use crate::store::{RevokeRefused, StoreError};

/// "A login with an `Idempotency-Key` is about to be answered with these claims." Answers with
/// the claims of the first answer, if their token is still alive: the same claims give the same
/// token.
pub struct RememberLogin {
    /// The request.
    pub request: IdempotentRequest,
    /// The claims if it is the first, or the first token is dead.
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

impl Handler<Ask<RememberLogin>> for TokenRevocations {
    type Result = ();

    fn handle(&mut self, ask: Ask<RememberLogin>, context: &mut Context<Self>) {
        self.before_push(context);
        let (RememberLogin { request, claims }, reply) = ask.into_parts();
        self.store.remember_login(reply, request, claims, self.now().wall_ms);
    }
}

impl Handler<Ask<FindOutcome>> for TokenRevocations {
    type Result = ();

    fn handle(&mut self, ask: Ask<FindOutcome>, _: &mut Context<Self>) {
        let now_ms = self.now().wall_ms;
        ask.answer(|FindOutcome(request)| self.store.find_response(&request, now_ms));
    }
}
