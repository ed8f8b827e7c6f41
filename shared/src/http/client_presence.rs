//! Whether the client of a request still waits for its answer.

use std::convert::Infallible;
use std::future::{Future, Ready, poll_fn, ready};
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest};

use super::connection::Link;
use super::problem::{Problem, ProblemKind};
use crate::hashing::HashingThreads;

/// The client of a request. A client that has half closed its connection may wait for its answer,
/// or be gone: TCP shows both in the same way.
pub struct ClientPresence {
    link: Option<Rc<Link>>,
    hashing: Option<Rc<HashingThreads>>,
}

impl ClientPresence {
    /// Waits for the hash of a password; no written data may depend on it yet. Under load, the work
    /// of a half-closed client is dropped, so that no thread begins it.
    ///
    /// # Errors
    /// 503 in that case; otherwise those of the work.
    pub async fn hashed<T>(
        &self,
        work: impl Future<Output = Result<T, Problem>>,
    ) -> Result<T, Problem> {
        let mut work = pin!(work);
        poll_fn(|context| {
            if self.may_be_gone() && self.is_crowded() {
                let detail = "the connection was half closed while too many passwords were waiting";
                return Poll::Ready(Err(Problem::new(ProblemKind::Overloaded, detail)));
            }
            work.as_mut().poll(context)
        })
        .await
    }

    fn may_be_gone(&self) -> bool {
        self.link.as_ref().is_some_and(|link| link.has_half_closed())
    }

    fn is_crowded(&self) -> bool {
        self.hashing.as_ref().is_some_and(|hashing| hashing.is_crowded())
    }
}

impl FromRequest for ClientPresence {
    type Error = Infallible;
    type Future = Ready<Result<Self, Infallible>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Ok(Self {
            link: request.conn_data::<Rc<Link>>().cloned(),
            hashing: request.app_data::<Rc<HashingThreads>>().cloned(),
        }))
    }
}
