//! What the exchange with other replicas wants of the token set.

use actix::{Context, Handler};
use contract::token_record::{TokenRecordId, TokenSetSummary};
use contract::{Gaps, ReplicaId, TokenRecord};
use shared::actors::{Ask, Command, Reply};
use shared::tokens::token_set::{AgedRecord, record_id};

use super::TokenRevocations;
use crate::store::{SetHead, StoreError};

/// "Which records has the bus not confirmed?" Answers with so many of them at most.
pub struct TakeUnconfirmed(pub usize);

impl Command for TakeUnconfirmed {
    type Reply = Vec<TokenRecord>;
}

/// "The bus has confirmed these records."
pub struct Confirmed(pub Vec<TokenRecordId>);

impl Command for Confirmed {
    type Reply = ();
}

/// "Tell me when the bus has confirmed this record of the set."
pub struct AwaitConfirmation(pub TokenRecord);

impl Command for AwaitConfirmation {
    type Reply = ();
}

/// "Another replica has these records." Answers when they are on the disk.
pub struct MergeRecords(pub Vec<AgedRecord>);

impl Command for MergeRecords {
    type Reply = Result<(), StoreError>;
}

/// "Another replica's set has this summary." Answers with the parts in which it differs.
pub struct CompareSets(pub TokenSetSummary);

impl Command for CompareSets {
    type Reply = Result<Vec<u8>, StoreError>;
}

/// "All has been merged in which another replica's set differed. This is what it may lack itself."
pub struct TrustSetWith(pub Gaps);

impl Command for TrustSetWith {
    type Reply = Result<(), StoreError>;
}

/// "No other replica has answered."
pub struct FoundNobody;

impl Command for FoundNobody {
    type Reply = ();
}

/// "What does this set hold?"
pub struct ReadHead;

impl Command for ReadHead {
    type Reply = SetHead;
}

/// "Which records are in these parts, and what may be missing?"
pub struct ReadParts(pub Vec<u8>);

impl Command for ReadParts {
    type Reply = (Vec<AgedRecord>, Gaps);
}

/// "This replica is there."
pub struct SeeReplica(pub ReplicaId);

impl Command for SeeReplica {
    type Reply = Result<(), StoreError>;
}

impl TokenRevocations {
    /// Those who wait no more need no place.
    pub(super) fn drop_abandoned(&mut self) {
        self.awaiting.retain(|_, waiting| {
            waiting.retain(|reply| !reply.is_abandoned());
            !waiting.is_empty()
        });
    }
}

impl Handler<Ask<TakeUnconfirmed>> for TokenRevocations {
    type Result = ();

    fn handle(&mut self, ask: Ask<TakeUnconfirmed>, _: &mut Context<Self>) {
        ask.answer(|TakeUnconfirmed(max)| self.store.unconfirmed(max));
    }
}

impl Handler<Ask<Confirmed>> for TokenRevocations {
    type Result = ();

    fn handle(&mut self, ask: Ask<Confirmed>, _: &mut Context<Self>) {
        let now = self.now().boot;
        ask.answer(|Confirmed(ids)| {
            for id in ids {
                self.store.confirm(id, now);
                self.awaiting.remove(&id).into_iter().flatten().for_each(|reply| reply.send(()));
            }
        });
    }
}

impl Handler<Ask<AwaitConfirmation>> for TokenRevocations {
    type Result = ();

    fn handle(&mut self, ask: Ask<AwaitConfirmation>, _: &mut Context<Self>) {
        let (AwaitConfirmation(record), reply): (_, Reply<()>) = ask.into_parts();
        if self.store.is_confirmed(&record) {
            reply.send(());
        } else {
            self.awaiting.entry(record_id(&record)).or_default().push(reply);
        }
    }
}

impl Handler<Ask<MergeRecords>> for TokenRevocations {
    type Result = ();

    fn handle(&mut self, ask: Ask<MergeRecords>, context: &mut Context<Self>) {
        self.before_push(context);
        let (MergeRecords(records), reply) = ask.into_parts();
        self.store.merge(reply, records, self.now().boot);
    }
}

impl Handler<Ask<CompareSets>> for TokenRevocations {
    type Result = ();

    fn handle(&mut self, ask: Ask<CompareSets>, context: &mut Context<Self>) {
        self.before_push(context);
        let (CompareSets(theirs), reply) = ask.into_parts();
        self.store.compare(reply, theirs, self.now().boot);
    }
}

impl Handler<Ask<TrustSetWith>> for TokenRevocations {
    type Result = ();

    fn handle(&mut self, ask: Ask<TrustSetWith>, context: &mut Context<Self>) {
        self.before_push(context);
        let (TrustSetWith(gaps), reply) = ask.into_parts();
        self.store.trust_set_with(reply, gaps);
    }
}

impl Handler<Ask<FoundNobody>> for TokenRevocations {
    type Result = ();

    fn handle(&mut self, ask: Ask<FoundNobody>, _: &mut Context<Self>) {
        ask.answer(|FoundNobody| self.store.found_nobody());
    }
}

impl Handler<Ask<ReadHead>> for TokenRevocations {
    type Result = ();

    fn handle(&mut self, ask: Ask<ReadHead>, _: &mut Context<Self>) {
        let now = self.now().boot;
        ask.answer(|ReadHead| self.store.head(now));
    }
}

impl Handler<Ask<ReadParts>> for TokenRevocations {
    type Result = ();

    fn handle(&mut self, ask: Ask<ReadParts>, _: &mut Context<Self>) {
        let now = self.now().boot;
        ask.answer(|ReadParts(parts)| (self.store.records_of(&parts, now), self.store.gaps()));
    }
}

impl Handler<Ask<SeeReplica>> for TokenRevocations {
    type Result = ();

    fn handle(&mut self, ask: Ask<SeeReplica>, context: &mut Context<Self>) {
        self.before_push(context);
        let (SeeReplica(replica), reply) = ask.into_parts();
        self.store.see_replica(reply, replica, self.now().boot);
    }
}
