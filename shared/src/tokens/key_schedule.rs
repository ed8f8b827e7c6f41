//! The life cycle of a replica's own keys: next, signing, retired, gone.
//!
//! Each replica signs with its own keys. Two rules make the horizons of
//! [`super::token_set`] harmless to living tokens:
//!
//! - **The tokens of one key expire in the order in which they were signed**, but for
//!   [`CLOCK_STEP_S`]. A wall clock that is set back further, or a clock that started again with
//!   the machine, begins with a new key. So when a token is forgotten, every token of its key that
//!   expires before it is older than its lifetime, too.
//! - **No token is signed that a horizon refuses**: that, too, takes a new key.
//!
//! A key is published before it signs. By schedule it is published for longer than others may
//! cache the JWK set; the first key, and one that is needed at once, signs as soon as every fresh
//! replica has it and [`KeyRules::warmup_s`] has passed.

use contract::token_record::{KeyId, SigningAlgorithm};

use super::token_set::BootTime;
use crate::clock::Clock;

/// How much longer than its caching time the JWK set must have shown a key, in seconds: caches
/// are refreshed late.
pub const CACHE_SLACK_S: i64 = 600;
/// How far a wall clock may be set back before a replica takes a new key, in seconds. Part of
/// [`super::token_set::SLACK_S`].
pub const CLOCK_STEP_S: i64 = 20;
/// By how much the stored ceiling is above the clock: it is written once for many tokens.
const CEILING_STEP_S: i64 = 5;
/// How often a key is stated again, in seconds.
pub const RESTATE_S: i64 = 3_600;

/// The settings that keys depend on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct KeyRules {
    /// `KEY_ROTATION`, in seconds.
    pub rotation_s: i64,
    /// How long others may cache the JWK set, in seconds.
    pub max_age_s: i64,
    /// `KEY_WARMUP`, in seconds.
    pub warmup_s: i64,
    /// `TOKEN_LIFETIME`, in seconds.
    pub lifetime_s: i64,
    /// By how many seconds verifiers let clocks differ.
    pub leeway_s: i64,
    /// `TOKEN_ALG`.
    pub algorithm: SigningAlgorithm,
}

/// The clocks of the machine, read at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clocks {
    /// Names this start of the machine.
    pub boot_id: [u8; 16],
    /// The clock that nobody sets.
    pub boot: BootTime,
    /// The wall clock, in seconds since 1970.
    pub wall_s: i64,
}

impl Clocks {
    /// Both clocks now. `boot_id` is [`Clock::boot_id`], which costs more than reading a clock.
    pub fn read(clock: &Clock, boot_id: [u8; 16]) -> Self {
        Self { boot_id, boot: BootTime(clock.boot_ms()), wall_s: clock.unix_s() }
    }

    /// How far the wall clock is ahead of the other, in seconds. It changes only when the wall
    /// clock is set.
    pub fn offset_s(&self) -> i64 {
        self.wall_s.saturating_sub(self.boot.0.div_euclid(1000))
    }
}

/// Where a key is on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    /// Published; it signs nothing yet.
    Next,
    /// It signs every new token.
    Signing,
    /// It signs no more; its tokens live on. Since when.
    Retired(BootTime),
}

/// A key of this replica. Its private half is in a file until it is retired.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct OwnKey {
    /// Its name.
    pub kid: KeyId,
    /// How it signs.
    pub algorithm: SigningAlgorithm,
    /// No token of it lives longer, in seconds.
    pub lifetime_s: i64,
    /// The start of the machine in which it was made.
    pub boot_id: [u8; 16],
    /// The greatest [`Clocks::offset_s`] at which it may have signed. On the disk before it signs.
    pub ceiling_s: Option<i64>,
    /// When it began to sign, by the wall clock; none if it has not.
    pub signs_from_s: Option<i64>,
    /// When it was published, as far as this process knows.
    pub published_at: BootTime,
    /// When it was stated last.
    pub stated_at: BootTime,
    /// See [`Stage`].
    pub stage: Stage,
}

/// Why a new key is made or begins to sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeyReason {
    /// There was none.
    First,
    /// A key is kept ready for the next rotation.
    Ahead,
    /// By schedule.
    Rotation,
    /// By command.
    Command,
    /// The machine was started again: its clock cannot be compared with the earlier one.
    MachineRestarted,
    /// The wall clock was set back.
    ClockSetBack,
    /// `TOKEN_LIFETIME` is longer than the key's tokens may live.
    LongerLifetime,
    /// `TOKEN_ALG` has changed.
    OtherAlgorithm,
    /// Its tokens would be dead at birth.
    BehindHorizon,
}

/// What the owner of the keys is to do, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyAction {
    /// Make a key: store its private half, publish it, then [`KeySchedule::add`].
    Make(KeyReason),
    /// Let this key sign, then [`KeySchedule::promote`], then delete the private half of the key
    /// that signed before.
    Sign(KeyId, KeyReason),
    /// State the key again, then [`KeySchedule::stated`].
    State(KeyId),
    /// The key has signed nothing and never will: delete its private half.
    Discard(KeyId),
    /// Its tokens have expired: state it no more.
    Forget(KeyId),
}

/// How a token is signed now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signer {
    /// With this key.
    Key(KeyId),
    /// With this key, once its ceiling is on the disk ([`KeySchedule::raise_ceiling`]).
    Raise(KeyId, i64),
    /// With none until [`KeySchedule::plan`] has brought another one: 503.
    None,
}

/// The replica's own keys.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct KeySchedule {
    rules: KeyRules,
    own: Vec<OwnKey>,
    /// A rotation was commanded and has not happened yet.
    is_commanded: bool,
}

impl KeySchedule {
    /// With the keys that were stored. A process that just started counts their times from zero.
    pub fn new(rules: KeyRules, own: Vec<OwnKey>) -> Self {
        Self { rules, own, is_commanded: false }
    }

    /// The keys, oldest first.
    pub fn own(&self) -> &[OwnKey] {
        &self.own
    }

    /// The key that signs, if there is one.
    pub fn signing(&self) -> Option<&OwnKey> {
        self.own.iter().find(|key| key.stage == Stage::Signing)
    }

    /// A new key was stored and published.
    pub fn add(&mut self, kid: KeyId, clocks: &Clocks) {
        self.own.push(OwnKey {
            kid,
            algorithm: self.rules.algorithm,
            lifetime_s: self.rules.lifetime_s,
            boot_id: clocks.boot_id,
            ceiling_s: None,
            signs_from_s: None,
            published_at: clocks.boot,
            stated_at: clocks.boot,
            stage: Stage::Next,
        });
    }

    /// This key signs from now on; the one before is retired.
    pub fn promote(&mut self, kid: KeyId, clocks: &Clocks) {
        for key in &mut self.own {
            if key.kid == kid {
                key.stage = Stage::Signing;
                key.signs_from_s = Some(clocks.wall_s);
            } else if key.stage == Stage::Signing {
                key.stage = Stage::Retired(clocks.boot);
            }
        }
        self.is_commanded = false;
    }

    /// The key was stated again.
    pub fn stated(&mut self, kid: KeyId, now: BootTime) {
        self.own.iter_mut().filter(|key| key.kid == kid).for_each(|key| key.stated_at = now);
    }

    /// The key is gone: forgotten, discarded or killed.
    pub fn remove(&mut self, kid: KeyId) {
        self.own.retain(|key| key.kid != kid);
    }

    /// The ceiling is on the disk.
    pub fn raise_ceiling(&mut self, kid: KeyId, ceiling_s: i64) {
        for key in self.own.iter_mut().filter(|key| key.kid == kid) {
            key.ceiling_s = key.ceiling_s.max(Some(ceiling_s));
        }
    }

    /// `keys rotate`: the next key signs as soon as every fresh replica has it.
    pub fn command_rotation(&mut self) {
        self.is_commanded = true;
    }

    /// Which key signs a token now. `horizon_of` tells a key's horizon.
    pub fn signer(&self, clocks: &Clocks, horizon_of: impl Fn(&KeyId) -> Option<i64>) -> Signer {
        let Some(key) = self.signing() else { return Signer::None };
        if self.unfitness(key, clocks, horizon_of(&key.kid)).is_some() {
            return Signer::None;
        }
        match key.ceiling_s {
            Some(ceiling_s) if clocks.offset_s() <= ceiling_s => Signer::Key(key.kid),
            _ => Signer::Raise(key.kid, clocks.offset_s().saturating_add(CEILING_STEP_S)),
        }
    }

    /// What is to be done now. `horizon_of` tells a key's horizon, `is_everywhere` whether every
    /// fresh replica has the key. Call it every second, and again after each round of actions.
    pub fn plan(
        &self,
        clocks: &Clocks,
        horizon_of: impl Fn(&KeyId) -> Option<i64>,
        is_everywhere: impl Fn(&KeyId) -> bool,
    ) -> Vec<KeyAction> {
        let unfit = |key: &OwnKey| self.unfitness(key, clocks, horizon_of(&key.kid));
        let next = self.own.iter().filter(|key| key.stage == Stage::Next);
        let (fit, useless): (Vec<_>, Vec<_>) = next.partition(|key| unfit(key).is_none());
        let mut actions: Vec<_> = useless.iter().map(|key| KeyAction::Discard(key.kid)).collect();
        let need = self.need(clocks, unfit);
        match (fit.first(), need) {
            (Some(next), Some((reason, is_urgent))) => {
                let shown_s = clocks.boot.since_ms(next.published_at) / 1000;
                if is_everywhere(&next.kid) && shown_s >= self.wait_s(is_urgent) {
                    actions.push(KeyAction::Sign(next.kid, reason));
                }
            }
            (None, Some((reason, _))) => actions.push(KeyAction::Make(reason)),
            (None, None) => actions.push(KeyAction::Make(KeyReason::Ahead)),
            (Some(_), None) => {}
        }
        actions.extend(self.upkeep(clocks.boot));
        actions
    }

    /// Why another key should sign, and whether it is needed at once.
    fn need(
        &self,
        clocks: &Clocks,
        unfit: impl Fn(&OwnKey) -> Option<KeyReason>,
    ) -> Option<(KeyReason, bool)> {
        let Some(signing) = self.signing() else { return Some((KeyReason::First, true)) };
        if let Some(reason) = unfit(signing) {
            return Some((reason, true));
        }
        if self.is_commanded {
            return Some((KeyReason::Command, true));
        }
        let signed_for_s = clocks.wall_s.saturating_sub(signing.signs_from_s.unwrap_or_default());
        (signed_for_s.abs() >= self.rules.rotation_s).then_some((KeyReason::Rotation, false))
    }

    /// How long the next key must have been published, in seconds.
    fn wait_s(&self, is_urgent: bool) -> i64 {
        if is_urgent {
            self.rules.warmup_s
        } else {
            self.rules.max_age_s.saturating_add(CACHE_SLACK_S).saturating_add(1)
        }
    }

    /// Why the key must not sign, if so.
    fn unfitness(
        &self,
        key: &OwnKey,
        clocks: &Clocks,
        horizon_s: Option<i64>,
    ) -> Option<KeyReason> {
        let lowest_offset_s = key.ceiling_s.map(|ceiling_s| ceiling_s.saturating_sub(CLOCK_STEP_S));
        let exp_s = clocks.wall_s.saturating_add(self.rules.lifetime_s);
        if key.algorithm != self.rules.algorithm {
            Some(KeyReason::OtherAlgorithm)
        } else if key.lifetime_s < self.rules.lifetime_s {
            Some(KeyReason::LongerLifetime)
        } else if key.boot_id != clocks.boot_id {
            Some(KeyReason::MachineRestarted)
        } else if lowest_offset_s.is_some_and(|lowest_s| clocks.offset_s() < lowest_s) {
            Some(KeyReason::ClockSetBack)
        } else if horizon_s.is_some_and(|horizon_s| exp_s <= horizon_s) {
            Some(KeyReason::BehindHorizon)
        } else {
            None
        }
    }

    /// Keys are stated again in time, and no longer when their tokens have expired.
    fn upkeep(&self, now: BootTime) -> Vec<KeyAction> {
        let action = |key: &OwnKey| {
            let life_s = key.lifetime_s.saturating_add(self.rules.leeway_s).saturating_add(60);
            match key.stage {
                Stage::Retired(since) if now.since_ms(since) / 1000 >= life_s => {
                    Some(KeyAction::Forget(key.kid))
                }
                _ if now.since_ms(key.stated_at) / 1000 >= RESTATE_S => {
                    Some(KeyAction::State(key.kid))
                }
                _ => None,
            }
        };
        self.own.iter().filter_map(action).collect()
    }
}

#[cfg(test)]
mod tests;
