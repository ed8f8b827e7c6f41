//! Request bodies that no handler reads completely.
//!
//! When a handler drops a chunked body, actix reads the rest and discards it, without limit: a
//! client could keep a worker busy forever. If the body is still held when the answer is sent,
//! actix closes the connection instead, after a second in which the client may read the answer. So
//! every body is held until its answer is sent.

use std::cell::RefCell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use actix_web::HttpMessage;
use actix_web::dev::{Payload, ServiceRequest};
use actix_web::error::PayloadError;
use actix_web::web::Bytes;
use futures_util::Stream;

/// A body that handlers may read, and drop early.
pub(super) struct Held(#[expect(dead_code, reason = "kept for its Drop")] Rc<RefCell<Payload>>);

/// Holds the request's body, if it has one.
pub(super) fn hold(request: &mut ServiceRequest) -> Option<Held> {
    let payload = request.take_payload();
    if matches!(payload, Payload::None) {
        return None;
    }
    let payload = Rc::new(RefCell::new(payload));
    let read = Read(Rc::clone(&payload));
    request.set_payload(Payload::Stream { payload: Box::pin(read) });
    Some(Held(payload))
}

/// What handlers read.
struct Read(Rc<RefCell<Payload>>);

impl Stream for Read {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Pin::new(&mut *self.0.borrow_mut()).poll_next(context)
    }
}
