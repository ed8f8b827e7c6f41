//! The token set in memory: as the owner changes it, and as HTTP workers read it.

use contract::token_record::{Horizons, KeyId, TokenId};
use shared::tokens::key_trust::KeyTrust;
use shared::tokens::token_set::{BootTime, Change, Learned, TokenSet};
use shared::tokens::token_set_view::TokenSetView;

/// The time by both clocks.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// The wall clock: milliseconds since 1970.
    pub wall_ms: i64,
    /// The clock that nobody sets.
    pub boot: BootTime,
}

/// The set, which is changed before the commit, and the view, which is changed after it.
pub(super) struct TokenState {
    pub(super) set: TokenSet,
    pub(super) trust: KeyTrust,
    pub(super) view: TokenSetView,
}

impl TokenState {
    /// Nothing is known yet.
    pub(super) fn new(trust: KeyTrust) -> Self {
        let view = TokenSetView::default();
        view.trust_keys(&trust);
        Self { set: TokenSet::default(), trust, view }
    }

    /// A record that was stored.
    pub(super) fn load(&mut self, record: contract::TokenRecord, learned: Learned, now: BootTime) {
        let change = self.set.insert(record, learned, now);
        self.view.apply(&change);
    }

    /// Horizons that were stored.
    pub(super) fn load_horizons(&mut self, stored: &Horizons) {
        let change = self.set.merge_horizons(stored);
        self.view.apply(&change);
    }

    /// Keys that this replica has made since its set was whole.
    pub(super) fn trust(&mut self, made: impl IntoIterator<Item = KeyId>) {
        made.into_iter().for_each(|kid| self.trust.made(kid));
        self.view.trust_keys(&self.trust);
    }

    /// Shows a change that is on the disk.
    pub(super) fn show(&self, change: &Change) {
        self.view.apply(change);
        self.view.trust_keys(&self.trust);
    }

    /// Whether the session has ended. What is no name of a session never began.
    pub(super) fn is_revoked(&self, sid: &str) -> bool {
        TokenId::parse(sid).is_none_or(|sid| self.set.is_revoked(&sid))
    }
}
