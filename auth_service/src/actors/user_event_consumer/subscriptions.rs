//! The two queues of a replica, read as one.

use std::sync::Arc;
use std::time::Duration;

use contract::topology::{
    ALL_USER_EVENTS, HEAD_ROUTING_KEY, LOG_REWOUND, USERS_EXCHANGE, projection_queue,
};
use futures_util::future::BoxFuture;
use futures_util::{FutureExt, StreamExt};
use shared::bus::{Binding, Bus, BusError, Delivery, QueueLifetime, QueueSpec, Subscription};
use tokio::time::{Instant, sleep_until, timeout_at};

use super::session_error::SessionError;
use super::users_freshness::UsersFreshness;

/// Events that may be unacknowledged at once.
const PREFETCH: u16 = 500;
/// Heads and answers that may be. Fewer, because an answer may have a megabyte, and what waits here is
/// in memory. A snapshot has no more parts on their way than the credit allows.
const CONTROL_PREFETCH: u16 = 20;
/// How long a replica may be away without losing its queue; losing it costs a snapshot.
const EVENTS_EXPIRE: Duration = Duration::from_hours(7 * 24);
/// A question is repeated if nothing came between two checks: the first interval between them.
pub(super) const ASK_INTERVAL_MIN: Duration = Duration::from_secs(1);
/// The longest interval: a large snapshot takes its time before its first part. A question
/// is then repeated every 10 s, which is how long it lasts in its queue: whoever comes back to
/// answer finds one there.
pub(super) const ASK_INTERVAL_MAX: Duration = Duration::from_secs(5);
/// How soon user_service may be asked again: requests that want a proof share a question.
const WANTED_PAUSE: Duration = Duration::from_millis(50);
/// Heads come every second; without any for so long, they are not waited for.
const QUIET: Duration = Duration::from_millis(1_500);
/// Without heads or answers for so long, all is declared anew.
const SILENCE: Duration = Duration::from_millis(2_500);

/// What the follower is told next.
pub(super) enum Arrival {
    Event(Delivery),
    Control(Delivery),
    Waited,
    /// No head came: an answer may.
    Quiet,
    /// What was put off is due.
    Alarm,
    /// Requests wait for a proof.
    Wanted,
}

/// A subscription with the last tag that it gave and the last that was acknowledged.
struct Feed {
    subscription: Subscription,
    taken: u64,
    acknowledged: u64,
}

impl Feed {
    async fn open(bus: &dyn Bus, queue: QueueSpec) -> Result<Self, BusError> {
        let subscription = bus.subscribe(queue).await?;
        Ok(Self { subscription, taken: 0, acknowledged: 0 })
    }

    async fn next(&mut self) -> Result<Delivery, BusError> {
        let delivery = self.subscription.next().await;
        let delivery = delivery.ok_or(BusError::Unreachable("the subscription ended".into()))?;
        self.taken = delivery.tag;
        Ok(delivery)
    }

    async fn acknowledge(&mut self) -> Result<(), BusError> {
        if self.taken > self.acknowledged {
            self.subscription.acknowledge_through(self.taken).await?;
            self.acknowledged = self.taken;
        }
        Ok(())
    }
}

/// The events of the users. A quorum queue may need seconds until it can be consumed, or stay dead
/// after a crash of its broker; heads and answers do without it.
enum Events {
    Opening(BoxFuture<'static, Result<Feed, BusError>>),
    Open(Feed),
}

/// Both subscriptions; when one ends, drop both.
pub(super) struct Subscriptions {
    /// Every event of a user, since the replica was last here.
    events: Events,
    /// Heads and answers.
    control: Feed,
    /// Not before the first answer, which the events would overtake: after a long absence it is by
    /// far the quicker way, and makes most of what has collected in the queue superfluous.
    takes_events: bool,
    /// How far apart the looks at the question are.
    ask_interval: Duration,
    waited_at: Instant,
    /// When it began to listen after the last authentic head or answer.
    heard_at: Instant,
    /// It was asked since.
    is_quiet: bool,
    /// When [`Arrival::Alarm`] is to come.
    alarm: Option<Instant>,
    /// When [`Arrival::Wanted`] may come.
    wanted_from: Instant,
    fresh: UsersFreshness,
}

impl Subscriptions {
    pub(super) async fn open(
        bus: &Arc<dyn Bus>,
        (replica, control_queue): (&str, &str),
        fresh: UsersFreshness,
    ) -> Result<Self, BusError> {
        // Control first: a head that tells of events must not be missed while these are bound.
        let control = QueueSpec {
            name: control_queue.to_owned(),
            lifetime: QueueLifetime::Transient,
            bindings: vec![from_users(HEAD_ROUTING_KEY)],
            prefetch: CONTROL_PREFETCH,
        };
        let events = QueueSpec {
            name: projection_queue(replica),
            lifetime: QueueLifetime::Durable { expires: EVENTS_EXPIRE },
            bindings: vec![from_users(ALL_USER_EVENTS), from_users(LOG_REWOUND)],
            prefetch: PREFETCH,
        };
        let control = Feed::open(&**bus, control).await?;
        let bus = Arc::clone(bus);
        let events = async move { Feed::open(&*bus, events).await }.boxed();
        let events = Events::Opening(events);
        let (ask_interval, waited_at) = (ASK_INTERVAL_MIN, Instant::now());
        Ok(Self {
            events,
            control,
            takes_events: false,
            ask_interval,
            waited_at,
            heard_at: waited_at,
            is_quiet: false,
            alarm: None,
            wanted_from: waited_at,
            fresh,
        })
    }

    /// The next head or answer, acknowledged already: for a session that waits for its turn.
    pub(super) async fn next_control(&mut self) -> Result<Delivery, SessionError> {
        let delivery = timeout_at(self.heard_at + SILENCE, self.control.next()).await;
        let delivery = delivery.map_err(|_| SessionError::Silent)??;
        self.control.acknowledge().await?;
        Ok(delivery)
    }

    /// Waits for one arrival, and takes with it what else is there already.
    pub(super) async fn next_batch(&mut self, max: usize) -> Result<Vec<Arrival>, SessionError> {
        let mut batch = vec![self.next().await?];
        while batch.len() < max
            && let Some(ready) = self.next().now_or_never()
        {
            batch.push(ready?);
        }
        Ok(batch)
    }

    async fn next(&mut self) -> Result<Arrival, SessionError> {
        tokio::select! {
            // In this order: what is there already was no silence, however long the last batch
            // took, and a flood must not hold up the clock of questions.
            biased;
            () = sleep_until(self.waited_at + self.ask_interval) => {
                self.waited_at = Instant::now();
                Ok(Arrival::Waited)
            }
            () = sleep_until(self.alarm.unwrap_or(self.waited_at)), if self.alarm.is_some() => {
                self.alarm = None;
                Ok(Arrival::Alarm)
            }
            () = wanted(&self.fresh, self.wanted_from) => {
                self.wanted_from = Instant::now() + WANTED_PAUSE;
                Ok(Arrival::Wanted)
            }
            delivery = self.control.next() => Ok(Arrival::Control(delivery?)),
            delivery = self.events.next(), if self.takes_events => Ok(Arrival::Event(delivery?)),
            () = sleep_until(self.heard_at + QUIET), if !self.is_quiet => {
                self.is_quiet = true;
                Ok(Arrival::Quiet)
            }
            () = sleep_until(self.heard_at + SILENCE) => Err(SessionError::Silent),
        }
    }

    /// The batch was read, perhaps slowly; whether it had an authentic head or answer. Anything else
    /// is as good as silence.
    ///
    /// # Errors
    /// It has been silent for too long.
    pub(super) fn note_read(&mut self, has_heard: bool) -> Result<(), SessionError> {
        if has_heard {
            (self.heard_at, self.is_quiet) = (Instant::now(), false);
        } else if self.heard_at.elapsed() >= SILENCE {
            return Err(SessionError::Silent);
        }
        Ok(())
    }

    /// The first answer is there, or does not come: from now on events are taken.
    pub(super) fn take_events(&mut self) {
        self.takes_events = true;
    }

    /// When [`Arrival::Alarm`] comes.
    pub(super) fn set_alarm(&mut self, alarm: Option<Instant>) {
        self.alarm = alarm;
    }

    /// How far apart [`Arrival::Waited`] comes from now on.
    pub(super) fn set_ask_interval(&mut self, ask_interval: Duration) {
        self.ask_interval = ask_interval;
    }

    /// Acknowledges everything that was taken.
    pub(super) async fn acknowledge(&mut self) -> Result<(), BusError> {
        if let Events::Open(events) = &mut self.events {
            events.acknowledge().await?;
        }
        self.control.acknowledge().await
    }
}

impl Events {
    async fn next(&mut self) -> Result<Delivery, BusError> {
        if let Self::Opening(opening) = self {
            let feed = opening.await?;
            *self = Self::Open(feed);
        }
        match self {
            Self::Open(feed) => feed.next().await,
            Self::Opening(_) => Err(BusError::Closed),
        }
    }
}

async fn wanted(fresh: &UsersFreshness, from: Instant) {
    sleep_until(from).await;
    fresh.wanted().await;
}

fn from_users(routing_key: &str) -> Binding {
    Binding { exchange: USERS_EXCHANGE.into(), routing_key: routing_key.into() }
}
