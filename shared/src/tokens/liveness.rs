//! The one rule that says whether a token is alive.
//!
//! A token is alive if and only if its signature, claims and times are good, its lifetime is no
//! longer than its key's statement allows, its key was not killed, it does not lie behind its
//! key's horizon, its session was not ended, and the projection holds its user with the same
//! security stamp. Nothing else decides. Between requests only what cannot change may be
//! remembered: that the signature is good, and what one state of the projection says.
//!
//! A replica that knows that a token is dead says so at once. A replica that cannot know says
//! "unknown" (503), never "dead" (401): a client throws a token away when it hears 401.
//!
//! Facts are read in a fixed order, because their owners change them meanwhile: freshness first,
//! then the session, then the key, then the projection.

use super::token_set::BootTime;

/// For how long a proof of freshness holds, in milliseconds since its question was asked.
pub const FRESH_FOR_MS: i64 = 3_000;

/// The times that a token states, in seconds since 1970, by the clock of its signer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenTimes {
    /// `iat`.
    pub iat_s: i64,
    /// `nbf`.
    pub nbf_s: i64,
    /// `exp`.
    pub exp_s: i64,
}

/// When and how the question is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// The wall clock, in seconds since 1970.
    pub wall_s: i64,
    /// By how many seconds wall clocks may differ.
    pub leeway_s: i64,
    /// The clock that nobody sets.
    pub boot: BootTime,
    /// When the request arrived, by that clock.
    pub arrived: BootTime,
}

/// What is known of the token's key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeyStanding {
    /// Nobody has published it, as far as this replica knows.
    Unknown,
    /// It was published, but this replica's token set was lost or put back, and what it may lack
    /// has not been fetched from another replica yet.
    NotTrustedYet,
    /// Killed.
    Killed,
    /// Published.
    Good {
        /// No token of it lives longer, in seconds.
        lifetime_s: i64,
        /// Tokens that expire at or before this may have been forgotten.
        horizon_s: Option<i64>,
    },
}

/// What the projection says of the user and the token's security stamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StampAnswer {
    /// The user has this stamp.
    Present,
    /// A genuine record has replaced this very stamp, or deleted the user: it is dead in every
    /// history of the log.
    Replaced,
    /// The user has another stamp, or is not there.
    Other {
        /// The place of the token's stamp in the log.
        stamp_seq: i64,
        /// The place up to which the projection has applied the log.
        applied_seq: i64,
    },
}

/// How far this replica can trust what it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Freshness {
    /// When the question was asked whose answer last proved that the projection is on the present
    /// log, if there was one.
    pub users_asked_at: Option<BootTime>,
    /// Where the log ended by that answer.
    pub log_end_seq: i64,
    /// When the marker was sent that last came back through this replica's own queue of token
    /// records: all that was confirmed before it has been taken.
    pub set_marked_at: Option<BootTime>,
    /// A replica that was seen within the longest lifetime has not been heard lately. Being cut
    /// off, it may sign with a key that nobody else knows yet.
    pub is_anybody_missing: bool,
    /// Since when user_service is known to be out of reach.
    pub users_cut_off_since: Option<BootTime>,
    /// Since when the other replicas are known to be out of reach.
    pub set_cut_off_since: Option<BootTime>,
    /// After how many milliseconds of being cut off tokens are no longer vouched for
    /// (`CUT_OFF=refuse`).
    pub refuse_after_ms: Option<i64>,
}

/// See [`Freshness::state`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FreshnessState {
    /// Proved within [`FRESH_FOR_MS`].
    Fresh,
    /// Not proved lately: a paused machine, or a moment ago. A proof is worth waiting for.
    Stale,
    /// The connection is known to be gone: what is here is the best that can be had.
    CutOff,
    /// The same, for so long that the operator wants tokens to be refused.
    CutOffTooLong,
}

impl Freshness {
    /// Whether this replica is fresh at `now`.
    pub fn state(&self, now: BootTime) -> FreshnessState {
        let is_recent =
            |at: Option<BootTime>| at.is_some_and(|at| now.since_ms(at) <= FRESH_FOR_MS);
        if self.users_cut_off_since.is_none() && !is_recent(self.users_asked_at) {
            // A proof may come, also while the other replicas are out of reach.
            return FreshnessState::Stale;
        }
        match [self.users_cut_off_since, self.set_cut_off_since].into_iter().flatten().min() {
            Some(since) => match self.refuse_after_ms {
                Some(limit_ms) if now.since_ms(since) > limit_ms => FreshnessState::CutOffTooLong,
                _ => FreshnessState::CutOff,
            },
            None if is_recent(self.set_marked_at) => FreshnessState::Fresh,
            None => FreshnessState::Stale,
        }
    }

    /// Whether a key that is unknown here is unknown everywhere.
    fn knows_all_keys(&self, now: BootTime) -> bool {
        self.state(now) == FreshnessState::Fresh && !self.is_anybody_missing
    }

    /// Whether a token may be traded here: a replica that may lack the end of a session would
    /// prolong it.
    pub fn allows_trades(&self, now: BootTime) -> bool {
        self.state(now) == FreshnessState::Fresh
    }
}

/// The answer of the rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// 200.
    Alive,
    /// 401.
    Dead(DeadReason),
    /// 503 with `Retry-After`.
    Unknown(Doubt),
}

/// Why a token is dead. For logs and metrics, never for its bearer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeadReason {
    /// No replica has published its key.
    #[error("signed with an unknown key")]
    UnknownKey,
    /// Its key was killed.
    #[error("its key was killed")]
    KeyKilled,
    /// It has expired.
    #[error("expired")]
    Expired,
    /// It claims to live longer than its key's tokens do.
    #[error("lives longer than its key allows")]
    LivesTooLong,
    /// It expires at or before its key's horizon.
    #[error("the record of its end may have been forgotten")]
    BehindHorizon,
    /// Its session was ended.
    #[error("its session has ended")]
    SessionEnded,
    /// The user's password was changed, or the user was deleted.
    #[error("its security stamp was replaced")]
    StampReplaced,
    /// The present log has no such stamp for this user.
    #[error("its security stamp is not in the log")]
    StampUnheardOf,
}

/// Why a replica cannot know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Doubt {
    /// The key may have been published where this replica did not hear it.
    #[error("its key is unknown here, but may be known elsewhere")]
    KeyMayExist,
    /// See [`KeyStanding::NotTrustedYet`].
    #[error("its key is not trusted before another replica's token set was merged")]
    KeyNotTrustedYet,
    /// The signer's clock is ahead of this one.
    #[error("not valid yet")]
    NotGoodYet,
    /// A proof of freshness is missing, or one that is newer than the request.
    #[error("waits for a proof of freshness")]
    AwaitsProof,
    /// The log reaches the token's stamp, the projection does not yet.
    #[error("waits for the projection")]
    AwaitsLog,
    /// Only a proof would tell, and none can come.
    #[error("out of reach of what could prove it")]
    CutOff,
}

impl Doubt {
    /// Whether waiting a moment may resolve it. The others are answered at once: anybody can
    /// invent a key or a time.
    pub fn is_worth_waiting(self) -> bool {
        matches!(self, Self::AwaitsProof | Self::AwaitsLog)
    }
}

/// What is asked before the signature can be checked: the key's standing.
///
/// # Errors
/// The verdict, if the key alone decides.
pub fn check_key(
    standing: KeyStanding,
    freshness: &Freshness,
    now: BootTime,
) -> Result<(), Verdict> {
    match standing {
        KeyStanding::Good { .. } => Ok(()),
        KeyStanding::Killed => Err(Verdict::Dead(DeadReason::KeyKilled)),
        KeyStanding::NotTrustedYet => Err(Verdict::Unknown(Doubt::KeyNotTrustedYet)),
        KeyStanding::Unknown if freshness.knows_all_keys(now) => {
            Err(Verdict::Dead(DeadReason::UnknownKey))
        }
        KeyStanding::Unknown => Err(Verdict::Unknown(Doubt::KeyMayExist)),
    }
}

/// The rule, for a token whose signature, issuer and audience are good.
pub fn judge(
    token: &TokenTimes,
    freshness: &Freshness,
    is_session_ended: bool,
    key: KeyStanding,
    stamp: StampAnswer,
    at: &Moment,
) -> Verdict {
    if let Err(verdict) = check_key(key, freshness, at.boot) {
        return verdict;
    }
    if let Some(reason) = certain_death(token, is_session_ended, key, stamp, at) {
        return Verdict::Dead(reason);
    }
    if token.nbf_s.saturating_sub(at.leeway_s) > at.wall_s {
        return Verdict::Unknown(Doubt::NotGoodYet);
    }
    match freshness.state(at.boot) {
        FreshnessState::Stale => Verdict::Unknown(Doubt::AwaitsProof),
        FreshnessState::CutOffTooLong => Verdict::Unknown(Doubt::CutOff),
        FreshnessState::Fresh | FreshnessState::CutOff => judge_stamp(stamp, freshness, at),
    }
}

/// Knowledge that no news can change.
fn certain_death(
    token: &TokenTimes,
    is_session_ended: bool,
    key: KeyStanding,
    stamp: StampAnswer,
    at: &Moment,
) -> Option<DeadReason> {
    let KeyStanding::Good { lifetime_s, horizon_s } = key else { return None };
    if token.exp_s.saturating_add(at.leeway_s) <= at.wall_s {
        Some(DeadReason::Expired)
    } else if token.exp_s.saturating_sub(token.iat_s) > lifetime_s {
        Some(DeadReason::LivesTooLong)
    } else if horizon_s.is_some_and(|horizon_s| token.exp_s <= horizon_s) {
        Some(DeadReason::BehindHorizon)
    } else if is_session_ended {
        Some(DeadReason::SessionEnded)
    } else if stamp == StampAnswer::Replaced {
        Some(DeadReason::StampReplaced)
    } else {
        None
    }
}

/// The users' log alone decides: whether the other replicas can be reached does not matter.
fn judge_stamp(stamp: StampAnswer, freshness: &Freshness, at: &Moment) -> Verdict {
    let StampAnswer::Other { stamp_seq, applied_seq } = stamp else { return Verdict::Alive };
    // The log may have gone back and on again since the last proof, and the token's stamp may be
    // in the new history: only an answer to a question asked after the request arrived tells.
    let is_newer = freshness.users_asked_at.is_some_and(|asked| asked >= at.arrived);
    if freshness.users_cut_off_since.is_some() {
        Verdict::Unknown(Doubt::CutOff)
    } else if !is_newer {
        Verdict::Unknown(Doubt::AwaitsProof)
    } else if stamp_seq <= freshness.log_end_seq && applied_seq < stamp_seq {
        Verdict::Unknown(Doubt::AwaitsLog)
    } else {
        Verdict::Dead(DeadReason::StampUnheardOf)
    }
}

#[cfg(test)]
mod tests;
