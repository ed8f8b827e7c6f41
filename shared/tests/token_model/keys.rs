//! How the replicas' keys are made, stated and killed.

use contract::TokenRecord;
use contract::token_record::{KeyId, PublishedKey, SigningAlgorithm};
use shared::tokens::key_schedule::KeyAction;

use crate::replica::Replica;
use crate::world::{LIFETIME_S, World};

impl World {
    pub(crate) fn kill(&mut self, r: usize, kid: KeyId) {
        self.killed.insert(kid);
        self.replicas[r].schedule.remove(kid);
        self.make(r, TokenRecord::KeyKilled { kid });
    }

    pub(crate) fn kill_key(&mut self, r: usize) {
        if let Some(kid) = self.replicas[r].schedule.signing().map(|key| key.kid) {
            self.changes += 1;
            self.kill(r, kid);
        }
    }

    pub(crate) fn state_keys(&mut self, r: usize) {
        let own: Vec<_> = self.replicas[r].schedule.own().iter().map(|key| key.kid).collect();
        for kid in own {
            self.state(r, kid);
        }
    }

    fn state(&mut self, r: usize, kid: KeyId) {
        let wall_s = self.replicas[r].wall_s(self.now);
        let key = PublishedKey {
            until_s: wall_s + 86_400,
            signs_from_s: 0,
            lifetime_s: LIFETIME_S,
            kid,
            algorithm: SigningAlgorithm::EdDsa,
            public_key: vec![],
        };
        let record = TokenRecord::KeyPublished(Box::new(key));
        self.make(r, record.clone());
        // Repeated even if it is the same: others may have lost it.
        self.publish(r, record);
    }

    /// Carries out what the schedule asks for.
    pub(crate) fn tend_keys(&mut self, r: usize) {
        for _ in 0..3 {
            let clocks = self.replicas[r].clocks(self.now);
            let replica = &self.replicas[r];
            let is_everywhere = |kid: &KeyId| self.is_everywhere(r, kid);
            let horizon_of = |kid: &KeyId| replica.set.horizons().of(kid);
            for action in replica.schedule.plan(&clocks, horizon_of, is_everywhere) {
                match action {
                    KeyAction::Make(_) => {
                        self.keys_ever += 1;
                        let kid = KeyId([self.keys_ever; 32]);
                        self.replicas[r].schedule.add(kid, &clocks);
                        self.replicas[r].trust.made(kid);
                        self.state(r, kid);
                    }
                    KeyAction::Sign(kid, _) => self.replicas[r].schedule.promote(kid, &clocks),
                    KeyAction::State(kid) => {
                        self.state(r, kid);
                        self.replicas[r].schedule.stated(kid, self.now);
                    }
                    KeyAction::Discard(kid) | KeyAction::Forget(kid) => {
                        self.replicas[r].schedule.remove(kid);
                    }
                }
            }
        }
    }

    /// Whether every other replica that is there has the key and believes it.
    fn is_everywhere(&self, r: usize, kid: &KeyId) -> bool {
        let has_it = |replica: &Replica| replica.knows_key(kid);
        let others = self.replicas.iter().enumerate().filter(|(other, _)| *other != r);
        let mut there = others.filter(|(_, replica)| replica.is_connected);
        !self.replicas[r].is_connected || there.all(|(_, replica)| has_it(replica))
    }
}
