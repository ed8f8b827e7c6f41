//! What a replica says each second: the head of its set to all, and a marker to itself.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use contract::{TokenMarker, TokenSetHead};
use shared::actors::ask;
use shared::bus::BusError;
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use super::head_names::HeadNames;
use super::{Exchange, ExchangeError};
use crate::actors::token_revocations::ReadHead;
use crate::store::SetHead;

/// How often it is said.
const PERIOD: Duration = Duration::from_millis(950);
/// How soon after that it may be said again, when somebody wants to know.
const PAUSE: Duration = Duration::from_millis(50);

/// What the two halves of a session have in common.
pub(super) struct Telling {
    /// Names the session.
    pub(super) session: String,
    /// Everything that was in the queue at the start has been taken. Before that, heads would tell
    /// of differences that are none.
    pub(super) is_drained: Cell<bool>,
    /// The others are to tell theirs.
    pub(super) is_asking: Cell<bool>,
    /// Somebody wants to know now.
    pub(super) wanted: Notify,
    /// What proves that heads are not old ones.
    pub(super) names: RefCell<HeadNames>,
}

impl Telling {
    pub(super) fn new(session: String) -> Self {
        let (is_drained, is_asking) = (Cell::new(false), Cell::new(false));
        let names = RefCell::new(HeadNames::new(session.clone()));
        Self { session, is_drained, is_asking, wanted: Notify::new(), names }
    }

    /// The queue is drained: everybody is asked.
    pub(super) fn begin(&self) {
        self.is_drained.set(true);
        self.is_asking.set(true);
        self.wanted.notify_one();
    }
}

impl Exchange {
    /// The head that is told now.
    pub(super) async fn read_head(&self, telling: &Telling) -> Result<TokenSetHead, ExchangeError> {
        let SetHead { summary, keys, gaps } = ask(&self.revocations, ReadHead).await?;
        let (mut names, now) = (telling.names.borrow_mut(), self.now());
        let (name, heard) = (names.next(now), names.heard(now));
        let is_asking = telling.is_asking.take();
        Ok(TokenSetHead { from: self.me, summary, keys, gaps, is_asking, name, heard })
    }

    /// For ever.
    pub(super) async fn tell(&self, telling: &Telling) -> Result<(), ExchangeError> {
        loop {
            if telling.is_drained.get() {
                let head = self.read_head(telling).await?;
                self.bus.publish(vec![self.codec.encode_token_set_head(&head)]).await?;
            }
            let (session, sent_at_ms) = (telling.session.clone(), self.now().0);
            let marker = TokenMarker { session, sent_at_ms };
            let marker = self.codec.encode_token_marker(&self.me, &marker);
            if !self.bus.publish_mandatory(marker).await? {
                // Somebody has deleted the exchange, and every binding with it.
                return Err(
                    BusError::Refused("the own queue is not bound".to_owned().into()).into()
                );
            }
            sleep(PAUSE).await;
            // Being wanted sooner is as good as the time being over.
            let _ = timeout(PERIOD, telling.wanted.notified()).await;
        }
    }
}
