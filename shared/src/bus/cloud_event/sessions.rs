//! What auth_service tells services of others about sessions. Nothing in it is sealed: they have no key.

use contract::SessionRevoked;
use contract::topology::{SESSION_REVOKED, SESSIONS_EXCHANGE};

use super::{Codec, Purpose};
use crate::bus::{Destination, Outgoing};

impl Codec {
    /// The end of a session, to whoever listens. It must not be lost. Its id is the session: however often it
    /// is sent, it is the same event.
    pub fn encode_session_revoked(&self, event: &SessionRevoked) -> Outgoing {
        let id = event.sid.to_string();
        let mut message = self.document(Purpose::SessionRevoked, SESSION_REVOKED, id, event);
        message.is_persistent = true;
        let (exchange, routing_key) = (SESSIONS_EXCHANGE.to_owned(), SESSION_REVOKED.to_owned());
        Outgoing { to: Destination::Topic { exchange, routing_key }, message }
    }
}
