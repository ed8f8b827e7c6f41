//! One session with the other replicas: two subscriptions, and what comes through them.

use std::error::Error;
use std::time::Duration;

use contract::topology::SESSIONS_EXCHANGE;
use contract::{Gaps, PartsQuestion, ReplicaId, TokenMarker, TokenSetHead};
use data_encoding::HEXLOWER;
use futures_util::{FutureExt, StreamExt};
use shared::actors::{AskError, ask};
use shared::bus::cloud_event::{TokenSetMessage, Undecodable};
use shared::bus::{BusError, Deliveries, Delivery, Subscription};
use shared::secrets::random_bytes;
use shared::tokens::token_set::{AgedRecord, BootTime};
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

use super::answering::QUESTIONS;
use super::queues::PREFETCH;
use super::roll_call::{Others, RollCall, Step};
use super::telling::Telling;
use super::{Exchange, ExchangeError, KnownReplicas};
use crate::actors::token_revocations::{
    CompareSets, FoundNobody, MergeRecords, SeeReplica, TrustSetWith,
};

/// How often it is looked whether the others had the time to answer.
const LOOK_INTERVAL: Duration = Duration::from_millis(200);
/// Without a marker or anything else for so long, all is declared anew: the own queue delivers nothing.
const SILENCE: Duration = Duration::from_secs(5);
/// Pause before records that could not be stored are stored again.
const STORE_PAUSE: Duration = Duration::from_secs(1);

/// What is to be done once the records of a batch are stored.
enum Then {
    Mark(TokenMarker),
    Answer(PartsQuestion),
    Merged { from: ReplicaId, number: u32, of: u32, gaps: Gaps },
}

impl Exchange {
    /// Returns when a subscription has ended, or something else has failed.
    pub(super) async fn hold_session(&self) -> Result<(), ExchangeError> {
        let telling = Telling::new(HEXLOWER.encode(&random_bytes::<8>()));
        // Services of others may bind their queues to it before anybody logs out.
        match self.bus.declare_exchange(SESSIONS_EXCHANGE).await {
            // If the broker refuses, `/readyz` shows it, and the replicas work without.
            Ok(()) | Err(BusError::Refused(_)) => {}
            Err(error) => return Err(error.into()),
        }
        let roll_call = RollCall::new(self.look_for_others(&telling).await?);
        // Before the head that asks for theirs.
        let heads = self.bus.subscribe(self.heads_queue(&telling.session)).await?;
        let own = self.bus.subscribe(self.own_queue()).await?;
        let (questions, asked) = mpsc::channel(QUESTIONS);
        let session = Session {
            with: self,
            telling: &telling,
            questions,
            roll_call,
            is_level: false,
            heard_at: Instant::now(),
        };
        tokio::select! {
            ended = session.listen(own, heads) => ended,
            ended = self.tell(&telling) => ended,
            ended = self.answer_questions(asked) => ended,
        }
    }

    /// Tells a head before the own queue for heads is there: if no queue takes it, nobody is there.
    async fn look_for_others(&self, telling: &Telling) -> Result<Others, ExchangeError> {
        if !self.bus.reaches_other_processes() {
            return Ok(Others::Absent);
        }
        let head = self.read_head(telling).await?;
        let is_taken = self.bus.publish_mandatory(self.codec.encode_token_set_head(&head)).await?;
        Ok(self.known.borrow().others(is_taken, self.has_new_gap, self.now()))
    }

    fn bury(&self, delivery: Delivery, reason: &Undecodable) {
        let Delivery { message, routing_key, .. } = delivery;
        self.dead_letters.send(message, routing_key, reason.to_string());
    }

    /// Until it is on the disk. While it is not, this replica is cut off: it may lack the end of a
    /// session. The deliveries stay unacknowledged, but are not given back: after some deliveries a
    /// broker takes a message for poison.
    async fn store(&self, records: Vec<AgedRecord>) -> Result<(), ExchangeError> {
        let count = records.len();
        loop {
            match ask(&self.revocations, MergeRecords(records.clone())).await {
                Ok(Ok(())) => break,
                Err(gone @ AskError::Gone(_)) => return Err(gone.into()),
                Ok(Err(error)) => tracing::debug!(error = &error as &dyn Error, "not stored yet"),
                Err(full @ AskError::Full(_)) => tracing::debug!(%full, "not stored yet"),
            }
            let now = self.now();
            self.known.send_modify(|known| known.not_stored(now));
            sleep(STORE_PAUSE).await;
        }
        self.known.send_if_modified(KnownReplicas::stored);
        self.metrics.merged.inc_by(count as u64);
        Ok(())
    }
}

/// The half that listens.
struct Session<'a> {
    with: &'a Exchange,
    telling: &'a Telling,
    /// For the part that answers.
    questions: mpsc::Sender<PartsQuestion>,
    roll_call: RollCall,
    /// All who answered have been merged.
    is_level: bool,
    /// When something came through the own queue.
    heard_at: Instant,
}

impl Session<'_> {
    async fn listen(mut self, own: Subscription, heads: Subscription) -> Result<(), ExchangeError> {
        let ((mut own, own_acks), (mut heads, head_acks)) = (own.split(), heads.split());
        let mut look = interval(LOOK_INTERVAL);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                // In this order: what is there already comes before the others' heads.
                biased;
                _ = look.tick() => self.look().await?,
                delivery = own.next() => {
                    let batch = batch_of(delivery.ok_or_else(ended)?, &mut own);
                    let last = batch.last().map(|delivery| delivery.tag);
                    self.take(batch).await?;
                    own_acks.acknowledge_through(last.unwrap_or_default()).await?;
                    self.heard_at = Instant::now();
                }
                delivery = heads.next(), if self.telling.is_drained.get() => {
                    let delivery = delivery.ok_or_else(ended)?;
                    head_acks.acknowledge_through(delivery.tag).await?;
                    match self.with.codec.decode_token_set_head(&delivery) {
                        Ok(head) if head.from == self.with.me => {}
                        Ok(head) => self.take_head(head).await?,
                        Err(reason) => self.with.bury(delivery, &reason),
                    }
                }
            }
        }
    }

    /// Whether the own queue is silent, and whether everybody had the time to answer.
    async fn look(&mut self) -> Result<(), ExchangeError> {
        if self.heard_at.elapsed() >= SILENCE {
            return Err(BusError::TimedOut(SILENCE).into());
        }
        if self.is_level {
            return Ok(());
        }
        if self.roll_call.is_over() {
            if self.roll_call.is_nobody_there() {
                ask(&self.with.revocations, FoundNobody).await?;
            }
            self.is_level = true;
            self.with.known.send_modify(KnownReplicas::all_merged);
            // The next marker proves that this replica is fresh.
            self.telling.wanted.notify_one();
        }
        Ok(())
    }

    /// Stores the records of all, and then does what comes after them.
    async fn take(&mut self, batch: Vec<Delivery>) -> Result<(), ExchangeError> {
        let (mut records, mut then) = (Vec::new(), Vec::new());
        for delivery in batch {
            match self.with.codec.decode_token_set_message(&delivery) {
                Ok(message) => self.sort(message, &mut records, &mut then),
                Err(reason) => self.with.bury(delivery, &reason),
            }
        }
        if !records.is_empty() {
            let brings_keys = records.iter().any(is_about_key);
            self.with.store(records).await?;
            if brings_keys {
                // The owner of a key waits until everybody has it.
                self.telling.wanted.notify_one();
            }
        }
        for then in then {
            self.follow_up(then).await?;
        }
        Ok(())
    }

    fn sort(&self, message: TokenSetMessage, records: &mut Vec<AgedRecord>, then: &mut Vec<Then>) {
        match message {
            TokenSetMessage::Records(sent) if sent.from == self.with.me => {}
            TokenSetMessage::Records(sent) => {
                let new = |record| AgedRecord { record, age_ms: 0 };
                records.extend(sent.records.into_iter().map(new));
            }
            TokenSetMessage::Answer(answer) => {
                if self.roll_call.is_awaited(&answer.from, &answer.nonce) {
                    let handed = answer.records.into_iter();
                    records
                        .extend(handed.map(|r| AgedRecord { record: r.record, age_ms: r.age_ms }));
                    let (from, number, of) = (answer.from, answer.number, answer.of);
                    then.push(Then::Merged { from, number, of, gaps: answer.gaps });
                }
            }
            TokenSetMessage::Marker(marker) if marker.session == self.telling.session => {
                then.push(Then::Mark(marker));
            }
            // An earlier session has sent it.
            TokenSetMessage::Marker(_) => {}
            TokenSetMessage::Question(question) => then.push(Then::Answer(question)),
        }
    }

    async fn follow_up(&mut self, then: Then) -> Result<(), ExchangeError> {
        match then {
            Then::Mark(_) if !self.telling.is_drained.get() => {
                self.roll_call.begin();
                self.telling.begin();
                self.look().await?;
            }
            Then::Mark(marker) if self.is_level => {
                let sent_at = BootTime(marker.sent_at_ms);
                self.with.known.send_modify(|known| known.marked(sent_at));
            }
            Then::Mark(_) => {}
            // If too many wait, it will be asked again.
            Then::Answer(question) => drop(self.questions.try_send(question)),
            Then::Merged { from, number, of, gaps } => {
                if self.roll_call.merged(from, number, of) {
                    ask(&self.with.revocations, TrustSetWith(gaps)).await??;
                    self.telling.wanted.notify_one();
                }
            }
        }
        Ok(())
    }

    async fn take_head(&mut self, head: TokenSetHead) -> Result<(), ExchangeError> {
        let TokenSetHead { from, summary, keys, gaps, is_asking, name, heard } = head;
        let (with, now) = (self.with, self.with.now());
        let is_of_now = {
            let mut names = self.telling.names.borrow_mut();
            let is_of_now = names.is_of_now(heard.get(&with.me), now);
            let is_first = names.hear(from, name, is_of_now, now);
            if is_asking || is_first {
                // The other one needs the name of its head in ours.
                self.telling.wanted.notify_one();
            }
            is_of_now
        };
        if !is_of_now {
            return Ok(());
        }
        self.roll_call.name(heard.into_keys().filter(|id| *id != with.me));
        let mut is_to_be_stored = false;
        with.known.send_modify(|known| is_to_be_stored = known.heard(from, keys, now));
        if is_to_be_stored {
            ask(&with.revocations, SeeReplica(from)).await??;
        }
        let differing = ask(&with.revocations, CompareSets(summary)).await??;
        match self.roll_call.compare(from, differing, &self.telling.session) {
            Step::Wait => {}
            Step::Level => ask(&with.revocations, TrustSetWith(gaps)).await??,
            Step::Ask { nonce, parts } => {
                let question = PartsQuestion { from: with.me, nonce, parts };
                with.bus.publish(vec![with.codec.encode_parts_question(&from, &question)]).await?;
            }
        }
        Ok(())
    }
}

fn is_about_key(aged: &AgedRecord) -> bool {
    matches!(aged.record.kind(), "key.published" | "key.killed")
}

/// This delivery, and those that are there already.
fn batch_of(first: Delivery, more: &mut Deliveries) -> Vec<Delivery> {
    let mut batch = vec![first];
    while batch.len() < usize::from(PREFETCH)
        && let Some(Some(delivery)) = more.next().now_or_never()
    {
        batch.push(delivery);
    }
    batch
}

fn ended() -> BusError {
    BusError::Unreachable("the subscription ended".into())
}
