//! What the set says of keys.

use actix::{Context, Handler};
use contract::TokenRecord;
use shared::actors::{Ask, Command};
use shared::tokens::key_schedule::OwnKey;

use super::TokenRevocations;
use crate::store::{KeyStatement, StoreError};

/// "These are the keys of this replica now, and this is stated of one of them."
pub struct KeepKeys {
    /// What is new, if anything.
    pub statement: Option<KeyStatement>,
    /// The keys, the oldest first.
    pub own: Vec<OwnKey>,
}

impl Command for KeepKeys {
    type Reply = Result<(), StoreError>;
}

/// "Which keys are known?" Answers with the records of all keys.
pub struct ListKeys;

impl Command for ListKeys {
    type Reply = Vec<TokenRecord>;
}

impl Handler<Ask<KeepKeys>> for TokenRevocations {
    type Result = ();

    fn handle(&mut self, ask: Ask<KeepKeys>, context: &mut Context<Self>) {
        self.before_push(context);
        let (KeepKeys { statement, own }, reply) = ask.into_parts();
        let now = self.now().boot;
        self.store.keep_keys(reply, statement, own, now);
    }
}

impl Handler<Ask<ListKeys>> for TokenRevocations {
    type Result = ();

    fn handle(&mut self, ask: Ask<ListKeys>, _: &mut Context<Self>) {
        ask.answer(|ListKeys| self.store.keys());
    }
}
