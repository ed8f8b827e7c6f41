//! A record on the wire: an event of CloudEvents 1.0 in AMQP's binary mode.

use std::collections::BTreeMap;

use contract::event::{SOURCE, SPEC_VERSION, header};
use contract::topology::USERS_EXCHANGE;
use contract::{Incarnation, SentRecord};
use jiff::Timestamp;
use shared::bus::{Destination, Message, Outgoing};

/// The event that tells of the record; `incarnation` vouches for it.
pub fn to_outgoing(sent: &SentRecord, incarnation: Incarnation) -> Outgoing {
    let SentRecord { record, sealed_hash } = sent;
    let mut headers = BTreeMap::from([
        (header::SPEC_VERSION, SPEC_VERSION.to_owned()),
        (header::ID, record.position.hash.to_string()),
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
    if let Some(sealed_hash) = sealed_hash {
        headers.insert(header::SEALED_HASH, sealed_hash.as_str().to_owned());
    }
    Outgoing {
        to: Destination::Topic {
            exchange: USERS_EXCHANGE.into(),
            routing_key: record.kind.routing_key().into(),
        },
        message: Message {
            id: record.position.hash.to_string(),
            kind: record.kind.as_str().into(),
            headers: headers.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
            body: record.data.clone().into(),
            is_persistent: true,
        },
    }
}

/// With milliseconds always, because the hash covers them: `time` must lead back to the same.
fn rfc_3339(unix_ms: i64) -> String {
    let time = Timestamp::from_millisecond(unix_ms).unwrap_or(Timestamp::UNIX_EPOCH);
    format!("{time:.3}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use contract::{
        EventKind, LogRecord, Position, RecordHash, SealedHash, UserChange, UserId, UserState,
    };
    use serde_json::{Value, json};

    fn on_the_wire(kind: EventKind, traceparent: Option<&str>, user: Option<UserState>) -> Value {
        let sealed_hash = user.is_some().then(|| SealedHash::new("v2.key.sealed"));
        let change = UserChange { id: UserId(1), user };
        let record = LogRecord {
            position: Position { seq: 42, hash: RecordHash([0xbb; 16]) },
            prev_hash: RecordHash([0xaa; 16]),
            kind,
            recorded_at_ms: 1_700_000_000_000,
            traceparent: traceparent.map(Into::into),
            data: serde_json::to_string(&change).unwrap(),
        };
        let sent = SentRecord { record, sealed_hash };
        let outgoing = to_outgoing(&sent, Incarnation([0xcc; 16]));
        let Destination::Topic { exchange, routing_key } = outgoing.to else { panic!("no topic") };
        let body: Value = serde_json::from_slice(&outgoing.message.body).unwrap();
        let Message { id, kind, headers, is_persistent, .. } = outgoing.message;
        json!({
            "exchange": exchange, "routing_key": routing_key, "message_id": id, "type": kind,
            "headers": headers, "is_persistent": is_persistent, "body": body,
        })
    }

    fn user(username: &str, version: i64) -> UserState {
        let username_key = username.to_lowercase();
        UserState { username: username.into(), username_key, version, password_version: 1 }
    }

    #[test]
    fn a_created_user_looks_so_on_the_wire() {
        let traceparent = Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
        let event = on_the_wire(EventKind::CREATED, traceparent, Some(user("Anna", 1)));
        let documented = include_str!("../../../../docs/events.md");
        assert!(documented.contains(&serde_json::to_string_pretty(&event).unwrap()));
        insta::assert_json_snapshot!(event);
    }

    #[test]
    fn an_updated_user_looks_so_on_the_wire() {
        insta::assert_json_snapshot!(on_the_wire(EventKind::UPDATED, None, Some(user("bert", 2))));
    }

    #[test]
    fn a_deleted_user_looks_so_on_the_wire() {
        insta::assert_json_snapshot!(on_the_wire(EventKind::DELETED, None, None));
    }
}
