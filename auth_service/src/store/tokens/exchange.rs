//! What the exchange with other replicas reads of the set, and writes to it.

use contract::token_record::{KeyId, TokenRecordId, TokenSetSummary};
use contract::{Gaps, ReplicaId, TokenRecord};
use rusqlite::Connection;
use shared::actors::Reply;
use shared::tokens::key_trust::KeyTrust;
use shared::tokens::liveness::KeyStanding;
use shared::tokens::token_set::{
    AgedRecord, BootTime, Change, LONGEST_LIFETIME_S, Learned, TokenSet,
};

use super::TokenStore;
use crate::store::StoreError;
use crate::store::sqlite::replicas;
use crate::store::token_state::TokenState;

/// What a replica tells the others of its set.
#[derive(Clone, Debug)]
pub struct SetHead {
    /// Checksums and horizons.
    pub summary: TokenSetSummary,
    /// The keys whose tokens are accepted here.
    pub keys: Vec<KeyId>,
    /// What may be missing.
    pub gaps: Gaps,
}

impl TokenStore {
    /// The name of this replica: random, and another one after the database was put back.
    pub fn replica(&self) -> ReplicaId {
        self.replica
    }

    /// The other replicas, and when each was heard of last.
    pub fn find_replicas(&self) -> Result<Vec<(ReplicaId, BootTime)>, StoreError> {
        self.connection.read(replicas::find_replicas)
    }

    /// Some of the records that the bus has not confirmed.
    pub fn unconfirmed(&self, max: usize) -> Vec<TokenRecord> {
        self.state.set.unconfirmed().take(max).collect()
    }

    /// How many records the bus has not confirmed.
    pub fn count_unconfirmed(&self) -> usize {
        self.state.set.unconfirmed().count()
    }

    /// Whether the bus has confirmed a record of this set.
    pub fn is_confirmed(&self, record: &TokenRecord) -> bool {
        self.state.set.kept_since(record).is_some()
    }

    /// The bus has confirmed the record. The disk is told with the next commit.
    pub fn confirm(&mut self, id: TokenRecordId, now: BootTime) {
        self.state.set.confirm(id, now);
        self.group.owe_confirmation(id, now);
    }

    /// What the others are told.
    pub fn head(&self, now: BootTime) -> SetHead {
        let TokenState { set, view, .. } = &self.state;
        let is_accepted = |kid: &KeyId| matches!(view.key(kid), KeyStanding::Good { .. });
        let keys = set.published_keys().map(|key| key.kid).filter(is_accepted).collect();
        SetHead { summary: set.summary(now), keys, gaps: self.gaps() }
    }

    /// What may be missing here.
    pub fn gaps(&self) -> Gaps {
        match &self.state.trust {
            KeyTrust::All => Gaps::None,
            KeyTrust::MadeSince { made_since, .. } => {
                Gaps::AllBut(made_since.iter().copied().collect())
            }
        }
    }

    /// The records of these parts.
    pub fn records_of(&self, parts: &[u8], now: BootTime) -> Vec<AgedRecord> {
        parts.iter().flat_map(|part| self.state.set.records_of(*part, now)).collect()
    }

    /// Takes over what another replica has sent. Sessions whose tokens were traded twice end.
    pub fn merge(
        &mut self,
        reply: Reply<Result<(), StoreError>>,
        records: Vec<AgedRecord>,
        now: BootTime,
    ) {
        if records.iter().all(|aged| is_known(&self.state.set, &aged.record)) {
            reply.send(Ok(()));
            return;
        }
        self.group.push(reply, move |_, state| {
            let mut change = state.set.merge(records, now);
            for (sid, ended_with) in std::mem::take(&mut change.stolen) {
                if !state.set.is_revoked(&sid) {
                    let record = TokenRecord::SessionRevoked { sid, ended_with };
                    change.added.extend(state.set.insert(record, Learned::Here, now).added);
                }
            }
            Ok(((), change))
        });
    }

    /// Takes over the horizons of another replica. Answers with the parts in which its set differs
    /// from this one.
    pub fn compare(
        &mut self,
        reply: Reply<Result<Vec<u8>, StoreError>>,
        theirs: TokenSetSummary,
        now: BootTime,
    ) {
        let set = &self.state.set;
        let differing = set.differing_parts(&theirs, now);
        if theirs.horizons.iter().all(|life| set.horizons().covers(&life)) {
            reply.send(Ok(differing));
            return;
        }
        self.group.push(reply, move |_, state| {
            Ok((differing, state.set.merge_horizons(&theirs.horizons)))
        });
    }

    /// Everything in which the set of another replica differed has been merged; `gaps` says what it
    /// may lack itself.
    pub fn trust_set_with(&mut self, reply: Reply<Result<(), StoreError>>, gaps: Gaps) {
        if !adds_trust(&self.state.trust, &gaps) {
            reply.send(Ok(()));
            return;
        }
        self.group.push(reply, move |connection, state| {
            trust_set_with(connection, state, gaps)?;
            Ok(((), Change::default()))
        });
    }

    /// No other replica is there whose set could fill the gaps of this one.
    pub fn found_nobody(&mut self) {
        self.state.trust.found_nobody();
        self.state.view.trust_keys(&self.state.trust);
    }

    /// Remembers that another replica was heard of.
    pub fn see_replica(
        &mut self,
        reply: Reply<Result<(), StoreError>>,
        replica: ReplicaId,
        now: BootTime,
    ) {
        let forget_before = BootTime(now.0.saturating_sub(LONGEST_LIFETIME_S * 1000));
        self.group.push(reply, move |connection, _| {
            replicas::see_replica(connection, replica, now, forget_before)?;
            Ok(((), Change::default()))
        });
    }
}

/// Whether inserting it would surely change nothing.
fn is_known(set: &TokenSet, record: &TokenRecord) -> bool {
    match record {
        TokenRecord::SessionRevoked { .. } | TokenRecord::TokenTraded(_) => {
            set.kept_since(record).is_some()
        }
        TokenRecord::KeyPublished(_) | TokenRecord::KeyKilled { .. } => false,
    }
}

fn adds_trust(trust: &KeyTrust, gaps: &Gaps) -> bool {
    match (trust, gaps) {
        (KeyTrust::All, _) => false,
        (KeyTrust::MadeSince { .. }, Gaps::None) => true,
        (KeyTrust::MadeSince { made_since, .. }, Gaps::AllBut(theirs)) => {
            theirs.iter().any(|kid| !made_since.contains(kid))
        }
    }
}

/// The disk first: what fails there is not believed here.
fn trust_set_with(
    connection: &Connection,
    state: &mut TokenState,
    gaps: Gaps,
) -> Result<(), StoreError> {
    match gaps {
        Gaps::None => {
            replicas::close_gaps(connection)?;
            state.trust.merged_whole_set();
        }
        Gaps::AllBut(theirs) => {
            replicas::trust_keys(connection, &theirs)?;
            let made_since = theirs.into_iter().collect();
            let theirs = KeyTrust::MadeSince { made_since, is_alone: false };
            state.trust.merged_set_with_gaps(&theirs);
        }
    }
    Ok(())
}
