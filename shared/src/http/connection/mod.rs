//! A thin layer between TCP and actix's HTTP/1.1 that adds what actix lacks: requests are passed on
//! one at a time, a client that stops reading or sending is disconnected, requests that actix
//! refuses get a problem like all others, and the last answer reaches its client.
//!
//! actix reads ahead: it decodes the next request while it answers one. Without this layer, a stray
//! byte after a request ended the connection without an answer, and a request that followed one
//! with `Connection: close` was carried out.

mod framing;
mod head;
mod refusal;
mod request_stream;

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use actix_web::rt::net::TcpStream;
use actix_web::rt::time::{Sleep, sleep_until, timeout};
use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::problem::ProblemKind;

pub(super) use refusal::Refusals;
pub(super) use request_stream::RequestStream;

/// How long a request's head may take to arrive.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a connection is kept between requests.
const KEEP_ALIVE: Duration = Duration::from_secs(75);
/// How long a client may read nothing while there is an answer to read.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
/// The same while the server stops: a client that still reads at all reads something in this time.
const WRITE_TIMEOUT_AT_STOP: Duration = Duration::from_secs(2);
/// How long a connection that ends still reads from its client. If it were closed at once, TCP
/// would reset it, and the client might lose the answer.
const LINGER: Duration = Duration::from_secs(1);

/// The state that a connection's layers and its requests share.
pub(super) struct Link {
    /// `None` once the connection ends.
    stream: RefCell<Option<TcpStream>>,
    /// The app is handling a request.
    is_in_hand: Cell<bool>,
    /// The app has returned its answer, which may not be completely written.
    is_answered: Cell<bool>,
    /// The client sends no more. It may still wait for its answer, or be gone.
    has_half_closed: Cell<bool>,
    /// The request that is read is HEAD: a refusal of it has no body.
    is_head_request: Cell<bool>,
    /// The client waits for "100 Continue" before it sends the body.
    expects_continue: Cell<bool>,
    /// The body is malformed, or ends early.
    is_broken: Cell<bool>,
    /// The answer says that it is the last one.
    is_closing: Cell<bool>,
    /// The problem that ends the connection.
    refusal: Cell<Option<ProblemKind>>,
    waiting: Cell<(Wait, Instant)>,
    /// Since when the client has read none of the waiting output.
    stuck_since: Cell<Option<Instant>>,
}

/// What a connection waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wait {
    /// Its first request.
    First,
    /// The next request.
    Idle,
    /// The rest of a head.
    Head,
    /// The app.
    Answer,
}

/// A request that the app is handling, from its head to the end of its answer.
pub(super) struct InHand(Rc<Link>);

/// How a connection ends.
enum End {
    /// actix has closed it.
    Done,
    /// The client gets a problem.
    Refused(ProblemKind),
    /// It is closed without an answer.
    Abandoned,
}

impl Link {
    pub(super) fn new(stream: TcpStream) -> Rc<Self> {
        Rc::new(Self {
            stream: RefCell::new(Some(stream)),
            is_in_hand: Cell::new(false),
            is_answered: Cell::new(false),
            has_half_closed: Cell::new(false),
            is_head_request: Cell::new(false),
            expects_continue: Cell::new(false),
            is_broken: Cell::new(false),
            is_closing: Cell::new(false),
            refusal: Cell::new(None),
            waiting: Cell::new((Wait::First, Instant::now())),
            stuck_since: Cell::new(None),
        })
    }

    fn poll_stream<T>(
        &self,
        poll: impl FnOnce(Pin<&mut TcpStream>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        match self.stream.borrow_mut().as_mut() {
            Some(stream) => poll(Pin::new(stream)),
            None => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }

    /// Whether the client sends no more.
    pub(super) fn has_half_closed(&self) -> bool {
        self.has_half_closed.get()
    }

    /// Sends "100 Continue" if the client waits for it (RFC 9110 section 10.1.1). Nothing else is
    /// being written: the request has not been answered.
    pub(super) async fn ask_for_body(&self) {
        let mut left: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";
        while !left.is_empty() && self.expects_continue.get() {
            let write = |context: &mut Context<'_>| {
                self.poll_stream(|stream| stream.poll_write(context, left))
            };
            match poll_fn(write).await {
                Ok(written) => left = &left[written..],
                // The client has gone: reading the body will show it.
                Err(_) => return,
            }
        }
        self.expects_continue.set(false);
    }

    /// Marks a request as handled by the app until the guard is dropped.
    pub(super) fn take_in_hand(self: Rc<Self>) -> InHand {
        self.is_in_hand.set(true);
        InHand(self)
    }

    fn wait_for(&self, wait: Wait) {
        if self.waiting.get().0 != wait {
            self.waiting.set((wait, Instant::now()));
        }
    }

    fn note_progress(&self, has_written: bool) {
        if has_written {
            self.stuck_since.set(None);
        } else if self.stuck_since.get().is_none() {
            self.stuck_since.set(Some(Instant::now()));
        }
    }

    /// When and how this connection must end if nothing happens.
    fn deadline(&self, is_stopping: bool) -> Option<(Instant, End)> {
        if let Some(since) = self.stuck_since.get() {
            let limit = if is_stopping { WRITE_TIMEOUT_AT_STOP } else { WRITE_TIMEOUT };
            return Some((since + limit, End::Abandoned));
        }
        match self.waiting.get() {
            (Wait::First, since) => Some((since + HEAD_TIMEOUT, End::Abandoned)),
            (Wait::Idle, since) => Some((since + KEEP_ALIVE, End::Abandoned)),
            (Wait::Head, since) => {
                Some((since + HEAD_TIMEOUT, End::Refused(ProblemKind::HeadTooSlow)))
            }
            (Wait::Answer, _) => None,
        }
    }
}

impl InHand {
    /// Whether nothing can be read after this request, because its body is malformed or ends early.
    pub(super) fn is_broken(&self) -> bool {
        self.0.is_broken.get()
    }
}

impl Drop for InHand {
    fn drop(&mut self) {
        self.0.is_answered.set(true);
    }
}

/// Runs actix's side of a connection to its end.
pub(super) async fn run(
    link: Rc<Link>,
    actix: impl Future,
    stopping: impl Future<Output = ()>,
    refusals: &Refusals,
) {
    let end = {
        let (mut actix, mut stopping) = (pin!(actix), pin!(stopping));
        let mut timer = pin!(sleep_until((Instant::now() + HEAD_TIMEOUT).into()));
        let mut is_stopping = false;
        poll_fn(|context| {
            let is_done = actix.as_mut().poll(context).is_ready();
            // Asked only while it matters: the signal has a lock that all connections share.
            is_stopping = is_stopping
                || (link.stuck_since.get().is_some() && stopping.as_mut().poll(context).is_ready());
            if let Some(kind) = link.refusal.get() {
                return Poll::Ready(End::Refused(kind));
            }
            if is_done {
                return Poll::Ready(End::Done);
            }
            poll_deadline(&link, is_stopping, timer.as_mut(), context)
        })
        .await
        // Here actix drops the request in progress, if there is one.
    };
    let Some(mut stream) = link.stream.take() else { return };
    match end {
        End::Abandoned => {}
        // The client has sent nothing that is unread: closing loses nothing.
        End::Done if !link.is_closing.get() && stream.try_read(&mut [0; 1]).is_err() => {}
        End::Done => linger(&mut stream).await,
        End::Refused(kind) => {
            let client = stream.peer_addr().ok().map(|peer| peer.ip().to_canonical());
            let answer = refusals.answer(kind, link.is_head_request.get(), client);
            let sent = timeout(WRITE_TIMEOUT_AT_STOP, stream.write_all(&answer)).await;
            if matches!(sent, Ok(Ok(()))) {
                linger(&mut stream).await;
            }
        }
    }
}

fn poll_deadline(
    link: &Link,
    is_stopping: bool,
    mut timer: Pin<&mut Sleep>,
    context: &mut Context<'_>,
) -> Poll<End> {
    let Some((deadline, end)) = link.deadline(is_stopping) else { return Poll::Pending };
    // Deadlines usually move forward: the timer is reset when it fires, or when it would fire too
    // late.
    if timer.deadline().into_std() > deadline {
        timer.as_mut().reset(deadline.into());
    }
    while timer.as_mut().poll(context).is_ready() {
        if Instant::now() >= deadline {
            return Poll::Ready(end);
        }
        timer.as_mut().reset(deadline.into());
    }
    Poll::Pending
}

/// Sends no more, and discards incoming bytes.
async fn linger(stream: &mut TcpStream) {
    let discard = async {
        let mut discarded = [0; 4096];
        if stream.shutdown().await.is_ok() {
            while matches!(stream.read(&mut discarded).await, Ok(1..)) {}
        }
    };
    // A timeout is as good as the end of the client's data.
    let _ = timeout(LINGER, discard).await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::rt::net::TcpListener;

    async fn link() -> Rc<Link> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Link::new(TcpStream::connect(listener.local_addr().unwrap()).await.unwrap())
    }

    fn left(link: &Link, is_stopping: bool) -> Option<Duration> {
        let (deadline, _) = link.deadline(is_stopping)?;
        Some(deadline.saturating_duration_since(Instant::now()))
    }

    #[actix_web::test]
    async fn a_client_that_reads_nothing_is_given_up_sooner_while_the_server_stops() {
        let link = link().await;
        link.wait_for(Wait::Answer);
        assert_eq!(left(&link, true), None);
        link.note_progress(false);
        assert!(left(&link, false).unwrap() > WRITE_TIMEOUT_AT_STOP);
        assert!(left(&link, true).unwrap() <= WRITE_TIMEOUT_AT_STOP);
        link.note_progress(true);
        assert_eq!(left(&link, false), None);
    }

    #[actix_web::test]
    async fn a_head_that_goes_on_arriving_has_one_deadline_from_its_first_byte() {
        let link = link().await;
        link.wait_for(Wait::Idle);
        link.wait_for(Wait::Head);
        let first = link.deadline(false).map(|(deadline, _)| deadline);
        link.wait_for(Wait::Head);
        assert_eq!(link.deadline(false).map(|(deadline, _)| deadline), first);
    }
}
