//! The actor that limits the guessing of passwords.
//!
//! **Owns** the numbers of recent wrong passwords: for each name or user, and from each address
//! (for IPv6, the /64). It stores no names and no addresses, only hashes of them under a secret
//! that it draws at its start.
//!
//! **Promises** that no more wrong passwords are checked than the budgets allow, however many come
//! at the same moment: a check that could exceed a budget waits for the results of those before it.
//! Right passwords cost nothing, and a new password starts with full budgets. A user who logged in
//! lately from an address has a separate budget there, which strangers cannot spend, so they cannot
//! lock the user out. `docs/decisions/0014` says why.
//!
//! **When full** forgets the budget that is nearest to its full size, in memory of a fixed size;
//! and answers 503 when too many checks wait for others.
//!
//! **When it dies** all attempts are answered with 500. A restart of the service resets all
//! budgets.

mod gcra;
mod key_table;

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, Hash, RandomState};
use std::time::Duration;

use actix::{Actor, AsyncContext, Context, Handler, StreamHandler};
use actix_web::http::header::{self, HeaderName};
use futures_util::stream;
use tokio::sync::mpsc;

use super::client_address::ClientAddress;
use super::problem::{Problem, ProblemKind};
use crate::actors::{Ask, Command, Health, Mailbox, Reply, ask};
use crate::clock::MonotonicClock;
use crate::config::GuessingArgs;
use gcra::Budget;
use key_table::KeyTable;

/// Checks that may be on their way to the actor.
const MAILBOX: usize = 1024;
/// Checks that may wait for the results of others.
const WAITING_MAX: usize = 1024;
/// How many budgets are remembered, in 16 MiB. Each failure costs a hash and uses two entries: at
/// 60 hashes a second per core, nine cores use half of the entries in a window of 15 minutes.
const BUDGETS: usize = 1 << 20;
/// How many logins are remembered, in 4 MiB.
const LOGINS: usize = 1 << 18;
/// How long a user who logged in from an address counts as known there.
const KNOWN_FOR: Duration = Duration::from_hours(24 * 30);

/// "A password is about to be checked": answers when the check may be made.
#[derive(Clone, Copy, Debug)]
struct BeginGuess {
    /// Identifies the name and its current password.
    subject: u64,
    /// Identifies the name and the address.
    pair: u64,
    /// Identifies all three.
    subject_at_address: u64,
    address: u64,
}

impl Command for BeginGuess {
    type Reply = Result<Guess, GuessRefused>;
}

/// Why a password is not checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
enum GuessRefused {
    #[error("too many wrong passwords: {}", .0.policy)]
    Spent(Spent),
    #[error("too many password checks are waiting")]
    NoRoom,
}

/// The exhausted budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Spent {
    /// Its name in the `RateLimit` headers.
    policy: &'static str,
    budget: Budget,
    retry_after: Duration,
}

/// The handle of the limiter. Clones reach the same limiter.
#[derive(Clone)]
pub struct GuessLimit {
    limiter: Mailbox<GuessLimiter>,
    /// Holds the secret under which names and addresses are hashed.
    hashes: RandomState,
}

impl GuessLimit {
    /// Starts the limiter on this thread.
    pub fn launch(settings: &GuessingArgs, clock: MonotonicClock, health: &Health) -> Self {
        let limiter = GuessLimiter::new(settings, clock);
        let limiter = Mailbox::start(health, MAILBOX, |context| limiter.listen(context));
        Self { limiter, hashes: RandomState::new() }
    }

    /// Waits until a password for this name, or user, may be checked for this address. `password`
    /// tells the passwords of a name apart: a new one starts with full budgets.
    ///
    /// # Errors
    /// 429 when too many were wrong lately, 503 when too many wait.
    pub async fn begin(
        &self,
        name: &str,
        password: impl Hash,
        address: ClientAddress,
    ) -> Result<Guess, Problem> {
        let (hashes, prefix) = (&self.hashes, address.prefix());
        let attempt = BeginGuess {
            subject: hashes.hash_one(("subject", name, &password)),
            pair: hashes.hash_one(("pair", name, prefix)),
            subject_at_address: hashes.hash_one(("subject at address", name, &password, prefix)),
            address: hashes.hash_one(("address", prefix)),
        };
        Ok(ask(&self.limiter, attempt).await??)
    }
}

/// The permission to check one password. Dropped without a verdict, it counts as no attempt: a
/// client that went away has learned nothing.
#[derive(Debug)]
pub struct Guess {
    gates: Gates,
    is_right: Option<bool>,
    /// Unbounded, but never longer than the number of checks in progress.
    verdicts: mpsc::UnboundedSender<Verdict>,
}

impl Guess {
    /// Reports whether the password was right.
    pub fn settle(mut self, is_right: bool) {
        self.is_right = Some(is_right);
    }
}

impl Drop for Guess {
    fn drop(&mut self) {
        // A limiter that has stopped counts nothing.
        let _ = self.verdicts.send(Verdict { gates: self.gates, is_right: self.is_right });
    }
}

#[derive(Debug)]
struct Verdict {
    gates: Gates,
    is_right: Option<bool>,
}

/// Which budgets an attempt draws on.
#[derive(Clone, Copy, Debug)]
struct Gates {
    /// The subject's budget: for all addresses, or for this address if the subject is known there.
    subject: u64,
    address: u64,
    /// Identifies the name at this address.
    pair: u64,
    is_known: bool,
}

/// The checks in progress that draw on one budget.
#[derive(Default)]
struct InHand {
    checks: u32,
    waiting: VecDeque<Attempt>,
}

/// An attempt that waits for permission.
struct Attempt {
    command: BeginGuess,
    reply: Reply<Result<Guess, GuessRefused>>,
}

impl Attempt {
    fn answer(self, answer: Result<Guess, GuessRefused>) {
        // If the caller has gone away, the guess is dropped, which gives it back.
        self.reply.send(answer);
    }
}

/// The decision about an attempt.
#[derive(Clone, Copy)]
enum Decision {
    Admit(Gates),
    /// The budget would be exhausted if all checks in progress failed.
    WaitFor(u64),
    Refuse(Spent),
}

struct GuessLimiter {
    /// Of wrong passwords for a subject.
    per_subject: Option<Budget>,
    /// Of wrong passwords from an address.
    per_address: Option<Budget>,
    clock: MonotonicClock,
    /// When each budget will be full again.
    full_at: KeyTable,
    /// When each subject last logged in from each address.
    logins: KeyTable,
    /// By budget; only budgets that a check in progress draws on.
    in_hand: HashMap<u64, InHand>,
    /// The number of attempts that wait in all of `in_hand`.
    waiting: usize,
    /// Given to each [`Guess`].
    verdicts: mpsc::UnboundedSender<Verdict>,
    /// `None` once the actor listens.
    inbox: Option<mpsc::UnboundedReceiver<Verdict>>,
}

impl GuessLimiter {
    fn new(settings: &GuessingArgs, clock: MonotonicClock) -> Self {
        let window = *settings.login_failures_window;
        let (verdicts, inbox) = mpsc::unbounded_channel();
        Self {
            per_subject: Budget::new(settings.login_failures_per_name, window),
            per_address: Budget::new(settings.login_failures_per_address, window),
            clock,
            full_at: KeyTable::new(BUDGETS),
            logins: KeyTable::new(LOGINS),
            in_hand: HashMap::new(),
            waiting: 0,
            verdicts,
            inbox: Some(inbox),
        }
    }

    fn listen(mut self, context: &mut Context<Self>) -> Self {
        if let Some(mut inbox) = self.inbox.take() {
            context.add_stream(stream::poll_fn(move |task| inbox.poll_recv(task)));
        }
        self
    }

    fn gates_of(&self, attempt: &BeginGuess, now_us: u64) -> Gates {
        let BeginGuess { subject, pair, subject_at_address, address } = *attempt;
        let known_at = self.logins.get(pair);
        let is_known = known_at != 0 && now_us.saturating_sub(known_at) <= micros(KNOWN_FOR);
        let subject = if is_known { subject_at_address } else { subject };
        Gates { subject, address, pair, is_known }
    }

    fn decide(&self, attempt: &BeginGuess, now_us: u64) -> Decision {
        let gates = self.gates_of(attempt, now_us);
        let mut wait_for = None;
        // Strangers at the same address must not lock out a subject that is known there.
        let per_address = if gates.is_known { None } else { self.per_address };
        for (key, budget, policy) in [
            (gates.subject, self.per_subject, "login-name"),
            (gates.address, per_address, "login-address"),
        ] {
            let Some(budget) = budget else { continue };
            let full_at_us = self.full_at.get(key);
            let left = budget.left(full_at_us, now_us);
            if left == 0 {
                let retry_after = budget.retry_after(full_at_us, now_us);
                return Decision::Refuse(Spent { policy, budget, retry_after });
            }
            if self.in_hand.get(&key).is_some_and(|in_hand| in_hand.checks >= left) {
                wait_for = Some(key);
            }
        }
        wait_for.map_or(Decision::Admit(gates), Decision::WaitFor)
    }

    /// An attempt that has already waited keeps its place, the `first` one.
    fn carry_out(&mut self, decision: Decision, attempt: Attempt, first: bool) {
        match decision {
            Decision::Refuse(spent) => attempt.answer(Err(GuessRefused::Spent(spent))),
            Decision::WaitFor(_) if self.waiting >= WAITING_MAX => {
                attempt.answer(Err(GuessRefused::NoRoom));
            }
            Decision::WaitFor(key) => {
                self.waiting += 1;
                let waiting = &mut self.in_hand.entry(key).or_default().waiting;
                if first { waiting.push_front(attempt) } else { waiting.push_back(attempt) }
            }
            Decision::Admit(gates) => {
                for key in [gates.subject, gates.address] {
                    self.in_hand.entry(key).or_default().checks += 1;
                }
                let verdicts = self.verdicts.clone();
                attempt.answer(Ok(Guess { gates, is_right: None, verdicts }));
            }
        }
    }

    /// Counts the result of a check, and admits the attempts that can go on now.
    fn count(&mut self, verdict: &Verdict, now_us: u64) {
        let Verdict { gates, is_right } = *verdict;
        match is_right {
            Some(true) => self.logins.set(gates.pair, now_us.max(1)),
            Some(false) => {
                self.spend(self.per_subject, gates.subject, now_us);
                self.spend(self.per_address, gates.address, now_us);
            }
            None => {}
        }
        for key in [gates.subject, gates.address] {
            if let Some(in_hand) = self.in_hand.get_mut(&key) {
                in_hand.checks = in_hand.checks.saturating_sub(1);
            }
            self.let_in(key, now_us);
        }
    }

    /// Decides about the attempts that wait for this budget, in order, up to the first that must
    /// keep waiting. In that case a check is in progress, whose verdict will admit the next ones.
    fn let_in(&mut self, key: u64, now_us: u64) {
        while let Some(in_hand) = self.in_hand.get_mut(&key) {
            let Some(attempt) = in_hand.waiting.pop_front() else {
                if in_hand.checks == 0 {
                    self.in_hand.remove(&key);
                }
                return;
            };
            self.waiting -= 1;
            if attempt.reply.is_abandoned() {
                continue;
            }
            let decision = self.decide(&attempt.command, now_us);
            let waits_on = matches!(decision, Decision::WaitFor(other) if other == key);
            self.carry_out(decision, attempt, waits_on);
            if waits_on {
                return;
            }
        }
    }

    fn spend(&mut self, budget: Option<Budget>, key: u64, now_us: u64) {
        if let Some(budget) = budget {
            self.full_at.set(key, budget.spend(self.full_at.get(key), now_us));
        }
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

impl Actor for GuessLimiter {
    type Context = Context<Self>;
}

impl Handler<Ask<BeginGuess>> for GuessLimiter {
    type Result = ();

    fn handle(&mut self, asked: Ask<BeginGuess>, _: &mut Self::Context) {
        let (command, reply) = asked.into_parts();
        let decision = self.decide(&command, self.clock.now_us());
        self.carry_out(decision, Attempt { command, reply }, false);
    }
}

impl StreamHandler<Verdict> for GuessLimiter {
    fn handle(&mut self, verdict: Verdict, _: &mut Self::Context) {
        self.count(&verdict, self.clock.now_us());
    }
}

impl From<GuessRefused> for Problem {
    fn from(refused: GuessRefused) -> Self {
        match refused {
            GuessRefused::Spent(spent) => spent.into(),
            GuessRefused::NoRoom => {
                Self::new(ProblemKind::Overloaded, "too many passwords wait to be checked")
            }
        }
    }
}

impl From<Spent> for Problem {
    /// The headers of draft-ietf-httpapi-ratelimit-headers-11: lists of strings with parameters.
    fn from(Spent { policy, budget, retry_after }: Spent) -> Self {
        let (quota, window_s) = (budget.quota, whole_seconds(budget.window()));
        let seconds = whole_seconds(retry_after);
        let detail = "too many wrong passwords: try again after the time in Retry-After";
        Self::new(ProblemKind::TooManyFailures, detail)
            .with_source(GuessRefused::Spent(Spent { policy, budget, retry_after }))
            .with_header(header::RETRY_AFTER, &seconds.to_string())
            .with_header(
                HeaderName::from_static("ratelimit-policy"),
                &format!(r#""{policy}";q={quota};w={window_s}"#),
            )
            .with_header(
                HeaderName::from_static("ratelimit"),
                &format!(r#""{policy}";r=0;t={seconds}"#),
            )
    }
}

/// Rounded up to at least 1: a client that waits this long is not too early.
fn whole_seconds(time: Duration) -> u64 {
    (time.as_secs() + u64::from(time.subsec_nanos() > 0)).max(1)
}

#[cfg(test)]
mod tests;
