//! A record on the wire: an event of CloudEvents 1.0 in AMQP's binary mode.

use std::collections::BTreeMap;

use contract::event::{SOURCE, SPEC_VERSION, header};
use contract::topology::USERS_EXCHANGE;
use contract::{Incarnation, LogRecord};
use jiff::Timestamp;
use shared::bus::{Destination, Message, Outgoing};

/// The event that tells of the record; `incarnation` vouches for it.
pub fn to_outgoing(record: &LogRecord, incarnation: Incarnation) -> Outgoing {
    let mut headers = BTreeMap::from([
        (header::SPEC_VERSION, SPEC_VERSION.to_owned()),
        (header::ID, record.chain.to_string()),
        (header::SOURCE, SOURCE.to_owned()),
        (header::TYPE, record.kind.as_str().to_owned()),
        (header::TIME, rfc_3339(record.recorded_at_ms)),
        (header::SEQUENCE, record.seq.to_string()),
        (header::INCARNATION, incarnation.to_string()),
        (header::PREVIOUS, record.previous.to_string()),
    ]);
    if let Some(traceparent) = &record.traceparent {
        headers.insert(header::TRACEPARENT, traceparent.clone());
    }
    Outgoing {
        to: Destination::Topic {
            exchange: USERS_EXCHANGE.into(),
            routing_key: record.kind.routing_key().into(),
        },
        message: Message {
            id: record.chain.to_string(),
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

#[cfg(test)]
mod tests {
    use super::*;
    use contract::{EventKind, RecordHash};
    use serde_json::{Value, json};

    fn on_the_wire(kind: EventKind, traceparent: Option<&str>, data: &Value) -> Value {
        let record = LogRecord {
            seq: 42,
            previous: RecordHash([0xaa; 16]),
            chain: RecordHash([0xbb; 16]),
            kind,
            recorded_at_ms: 1_700_000_000_000,
            traceparent: traceparent.map(Into::into),
            data: data.to_string(),
        };
        let outgoing = to_outgoing(&record, Incarnation([0xcc; 16]));
        let Destination::Topic { exchange, routing_key } = outgoing.to else { panic!("no topic") };
        let body: Value = serde_json::from_slice(&outgoing.message.body).unwrap();
        let Message { id, kind, headers, is_persistent, .. } = outgoing.message;
        json!({
            "exchange": exchange, "routing_key": routing_key, "message_id": id, "type": kind,
            "headers": headers, "is_persistent": is_persistent, "body": body,
        })
    }

    #[test]
    fn a_created_user_looks_so_on_the_wire() {
        let data = json!({"id": 1, "username": "anna", "version": 1, "password_version": 1,
                          "password_hash": "v1.key.sealed"});
        let traceparent = Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
        let event = on_the_wire(EventKind::Created, traceparent, &data);
        let documented = include_str!("../../../../docs/events.md");
        assert!(documented.contains(&serde_json::to_string_pretty(&event).unwrap()));
        insta::assert_json_snapshot!(event);
    }

    #[test]
    fn an_updated_user_looks_so_on_the_wire() {
        let data = json!({"id": 1, "username": "bert", "version": 2, "password_version": 1,
                          "password_hash": "v1.key.sealed"});
        insta::assert_json_snapshot!(on_the_wire(EventKind::Updated, None, &data));
    }

    #[test]
    fn a_deleted_user_looks_so_on_the_wire() {
        let data = json!({"id": 1, "username": "bert", "version": 3, "password_version": 1});
        insta::assert_json_snapshot!(on_the_wire(EventKind::Deleted, None, &data));
    }
}
