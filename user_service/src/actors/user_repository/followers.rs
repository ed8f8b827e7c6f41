//! What followers know of the log. One may have been further than the log is, because the database was
//! put back: so the first changes after a start wait for the first question, and the end of the log is
//! kept outside the database, too.

use std::error::Error;
use std::time::Duration;

use actix::{AsyncContext, Context, Handler, Message};
use contract::Head;
use shared::actors::{Ask, Command, Reply};

use super::UserRepository;
use crate::actors::log_listener::is_beyond;
use crate::store::{Change, ChangeError, FollowerPlace, Outcome, StoreError};

/// How long changes wait, after a start, for the first question of a follower: it may know that the
/// log went back.
const HOLD_LIMIT: Duration = Duration::from_secs(1);
/// How often the end of the log is kept outside the database, if it has moved.
const MARK_INTERVAL: Duration = Duration::from_secs(1);
/// How often it is looked whether other processes have written.
const FOLLOW_INTERVAL: Duration = Duration::from_secs(1);

/// "A follower has asked from this place": answers when the log shows what follows from that.
#[derive(Clone, Copy, Debug)]
pub struct HearFollower(pub FollowerPlace);

impl Command for HearFollower {
    type Reply = Result<(), StoreError>;
}

/// "The log ends here, or further": what another process has written.
#[derive(Clone, Copy, Debug)]
pub struct HearHead(pub Head);

impl Command for HearHead {
    type Reply = ();
}

impl UserRepository {
    /// Keeps the end of the log as the mark, and follows what other processes write, from now on.
    pub(super) fn watch_log(context: &mut Context<Self>) {
        context.run_interval(MARK_INTERVAL, Self::keep_mark);
        context.run_interval(FOLLOW_INTERVAL, Self::follow_others);
    }

    /// Also finds out, where nobody writes, that the database is away.
    fn follow_others(&mut self, context: &mut Context<Self>) {
        if self.writer.is_none() || !self.writable.is_writable() {
            return;
        }
        let now_ms = self.clock.unix_ms();
        self.with_writer(
            context,
            async move |writer| writer.follow_others(now_ms).await,
            |repository, found, context| match found {
                Ok(Some(head)) => {
                    repository.announce(head);
                }
                Ok(None) => {}
                Err(error) => repository.note_trouble(&error, context),
            },
        );
    }

    /// Changes wait no longer than this for a follower.
    pub(super) fn limit_holding(context: &mut Context<Self>) {
        context.notify_later(HoldNoLonger, HOLD_LIMIT);
    }

    fn hold_no_longer(&mut self, context: &mut Context<Self>) {
        if std::mem::take(&mut self.is_holding) {
            self.commit(context);
        }
    }

    pub(super) fn refuse_waiting(&mut self) {
        let refuse =
            |(_, reply): (Change, Reply<Outcome>)| reply.send(Err(ChangeError::TooManyWait));
        self.waiting.drain(..).for_each(refuse);
    }

    fn keep_mark(&mut self, context: &mut Context<Self>) {
        let end = self.head.borrow().map(|head| head.position);
        if self.writer.is_none() || self.marked == end {
            return;
        }
        self.with_writer(
            context,
            async |writer| writer.keep_mark().await,
            move |repository, kept, _| match kept {
                Ok(()) => repository.marked = end,
                Err(error) => {
                    let error = &error as &dyn Error;
                    tracing::debug!(error, "the end of the log cannot be kept");
                }
            },
        );
    }
}

impl Handler<Ask<HearFollower>> for UserRepository {
    type Result = ();

    fn handle(&mut self, ask: Ask<HearFollower>, context: &mut Self::Context) {
        let (HearFollower(place), reply) = ask.into_parts();
        let now_ms = self.clock.unix_ms();
        self.with_writer(
            context,
            async move |writer| writer.hear_follower(place, now_ms).await,
            |repository, heard, context| {
                if let Ok(head) = heard {
                    repository.announce(head);
                    repository.hold_no_longer(context);
                }
                reply.send(heard.map(drop));
            },
        );
    }
}

impl Handler<Ask<HearHead>> for UserRepository {
    type Result = ();

    fn handle(&mut self, ask: Ask<HearHead>, _: &mut Self::Context) {
        let (HearHead(head), reply) = ask.into_parts();
        // It was read without the log's lock, so it may be older than what is known. Whether the log
        // went back is found out under the lock.
        let known = *self.head.borrow();
        if is_beyond(known, head) {
            self.announce(head);
        }
        reply.send(());
    }
}

/// Sent to itself: no follower has asked.
#[derive(Message)]
#[rtype(result = "()")]
struct HoldNoLonger;

impl Handler<HoldNoLonger> for UserRepository {
    type Result = ();

    fn handle(&mut self, _: HoldNoLonger, context: &mut Self::Context) {
        self.hold_no_longer(context);
    }
}
