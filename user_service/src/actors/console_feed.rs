//! The figures that the console draws.
//!
//! **Owns** the last minutes of samples, and who watches them.
//!
//! **Promises** a sample each second while somebody watches; that a watcher who comes back gets what it
//! missed, if it is still here; and that no sample waits for a watcher. While nobody watches it asks nobody.
//!
//! **When full** refuses another watcher. A watcher that does not keep up is sent away, and comes back.
//!
//! **When it dies** the streams end, and the page says that it has lost the connection.

mod figures;
mod sources;

use std::collections::VecDeque;
use std::time::Duration;

use actix::{Actor, ActorFutureExt, AsyncContext, Context, Handler, WrapFuture};
use data_encoding::HEXLOWER;
use shared::actors::{Ask, Command};
use shared::secrets::random_bytes;
use tokio::sync::broadcast;

pub use sources::Sources;

/// How often a sample is taken.
const PERIOD: Duration = Duration::from_secs(1);
/// How many samples are kept: five minutes.
const KEPT: usize = 300;
/// How many streams may be open in a process.
const WATCHERS_MAX: usize = 16;
/// How many samples a watcher may be behind.
const BEHIND_MAX: usize = 8;

/// The place of a sample: a run of this process, and its number in that run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SampleId {
    run: String,
    number: u64,
}

impl SampleId {
    /// Reads what [`Sample::to_event`] writes as `id`.
    pub fn parse(text: &str) -> Option<Self> {
        let (run, number) = text.split_once('-')?;
        Some(Self { run: run.to_owned(), number: number.parse().ok()? })
    }
}

/// What was seen at one moment.
#[derive(Clone, Debug)]
pub struct Sample {
    id: SampleId,
    json: String,
}

impl Sample {
    /// As a server-sent event.
    pub fn to_event(&self) -> String {
        let Self { id: SampleId { run, number }, json } = self;
        // JSON of serde has no line breaks.
        format!("id: {run}-{number}\ndata: {json}\n\n")
    }
}

/// Asks for the samples from now on, and for those after this one that are still here.
pub struct Watch(pub Option<SampleId>);

/// The samples that one watcher gets.
pub struct Watching {
    /// What it has missed.
    pub missed: Vec<Sample>,
    /// What comes. It ends when the service stops.
    pub coming: broadcast::Receiver<Sample>,
}

/// There is no room for another watcher, or the service stops.
#[derive(Debug, thiserror::Error)]
#[error("{WATCHERS_MAX} streams of the console are open already, or the service stops")]
pub struct NoMoreWatchers;

impl Command for Watch {
    type Reply = Result<Watching, NoMoreWatchers>;
}

/// Ends all streams, so that the service can stop.
pub struct EndStreams;

impl Command for EndStreams {
    type Reply = ();
}

/// The actor.
pub struct ConsoleFeed {
    sources: Sources,
    /// Tells this run from an earlier one, whose numbers mean other samples.
    run: String,
    next: u64,
    recent: VecDeque<Sample>,
    /// `None` when the service stops.
    watchers: Option<broadcast::Sender<Sample>>,
    /// Sources that are slow must not be asked twice at once.
    is_sampling: bool,
}

impl ConsoleFeed {
    /// A feed of what the sources know.
    pub fn new(sources: Sources) -> Self {
        Self {
            sources,
            run: HEXLOWER.encode(&random_bytes::<4>()),
            next: 1,
            recent: VecDeque::with_capacity(KEPT),
            watchers: Some(broadcast::channel(BEHIND_MAX).0),
            is_sampling: false,
        }
    }

    fn sample(&mut self, context: &mut Context<Self>) {
        let count = self.watchers.as_ref().map_or(0, broadcast::Sender::receiver_count);
        if count == 0 || self.is_sampling {
            return;
        }
        self.is_sampling = true;
        let sources = self.sources.clone();
        let sampling = async move { sources.sample().await }.into_actor(self);
        context.spawn(sampling.map(|json, feed, _| feed.add(json)));
    }

    fn add(&mut self, json: String) {
        self.is_sampling = false;
        let sample = Sample { id: SampleId { run: self.run.clone(), number: self.next }, json };
        self.next += 1;
        if self.recent.len() == KEPT {
            self.recent.pop_front();
        }
        self.recent.push_back(sample.clone());
        if let Some(watchers) = &self.watchers {
            // The last watcher may have gone meanwhile.
            let _ = watchers.send(sample);
        }
    }

    fn watch(&self, after: Option<SampleId>) -> Result<Watching, NoMoreWatchers> {
        let watchers = self.watchers.as_ref().ok_or(NoMoreWatchers)?;
        if watchers.receiver_count() >= WATCHERS_MAX {
            return Err(NoMoreWatchers);
        }
        // A number of another run says nothing about the samples here: all of them are news.
        let after = after.filter(|after| after.run == self.run).map_or(0, |after| after.number);
        let missed = self.recent.iter().filter(|sample| sample.id.number > after);
        Ok(Watching { missed: missed.cloned().collect(), coming: watchers.subscribe() })
    }
}

impl Actor for ConsoleFeed {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        context.run_interval(PERIOD, Self::sample);
    }
}

impl Handler<Ask<Watch>> for ConsoleFeed {
    type Result = ();
    fn handle(&mut self, ask: Ask<Watch>, context: &mut Self::Context) {
        ask.answer(|Watch(after)| self.watch(after));
        // The first watcher shall not wait for the period.
        if self.recent.is_empty() {
            self.sample(context);
        }
    }
}

impl Handler<Ask<EndStreams>> for ConsoleFeed {
    type Result = ();
    fn handle(&mut self, ask: Ask<EndStreams>, _: &mut Self::Context) {
        ask.answer(|EndStreams| self.watchers = None);
    }
}
