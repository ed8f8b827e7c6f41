//! The actors: each owns one invariant.

pub mod console_feed;
pub mod consuming;
pub mod event_publisher;
pub mod foreign_keys;
pub mod log_listener;
pub mod other_logs;
pub mod rehash_receiver;
mod sealed_records;
pub mod session_ender;
pub mod sync_responder;
#[cfg(test)]
mod test_bus;
#[cfg(test)]
mod test_repository;
#[cfg(test)]
mod test_store;
pub mod user_reader;
pub mod user_repository;

pub use console_feed::ConsoleFeed;
pub use event_publisher::EventPublisher;
pub use foreign_keys::ForeignKeys;
pub use log_listener::LogListener;
pub use rehash_receiver::RehashReceiver;
pub use session_ender::SessionEnder;
pub use sync_responder::SyncResponder;
pub use user_reader::UserReader;
pub use user_repository::UserRepository;
