//! Reading what arrived: authentic and readable, or for the dead letters.

use contract::topology::HEAD_ROUTING_KEY;
use shared::bus::cloud_event::{Decoded, Undecodable, Unreadable};
use shared::bus::{Delivery, Destination, Outgoing};
use shared::log_sync::{AskReason, Input};
use shared::secrets::NotAuthentic;

use super::super::subscriptions::Arrival;
use super::SyncSession;

impl SyncSession<'_> {
    /// Decodes a delivery; what cannot be used goes to the dead letters.
    pub(super) fn read(&mut self, arrival: &Arrival) -> Option<Input> {
        let (decoded, delivery) = match arrival {
            Arrival::Event(delivery) => (self.with.codec.decode_event(delivery), delivery),
            Arrival::Control(delivery) => (self.with.codec.decode_control(delivery), delivery),
            Arrival::Waited => return self.deferred.is_none().then_some(Input::Waited),
            Arrival::Quiet => return Some(Input::Connected),
            Arrival::Alarm | Arrival::Wanted => return None,
        };
        match decoded {
            Ok(Decoded { input, unreadable }) => {
                self.has_heard |= matches!(arrival, Arrival::Control(_));
                self.note_key(None);
                if let Input::SnapshotPart(part) = &input {
                    self.agreement.hear_snapshot(part.as_of, part.checksum);
                    if !unreadable.is_empty() {
                        self.agreement.leave_out();
                    }
                }
                for Unreadable { letter, reason } in unreadable {
                    self.bury(letter, reason.to_string());
                }
                Some(input)
            }
            Err(error) => {
                let Delivery { message, routing_key, .. } = delivery;
                let letter = (message.clone(), routing_key.clone(), error.to_string());
                self.with.dead_letters.send(letter.0, letter.1, letter.2);
                if let Undecodable::NotAuthentic(NotAuthentic::UnknownKey { key_id }) = &error {
                    self.note_key(Some(key_id));
                }
                let is_answer =
                    matches!(arrival, Arrival::Control(_)) && routing_key != HEAD_ROUTING_KEY;
                // A genuine answer that cannot be read would come again and again.
                let needs_snapshot = is_answer && error.is_authentic();
                needs_snapshot.then_some(Input::SnapshotNeeded(AskReason::Unappliable))
            }
        }
    }

    pub(super) fn bury(&self, Outgoing { to, message }: Outgoing, reason: String) {
        let routing_key = match to {
            Destination::Topic { routing_key, .. } => routing_key,
            Destination::Queue(name) => name,
        };
        self.with.dead_letters.send(message, routing_key, reason);
    }

    fn note_key(&self, foreign_key: Option<&String>) {
        self.with.progress.send_if_modified(|progress| {
            let is_news = progress.foreign_key.as_ref() != foreign_key;
            if is_news {
                progress.foreign_key = foreign_key.cloned();
                if let Some(key) = foreign_key
                    && progress.telling_of_keys.may_tell()
                {
                    tracing::error!(
                        key,
                        "user_service authenticates with a key that is not here: give both \
                         services the same sealing keys"
                    );
                }
            }
            is_news
        });
    }
}
