//! Bodies that nobody reads to their end.
//!
//! When a handler drops a chunked body, actix reads on and throws away whatever comes, without
//! limit: a client could keep a worker busy for ever. A body that is still held when the answer
//! goes out makes it close the connection instead (after a second in which the client may read the
//! answer). So every body is held until then.

use std::cell::RefCell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use actix_web::HttpMessage;
use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::error::PayloadError;
use actix_web::web::Bytes;
use futures_util::Stream;

/// A body that handlers may read, and drop early.
pub(super) struct Held(#[expect(dead_code, reason = "kept for its Drop")] Rc<RefCell<Payload>>);

/// Holds the request's body, if there is one.
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

/// Holds it until the answer has gone out.
pub(super) fn hold_until_sent(
    response: ServiceResponse<BoxBody>,
    held: Option<Held>,
) -> ServiceResponse<BoxBody> {
    match held {
        Some(held) => response.map_body(|_, body| BoxBody::new(HoldingBody { body, held })),
        None => response,
    }
}

/// What handlers read.
struct Read(Rc<RefCell<Payload>>);

impl Stream for Read {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Pin::new(&mut *self.0.borrow_mut()).poll_next(context)
    }
}

/// The answer's body, and the request's.
struct HoldingBody {
    body: BoxBody,
    #[expect(dead_code, reason = "kept for its Drop")]
    held: Held,
}

impl MessageBody for HoldingBody {
    type Error = <BoxBody as MessageBody>::Error;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>> {
        self.body.as_pin_mut().poll_next(context)
    }
}
