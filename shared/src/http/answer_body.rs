//! The body of an answer, with values that must live until it is sent.

use std::pin::Pin;
use std::task::{Context, Poll};

use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::web::Bytes;

use super::connection::InHand;
use super::unread_body::Held;

/// The body of an answer. actix drops it when all of it is written to the connection's buffer.
pub(super) struct AnswerBody {
    body: BoxBody,
    #[expect(dead_code, reason = "kept for its Drop")]
    unread: Option<Held>,
    #[expect(dead_code, reason = "kept for its Drop")]
    in_hand: Option<InHand>,
}

impl AnswerBody {
    pub(super) fn new(body: BoxBody, unread: Option<Held>, in_hand: Option<InHand>) -> Self {
        Self { body, unread, in_hand }
    }
}

impl MessageBody for AnswerBody {
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
