//! Tokens that are traded for new ones of their session.

use actix::{Context, Handler};
use contract::token_record::Trade;
use shared::actors::{Ask, Command};
use shared::tokens::token_set::TradeVerdict;

use super::TokenRevocations;
use crate::store::StoreError;

/// "This token is given up for a new one." Answers whether the new one may be given; if the token was
/// stolen, its session has ended by then.
pub struct TradeToken(pub Trade);

impl Command for TradeToken {
    type Reply = Result<TradeVerdict, StoreError>;
}

impl Handler<Ask<TradeToken>> for TokenRevocations {
    type Result = ();

    fn handle(&mut self, ask: Ask<TradeToken>, context: &mut Context<Self>) {
        self.before_push(context);
        let (TradeToken(trade), reply) = ask.into_parts();
        self.store.trade_token(reply, trade, self.now().boot);
    }
}
