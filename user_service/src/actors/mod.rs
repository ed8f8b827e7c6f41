//! The actors: each owns one invariant.

pub mod bus_loop;
pub mod event_publisher;
pub mod rehash_receiver;
mod sealed_user;
mod snapshot;
pub mod sync_responder;
pub mod user_reader;
pub mod user_repository;

pub use event_publisher::EventPublisher;
pub use rehash_receiver::RehashReceiver;
pub use sync_responder::SyncResponder;
pub use user_reader::UserReader;
pub use user_repository::UserRepository;
