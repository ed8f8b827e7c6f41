//! The stream that actix reads requests from and writes answers to.

use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::io::poll_read_buf;

use super::framing::{Broken, Framing};
use super::{Link, Wait};
use crate::http::problem::ProblemKind;

/// How much is read at once.
const READ_SIZE: usize = 8 * 1024;
/// How much of the next requests is read while one is answered, to notice whether the client
/// closes.
const READ_AHEAD: usize = 8 * 1024;

/// Passes on one request at a time. The next one waits until the answer is sent. So bytes after a
/// request cannot spoil its answer, and a request after an answer that closes the connection is not
/// carried out.
pub(in crate::http) struct RequestStream {
    link: Rc<Link>,
    framing: Framing,
    /// Read from the client, not yet passed on.
    buffer: BytesMut,
    /// Ready to be passed on.
    passing: Bytes,
    /// The client sends no more, or what it sends is not read.
    has_ended: bool,
    /// The next answer may say that it is the last one.
    may_close: bool,
}

impl RequestStream {
    pub(in crate::http) fn new(link: Rc<Link>) -> Self {
        let (framing, buffer, passing) = (Framing::default(), BytesMut::new(), Bytes::new());
        Self { link, framing, buffer, passing, has_ended: false, may_close: false }
    }

    pub(in crate::http) fn link(&self) -> Rc<Link> {
        Rc::clone(&self.link)
    }

    /// Reads from the client; returns false at the end of its data.
    fn poll_fill(&mut self, context: &mut Context<'_>) -> Poll<io::Result<bool>> {
        if self.has_ended {
            return Poll::Ready(Ok(false));
        }
        let buffer = &mut self.buffer;
        buffer.reserve(READ_SIZE);
        let read = self.link.poll_stream(|stream| poll_read_buf(stream, context, buffer));
        if ready!(read)? > 0 {
            return Poll::Ready(Ok(true));
        }
        self.has_ended = true;
        self.link.has_half_closed.set(true);
        Poll::Ready(Ok(false))
    }

    /// The bytes of the current request that can be passed on now; empty if the request ends early.
    fn poll_request(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            if self.link.refusal.get().is_some() {
                // The connection ends without actix's help.
                return Poll::Pending;
            }
            if self.framing.is_complete() {
                if self.link.is_closing.get() && self.has_ended {
                    return Poll::Ready(Ok(()));
                }
                if self.buffer.len() >= READ_AHEAD || !ready!(self.poll_fill(context))? {
                    return Poll::Pending;
                }
                continue;
            }
            let was_in_head = self.framing.is_in_head();
            let has_begun = was_in_head && self.framing.skip_empty_lines(&mut self.buffer);
            if has_begun {
                self.link.wait_for(Wait::Head);
                self.link.is_head_request.set(self.buffer.starts_with(b"HEAD "));
            }
            match self.framing.take(&mut self.buffer) {
                Ok(bytes) if !bytes.is_empty() => {
                    if was_in_head {
                        self.link.wait_for(Wait::Answer);
                        self.may_close = self.framing.may_close();
                    }
                    // A client that has begun to send its body no longer waits.
                    let has_sent = !was_in_head || !self.buffer.is_empty();
                    let waits = !has_sent && self.framing.expects_continue();
                    self.link.expects_continue.set(waits);
                    self.passing = bytes;
                    return Poll::Ready(Ok(()));
                }
                Ok(_) => {}
                Err(Broken::Head(kind)) => self.link.refusal.set(Some(kind)),
                // The bytes that follow cannot be told apart from the body.
                Err(Broken::Body) => self.end(),
            }
            if self.link.refusal.get().is_none() && !ready!(self.poll_fill(context))? {
                if has_begun {
                    self.link.refusal.set(Some(ProblemKind::Malformed));
                    continue;
                }
                self.link.is_broken.set(!was_in_head);
                return Poll::Ready(Ok(()));
            }
        }
    }

    /// Nothing more is read.
    fn end(&mut self) {
        self.has_ended = true;
        self.buffer.clear();
    }

    /// The answer is sent: the next request may begin.
    fn release(&mut self, context: &Context<'_>) {
        if !self.link.is_answered.replace(false) {
            return;
        }
        self.link.is_in_hand.set(false);
        if self.link.is_closing.get() {
            self.end();
            context.waker().wake_by_ref();
        } else if self.framing.is_complete() {
            self.framing.begin();
            self.link.wait_for(Wait::Idle);
            if self.has_ended || !self.buffer.is_empty() {
                context.waker().wake_by_ref();
            }
        }
    }
}

impl AsyncRead for RequestStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.passing.is_empty() {
            ready!(self.poll_request(context))?;
        }
        let length = self.passing.len().min(out.remaining());
        out.put_slice(&self.passing.split_to(length));
        if self.passing.is_empty() {
            // Lets go of the buffer, so that the next read can use its memory again.
            self.passing = Bytes::new();
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for RequestStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let link = Rc::clone(&self.link);
        if !link.is_in_hand.get() {
            // No handler has the request: actix itself refuses it, with an empty answer. The
            // connection sends a problem in its place.
            let is_too_large = bytes.get(9..12) == Some(b"431");
            let kind =
                if is_too_large { ProblemKind::HeadTooLarge } else { ProblemKind::Malformed };
            link.refusal.set(Some(kind));
            return Poll::Ready(Ok(bytes.len()));
        }
        if std::mem::take(&mut self.may_close) {
            link.is_closing.set(announces_close(bytes));
        }
        let written = link.poll_stream(|stream| stream.poll_write(context, bytes));
        link.note_progress(written.is_ready());
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        // actix flushes when it has written all that it has; TCP itself has nothing to flush.
        self.release(context);
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.link.poll_stream(|stream| stream.poll_shutdown(context))
    }
}

/// Whether the head of this answer ends the connection: actix writes names in lower case.
fn announces_close(answer: &[u8]) -> bool {
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap_or(answer.len());
    let mut lines = answer[..end].split(|byte| *byte == b'\n');
    lines.any(|line| line.trim_ascii_end() == b"connection: close")
}
