//! PostgreSQL as a service uses it: its URL, sessions that connect again, and what its errors mean.
//!
//! All statements are unnamed (`query_typed`), so a pooler between service and server, such as
//! PgBouncer in transaction mode, may serve each transaction by another connection.

mod errors;
mod link;
mod retry;
mod session;
mod timeline;
mod url;

pub use errors::PostgresError;
pub use link::Link;
pub use retry::while_unavailable;
pub use session::{Confirmation, Server, Session};
pub use timeline::Timeline;
pub use tokio_postgres::Row;
pub use tokio_postgres::types::{ToSql, Type};
pub use url::{InvalidDatabaseUrl, check_url};

/// A parameter of a statement, with its type.
pub type Parameter<'a> = (&'a (dyn ToSql + Sync), Type);
