//! Whether a token is alive, asked on the worker's own thread.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use contract::UserId;
use contract::token_record::TokenId;
use shared::clock::Clock;
use shared::http::{Problem, ProblemKind};
use shared::tokens::liveness::{
    Doubt, Freshness, FreshnessState, Moment, StampAnswer, Verdict, check_key, judge,
};
use shared::tokens::token_set::BootTime;
use shared::tokens::token_set_view::TokenSetView;
use shared::tokens::{CachedVerifier, EndedStamps, NotVerified, TokenRules, VerifiedToken};
use tokio::sync::watch;
use tokio::time::timeout;

use super::token_rejection::TokenRejection;
use super::waiters::{WAIT_MAX, Waiters};
use crate::actors::user_event_consumer::UsersFreshness;
use crate::actors::{Applied, Replicas};
use crate::domain::Profile;
use crate::store::{ProjectionReader, StoreError};

/// Tells which tokens are alive, on one worker's thread, by the rule of [`shared::tokens::liveness`].
/// Signatures are remembered, and what the projection said, until it changes; everything else is
/// asked every time. Where news may tell, a request waits for it.
pub struct TokenChecker {
    verifier: CachedVerifier,
    /// The ended sessions and the keys.
    set: TokenSetView,
    ended: EndedStamps,
    reader: Rc<ProjectionReader>,
    applied: RefCell<watch::Receiver<Applied>>,
    /// How fresh the projection is.
    fresh: UsersFreshness,
    /// Numbers the states of the projection that this worker has seen.
    state: Cell<u64>,
    /// What is known of the other replicas.
    replicas: Replicas,
    /// After how long of being cut off no token is vouched for, in milliseconds.
    refuse_after_ms: Option<i64>,
    /// Limits how many requests wait.
    waiters: Waiters,
    clock: Clock,
}

impl TokenChecker {
    /// A checker with an empty memory.
    pub fn new(
        rules: TokenRules,
        set: TokenSetView,
        ended: EndedStamps,
        (reader, applied): (Rc<ProjectionReader>, watch::Receiver<Applied>),
        fresh: UsersFreshness,
        (replicas, refuse_after_ms): (Replicas, Option<i64>),
        clock: Clock,
    ) -> Self {
        let verifier = CachedVerifier::new(rules, set.clone());
        let (applied, state, waiters) = (RefCell::new(applied), Cell::new(0), Waiters::default());
        Self {
            verifier,
            set,
            ended,
            reader,
            applied,
            fresh,
            state,
            replicas,
            refuse_after_ms,
            waiters,
            clock,
        }
    }

    /// The token, if it is alive.
    pub(super) async fn check(&self, token: &str) -> Result<Rc<VerifiedToken>, TokenRejection> {
        self.settle(token, |token, is_ended| Ok((is_ended, self.ask_projection(token)?))).await
    }

    /// The token, if all is good but perhaps its session or its stamp: it may have been logged out.
    pub(super) async fn check_signed(
        &self,
        token: &str,
    ) -> Result<Rc<VerifiedToken>, TokenRejection> {
        self.settle(token, |_, _| Ok((false, StampAnswer::Present))).await
    }

    /// The token; `None` if it is dead. The same question as [`TokenChecker::check`], for those who
    /// ask about another's token.
    ///
    /// # Errors
    /// It cannot be judged at the moment.
    pub(super) async fn judge(&self, token: &str) -> Result<Option<Rc<VerifiedToken>>, Problem> {
        let problem = match self.check(token).await {
            Ok(token) => return Ok(Some(token)),
            Err(rejection) => Problem::from(rejection),
        };
        if problem.kind() == ProblemKind::InvalidToken { Ok(None) } else { Err(problem) }
    }

    /// Whether the user is known to have another security stamp than the token, or to be gone.
    pub(super) fn has_ended(&self, token: &VerifiedToken) -> Result<bool, TokenRejection> {
        Ok(match self.ask_projection(token)? {
            StampAnswer::Present => false,
            StampAnswer::Replaced => true,
            // A stamp that the projection has not reached yet cannot have been replaced in it.
            StampAnswer::Other { stamp_seq, applied_seq } => applied_seq >= stamp_seq,
        })
    }

    /// Whether this replica knows that a session goes on: one that may lack its end would prolong it.
    pub(super) fn allows_trades(&self) -> bool {
        let freshness = self.freshness();
        freshness.allows_trades(self.fresh.now())
    }

    /// Waits while the projection may be old and news can come: this process may have been stopped
    /// while a user was deleted.
    ///
    /// # Errors
    /// No news has come in time, or too many requests wait.
    pub(super) async fn until_known(&self) -> Result<(), TokenRejection> {
        let doubt = Doubt::AwaitsProof;
        let is_known = || {
            let freshness = self.freshness();
            let is_stale = freshness.state(self.fresh.now()) == FreshnessState::Stale;
            if is_stale { Err(doubt) } else { Ok(()) }
        };
        match is_known() {
            Ok(()) => Ok(()),
            Err(doubt) => self.wait(None, doubt, || Ok(is_known())).await,
        }
    }

    /// Judges the token, with what `known` says of its session and its stamp when it is told whether a
    /// logout has ended the session. If only news can tell, waits for it.
    async fn settle(
        &self,
        token: &str,
        known: impl Fn(&VerifiedToken, bool) -> Result<(bool, StampAnswer), StoreError>,
    ) -> Result<Rc<VerifiedToken>, TokenRejection> {
        let arrived = self.fresh.now();
        let (verified, verdict) = self.apply_rule(token, arrived, &known)?;
        match conclude(verdict)? {
            Ok(()) => Ok(verified),
            Err(doubt) => {
                let again = || {
                    let (_, verdict) = self.apply_rule(token, arrived, &known)?;
                    conclude(verdict)
                };
                self.wait(Some(verified.sid), doubt, again).await?;
                Ok(verified)
            }
        }
    }

    /// Waits until `ask` has an answer: asks after each piece of news, and for news.
    async fn wait(
        &self,
        session: Option<TokenId>,
        doubt: Doubt,
        ask: impl Fn() -> Result<Result<(), Doubt>, TokenRejection>,
    ) -> Result<(), TokenRejection> {
        let unknown = TokenRejection::Unknown(doubt);
        let Some(_seat) = self.waiters.enter(session) else { return Err(unknown) };
        let (mut changes, mut applied) = (self.fresh.changes(), self.applied.borrow().clone());
        let mut replicas = self.replicas.changes();
        let settled = async {
            loop {
                // Before the question, so that nothing that comes meanwhile is missed.
                changes.mark_unchanged();
                applied.mark_unchanged();
                replicas.mark_unchanged();
                if let Ok(()) = ask()? {
                    return Ok(());
                }
                self.fresh.want_proof();
                tokio::select! {
                    _ = changes.changed() => {}
                    Ok(()) = applied.changed() => {}
                    Ok(()) = replicas.changed() => {}
                }
            }
        };
        timeout(WAIT_MAX, settled).await.unwrap_or(Err(unknown))
    }

    fn apply_rule(
        &self,
        token: &str,
        arrived: BootTime,
        known: impl Fn(&VerifiedToken, bool) -> Result<(bool, StampAnswer), StoreError>,
    ) -> Result<(Rc<VerifiedToken>, Verdict), TokenRejection> {
        // In this order: see the rule.
        let freshness = self.freshness();
        let at = Moment {
            wall_s: self.clock.unix_s(),
            leeway_s: self.verifier.rules().leeway_s,
            boot: self.fresh.now(),
            arrived,
        };
        let verified = self.verifier.verify(token).map_err(|not| match not {
            NotVerified::NotOurs => TokenRejection::NotOurs,
            NotVerified::NoKey(kid) => match check_key(self.set.key(&kid), &freshness, at.boot) {
                Err(verdict) => verdict.into(),
                // It was published a moment ago.
                Ok(()) => TokenRejection::Unknown(Doubt::KeyMayExist),
            },
        })?;
        let (is_ended, key) = self.set.look_up(&verified.sid, &verified.kid);
        let (is_ended, stamp) = known(&verified, is_ended)?;
        let verdict = judge(&verified.times(), &freshness, is_ended, key, stamp, &at);
        Ok((verified, verdict))
    }

    fn freshness(&self) -> Freshness {
        let users = Freshness { refuse_after_ms: self.refuse_after_ms, ..self.fresh.load() };
        self.replicas.freshness(users, self.fresh.now())
    }

    /// What a token of the user with this id says of them.
    pub(super) fn find_profile(&self, user: UserId) -> Result<Option<Profile>, StoreError> {
        self.reader.find_profile(user)
    }

    fn ask_projection(&self, token: &VerifiedToken) -> Result<StampAnswer, StoreError> {
        let (user, stamp) = (token.user, token.stamp);
        // In this order: see `EndedStamps::contains`.
        if self.ended.contains(user, stamp) {
            return Ok(StampAnswer::Replaced);
        }
        // Before the question: what is read is this state, or a later one.
        let state = self.state();
        if token.present_in.get() == Some(state) {
            return Ok(StampAnswer::Present);
        }
        if self.reader.find_stamp(user)? == Some(stamp) {
            token.present_in.set(Some(state));
            return Ok(StampAnswer::Present);
        }
        // How far the projection is, and what it says no earlier than that.
        let applied_seq = self.applied.borrow().borrow().seq();
        let is_present = self.reader.find_stamp(user)? == Some(stamp);
        let other = StampAnswer::Other { stamp_seq: stamp.seq, applied_seq };
        Ok(if is_present { StampAnswer::Present } else { other })
    }

    /// Another number after each change of the projection. Its writer announces a change after the
    /// commit, and before `EndedStamps` forgets what the change has ended.
    fn state(&self) -> u64 {
        let mut applied = self.applied.borrow_mut();
        if applied.has_changed().unwrap_or(true) {
            applied.mark_unchanged();
            self.state.set(self.state.get() + 1);
        }
        self.state.get()
    }
}

/// Whether the token is alive, or what is to be waited for.
fn conclude(verdict: Verdict) -> Result<Result<(), Doubt>, TokenRejection> {
    match verdict {
        Verdict::Alive => Ok(Ok(())),
        Verdict::Unknown(doubt) if doubt.is_worth_waiting() => Ok(Err(doubt)),
        verdict => Err(verdict.into()),
    }
}

#[cfg(test)]
mod tests;
