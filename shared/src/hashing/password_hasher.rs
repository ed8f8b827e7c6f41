//! The actor in front of the hashing threads. There is one on each HTTP worker's thread, so
//! refusing a password wakes no other thread. All of them feed the same hashing threads.
//!
//! **Owns**, together with the others, the threads, their memory, and the queue of waiting
//! passwords.
//!
//! **Promises** that at most `threads` passwords are hashed and `queue` passwords wait at any time;
//! that a job is not computed after its client has gone; and that cheap requests go first, because
//! the hashing threads have a lower priority.
//!
//! **When full** refuses at once: 503 with `Retry-After`.
//!
//! **When it dies**, or a job panics, that job's client gets an error; the hashing thread
//! continues.

use std::io;
use std::thread;
use std::time::Instant;

use actix::{Actor, Context, Handler};
use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

use super::PasswordHash;
use super::hasher::{HashFault, HashParams, Hasher, Stored, Verification};
use super::priority;
use crate::actors::{Ask, Command, Health, Mailbox, Reply};
use crate::config::HashingArgs;
use crate::identity::Password;

/// Passwords that may be on their way to the queue on one worker.
const MAILBOX: usize = 1024;

/// "Hash this new password."
#[derive(Debug)]
pub struct HashPassword(pub Password);

impl Command for HashPassword {
    type Reply = Result<PasswordHash, HashRefused>;
}

/// "Is this the password?"
#[derive(Debug)]
pub struct VerifyPassword {
    /// What the client gave.
    pub password: Password,
    /// What it is compared with.
    pub stored: Stored,
}

impl Command for VerifyPassword {
    type Reply = Result<Verification, HashRefused>;
}

/// "Is there room for one more password?": saves clients the work that comes before hashing. The
/// room may be taken when the password comes; then the password is refused.
#[derive(Clone, Copy, Debug)]
pub struct CheckCapacity;

impl Command for CheckCapacity {
    type Reply = Result<(), HashRefused>;
}

/// Why a password was not hashed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HashRefused {
    /// Too many passwords wait already.
    #[error("too many passwords wait to be hashed")]
    Full,
    /// The stored hash cannot be used.
    #[error(transparent)]
    Fault(#[from] HashFault),
}

/// The hashing threads cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum HashingStartError {
    /// Argon2's parameters are out of bounds.
    #[error("cannot use the settings of Argon2")]
    Settings(#[from] HashFault),
    /// The system refuses another thread.
    #[error("cannot start a hashing thread")]
    Thread(#[from] io::Error),
}

/// The settings of the hashing threads.
#[derive(Clone, Copy, Debug)]
pub struct HashingConfig {
    /// The cost of a new hash.
    pub params: HashParams,
    /// How many threads hash.
    pub threads: usize,
    /// How many passwords may wait for them.
    pub queue: usize,
}

impl HashingConfig {
    /// What the settings ask for, on so many threads.
    pub fn from_args(args: &HashingArgs, threads: usize) -> Self {
        Self {
            params: HashParams {
                memory_kib: args.argon2_memory_kib,
                iterations: args.argon2_iterations,
                parallelism: args.argon2_parallelism,
            },
            threads,
            queue: args.hash_queue.into(),
        }
    }
}

/// The metrics of hashing.
#[derive(Clone)]
pub struct HashingMetrics {
    seconds: Histogram,
    wait_seconds: Histogram,
    blocks: Counter,
    refused: Counter,
    abandoned: Counter,
}

impl HashingMetrics {
    /// Creates and registers them.
    pub fn register(registry: &mut Registry) -> Self {
        let buckets = || exponential_buckets(0.001, 2.0, 14);
        let metrics = Self {
            seconds: Histogram::new(buckets()),
            wait_seconds: Histogram::new(buckets()),
            blocks: Counter::default(),
            refused: Counter::default(),
            abandoned: Counter::default(),
        };
        metrics.register_again(registry);
        metrics
    }

    /// Registers them in another registry: the standalone binary has one for each service.
    pub fn register_again(&self, registry: &mut Registry) {
        let (seconds, wait) = (self.seconds.clone(), self.wait_seconds.clone());
        registry.register_with_unit("hash", "Time to compute one hash", Unit::Seconds, seconds);
        registry.register_with_unit("hash_wait", "Time a password waited", Unit::Seconds, wait);
        let help = "Blocks of 1 KiB that hashing has filled, once for each pass";
        registry.register("hash_blocks", help, self.blocks.clone());
        let (refused, abandoned) = (self.refused.clone(), self.abandoned.clone());
        registry.register("hash_refused", "Passwords refused because too many waited", refused);
        registry.register("hash_abandoned", "Passwords whose client went away", abandoned);
    }
}

/// The hashing threads, for the actors in front of them. They end when all actors are gone and the
/// queue is empty.
#[derive(Clone)]
pub struct HashingThreads {
    /// Bounded by the setting: this is the admission limit for all hashing.
    jobs: Sender<Job>,
    metrics: HashingMetrics,
}

/// One worker's access to the hashing threads.
pub struct PasswordHasher {
    threads: HashingThreads,
}

struct Job {
    queued_at: Instant,
    work: Box<dyn HashingWork>,
}

trait HashingWork: Send {
    fn is_abandoned(&self) -> bool;
    fn run(self: Box<Self>, hasher: &mut Hasher);
    fn refuse(self: Box<Self>);
}

impl HashingThreads {
    /// Starts them, each with its memory.
    ///
    /// # Errors
    /// See [`HashingStartError`].
    pub fn start(
        config: HashingConfig,
        metrics: HashingMetrics,
    ) -> Result<Self, HashingStartError> {
        let (jobs, inbox) = bounded(config.queue);
        for n in 0..config.threads.max(1) {
            let (hasher, inbox, metrics) =
                (Hasher::new(config.params)?, inbox.clone(), metrics.clone());
            spawn_thread(n, hasher, inbox, metrics)?;
        }
        Ok(Self { jobs, metrics })
    }

    /// Whether more than half of the queue is taken.
    pub fn is_crowded(&self) -> bool {
        self.jobs.capacity().is_some_and(|capacity| self.jobs.len() * 2 > capacity)
    }
}

impl PasswordHasher {
    /// Starts an actor on this thread.
    pub fn launch(threads: HashingThreads, health: &Health) -> Mailbox<Self> {
        Mailbox::start(health, MAILBOX, |_| Self { threads })
    }

    fn enqueue(&self, work: Box<dyn HashingWork>) {
        let job = Job { queued_at: Instant::now(), work };
        if let Err(TrySendError::Full(job) | TrySendError::Disconnected(job)) =
            self.threads.jobs.try_send(job)
        {
            self.threads.metrics.refused.inc();
            job.work.refuse();
        }
    }
}

fn spawn_thread(
    n: usize,
    mut hasher: Hasher,
    inbox: Receiver<Job>,
    metrics: HashingMetrics,
) -> io::Result<()> {
    let run = move || {
        priority::lower();
        for job in inbox {
            run_job(job, &mut hasher, &metrics);
        }
    };
    thread::Builder::new().name(format!("hash-{n}")).spawn(run).map(drop)
}

fn run_job(job: Job, hasher: &mut Hasher, metrics: &HashingMetrics) {
    metrics.wait_seconds.observe(job.queued_at.elapsed().as_secs_f64());
    if job.work.is_abandoned() {
        metrics.abandoned.inc();
        return;
    }
    let started_at = Instant::now();
    job.work.run(hasher);
    metrics.blocks.inc_by(hasher.take_filled_blocks());
    metrics.seconds.observe(started_at.elapsed().as_secs_f64());
}

impl Actor for PasswordHasher {
    type Context = Context<Self>;
}

/// A command that consists of hashing only.
trait HashingCommand: Command<Reply = Result<Self::Output, HashRefused>> {
    type Output: Send;
    fn run(self, hasher: &mut Hasher) -> Result<Self::Output, HashFault>;
}

impl HashingCommand for HashPassword {
    type Output = PasswordHash;
    fn run(self, hasher: &mut Hasher) -> Result<PasswordHash, HashFault> {
        hasher.hash(&self.0)
    }
}

impl HashingCommand for VerifyPassword {
    type Output = Verification;
    fn run(self, hasher: &mut Hasher) -> Result<Verification, HashFault> {
        hasher.verify(&self.password, &self.stored)
    }
}

impl<C: HashingCommand> HashingWork for (C, Reply<C::Reply>) {
    fn is_abandoned(&self) -> bool {
        self.1.is_abandoned()
    }
    fn run(self: Box<Self>, hasher: &mut Hasher) {
        let (command, reply) = *self;
        reply.answer(|| Ok(command.run(hasher)?));
    }
    fn refuse(self: Box<Self>) {
        self.1.send(Err(HashRefused::Full));
    }
}

impl Handler<Ask<CheckCapacity>> for PasswordHasher {
    type Result = ();

    fn handle(&mut self, ask: Ask<CheckCapacity>, _: &mut Self::Context) {
        let is_full = self.threads.jobs.is_full();
        if is_full {
            self.threads.metrics.refused.inc();
        }
        ask.answer(|CheckCapacity| if is_full { Err(HashRefused::Full) } else { Ok(()) });
    }
}

impl<C: HashingCommand> Handler<Ask<C>> for PasswordHasher {
    type Result = ();

    fn handle(&mut self, ask: Ask<C>, _: &mut Self::Context) {
        self.enqueue(Box::new(ask.into_parts()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::actors::ask;
    use futures_util::future::join_all;
    use secrecy::SecretString;

    const MEMORY_KIB: u32 = 1024;

    fn start(threads: usize, queue: usize) -> HashingThreads {
        let params = HashParams { memory_kib: MEMORY_KIB, iterations: 1, parallelism: 1 };
        let metrics = HashingMetrics::register(&mut Registry::default());
        HashingThreads::start(HashingConfig { params, threads, queue }, metrics).unwrap()
    }

    fn launch(threads: HashingThreads) -> Mailbox<PasswordHasher> {
        PasswordHasher::launch(threads, &Health::default())
    }

    /// Keeps a hashing thread until the other end is dropped.
    struct Held(Receiver<()>);

    impl HashingWork for Held {
        fn is_abandoned(&self) -> bool {
            false
        }
        fn run(self: Box<Self>, _: &mut Hasher) {
            let _ = self.0.recv();
        }
        fn refuse(self: Box<Self>) {}
    }

    /// The only thread is busy, and the queue is empty, until the sender is dropped.
    fn hold(threads: &HashingThreads) -> Sender<()> {
        let (release, held) = bounded(0);
        let job = Job { queued_at: Instant::now(), work: Box::new(Held(held)) };
        threads.jobs.send(job).unwrap();
        while !threads.jobs.is_empty() {
            thread::yield_now();
        }
        release
    }

    fn password() -> Password {
        Password::prepare(&SecretString::from("testpassword")).unwrap()
    }

    #[actix::test]
    async fn what_was_hashed_verifies() {
        let hasher = launch(start(2, 4));
        let hash = ask(&hasher, HashPassword(password())).await.unwrap().unwrap();
        let verify = VerifyPassword { password: password(), stored: Stored::Own(hash) };
        let verified = ask(&hasher, verify).await.unwrap();
        assert_eq!(verified, Ok(Verification::Right { is_outdated: false }));
    }

    #[actix::test]
    async fn more_than_the_queue_holds_is_refused_at_once_and_the_rest_is_done() {
        let threads = start(1, 2);
        let release = hold(&threads);
        let hasher = launch(threads);
        assert_eq!(ask(&hasher, CheckCapacity).await, Ok(Ok(())));
        let hashing = join_all((0..12).map(|_| ask(&hasher, HashPassword(password()))));
        let asking = async {
            // After the twelve commands in the mailbox.
            tokio::task::yield_now().await;
            let room = ask(&hasher, CheckCapacity).await;
            drop(release);
            room
        };
        let (all, room) = tokio::join!(hashing, asking);
        assert_eq!(room, Ok(Err(HashRefused::Full)));
        let done = all.iter().filter(|answer| matches!(answer, Ok(Ok(_)))).count();
        let full = all.iter().filter(|answer| matches!(answer, Ok(Err(HashRefused::Full)))).count();
        assert_eq!((done, full), (2, 10));
    }
}
