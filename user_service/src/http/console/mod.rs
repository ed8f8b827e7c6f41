//! `/console`: a page to look at the service with, the figures that it draws, and its way to auth_service.
//! It is no part of the API.

mod events;
mod pages;
mod relay;

use actix_web::web;
use shared::actors::Mailbox;

use crate::actors::ConsoleFeed;
use crate::auth_service_client::AuthServiceAddress;

/// What the console asks.
#[derive(Clone)]
pub struct Console {
    /// Draws the figures.
    pub feed: Mailbox<ConsoleFeed>,
    /// Logs in and out, and tells the keys.
    pub auth_service: AuthServiceAddress,
}

/// Adds the paths.
pub fn configure(console: Console, config: &mut web::ServiceConfig) {
    config.app_data(web::Data::new(console));
    events::configure(config);
    relay::configure(config);
    pages::configure(config);
}
