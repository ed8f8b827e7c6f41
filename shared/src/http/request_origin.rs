//! Where a request comes from, for the audit trail.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::net::IpAddr;

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpMessage, HttpRequest};

use super::client_address::ClientAddress;
use super::context::RequestContext;

/// Where a request comes from.
#[derive(Clone, Debug)]
pub struct RequestOrigin {
    /// As [`ClientAddress`] knows it.
    pub client: IpAddr,
    /// Finds the access line, which has the status and the cause.
    pub request_id: Option<String>,
}

impl FromRequest for RequestOrigin {
    type Error = Infallible;
    type Future = Ready<Result<Self, Infallible>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let ClientAddress(client) = ClientAddress::of(request);
        let extensions = request.extensions();
        let context = extensions.get::<RequestContext>();
        ready(Ok(Self { client, request_id: context.map(|context| context.request_id.clone()) }))
    }
}
