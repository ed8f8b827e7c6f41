//! A record on the wire: an event of CloudEvents 1.0 in AMQP's binary mode.

use std::collections::BTreeMap;

use contract::event::{SOURCE, SPEC_VERSION, header};
use contract::topology::USERS_EXCHANGE;
use contract::{Incarnation, SentRecord};
use jiff::Timestamp;
use shared::bus::{Destination, Message, Outgoing};

/// The event that tells of the record; `incarnation` vouches for it.
pub fn to_outgoing(sent: &SentRecord, incarnation: Incarnation) -> Outgoing {
    let record = &sent.record;
    let id = record.position.hash.to_string();
    let mut headers = BTreeMap::from([
        (header::SPEC_VERSION, SPEC_VERSION.to_owned()),
        (header::ID, id.clone()),
        (header::SOURCE, SOURCE.to_owned()),
        (header::TYPE, record.kind.as_str().to_owned()),
        (header::TIME, rfc_3339(record.recorded_at_ms)),
        (header::SEQUENCE, record.position.seq.to_string()),
        (header::INCARNATION, incarnation.to_string()),
        (header::PREV_HASH, record.prev_hash.to_string()),
    ]);
    if let Some(traceparent) = &record.traceparent {
        headers.insert(header::TRACEPARENT, traceparent.clone());
    }
    if let Some(sealed) = &sent.sealed_hash {
        headers.insert(header::SEALED_HASH, sealed.as_str().to_owned());
    }
    Outgoing {
        to: Destination::Topic {
            exchange: USERS_EXCHANGE.into(),
            routing_key: record.kind.routing_key().into(),
        },
        message: Message {
            id,
            kind: record.kind.as_str().into(),
            headers: headers.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
            body: record.data.clone().into(),
            is_persistent: true,
        },
    }
}

/// With milliseconds always, because the chain covers them: `time` must lead back to the same.
fn rfc_3339(unix_ms: i64) -> String {
    let time = Timestamp::from_millisecond(unix_ms).unwrap_or(Timestamp::UNIX_EPOCH);
    format!("{time:.3}")
}
