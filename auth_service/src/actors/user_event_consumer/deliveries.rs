//! Reads what arrives from user_service.

use std::str::FromStr;

use contract::event::{SOURCE, SPEC_VERSION, header};
use contract::topology::HEAD_ROUTING_KEY;
use contract::{EventKind, Incarnation, LogRecord, Position, SealedHash, SentRecord, SyncAnswer};
use jiff::Timestamp;
use shared::bus::{Delivery, Message};
use shared::log_sync::Input;

/// Why a message is of no use.
#[derive(Debug, thiserror::Error)]
pub(super) enum Undecodable {
    /// A header is missing or wrong.
    #[error("the header {0} is missing or wrong")]
    Header(&'static str),
    /// The body is not UTF-8.
    #[error("the body is not UTF-8")]
    Encoding,
    /// The body is not the JSON that it should be. The library's message may hold a value, which
    /// has no place in a log.
    #[error("the body cannot be read at line {line}, column {column}")]
    Body {
        /// From 1.
        line: usize,
        /// From 1.
        column: usize,
    },
}

impl From<serde_json::Error> for Undecodable {
    fn from(error: serde_json::Error) -> Self {
        Self::Body { line: error.line(), column: error.column() }
    }
}

/// Reads an event, which is in the binary mode of CloudEvents.
pub(super) fn read_event(message: &Message) -> Result<Input, Undecodable> {
    let kind = text(message, header::TYPE)?;
    let kind = EventKind::parse(kind).ok_or(Undecodable::Header(header::TYPE))?;
    let time: Timestamp = parsed(message, header::TIME)?;
    let data = String::from_utf8(message.body.to_vec()).map_err(|_| Undecodable::Encoding)?;
    let incarnation: Incarnation = parsed(message, header::INCARNATION)?;
    let record = LogRecord {
        position: Position {
            seq: parsed(message, header::SEQUENCE)?,
            hash: parsed(message, header::ID)?,
        },
        prev_hash: parsed(message, header::PREV_HASH)?,
        kind,
        recorded_at_ms: time.as_millisecond(),
        traceparent: message.headers.get(header::TRACEPARENT).cloned(),
        data,
    };
    let sealed_hash = message.headers.get(header::SEALED_HASH).map(SealedHash::new);
    Ok(Input::Record(incarnation, SentRecord { record, sealed_hash }))
}

/// A record as the event that carries it: what [`read_event`] reads.
pub(super) fn to_event(incarnation: Incarnation, sent: &SentRecord) -> Message {
    let SentRecord { record, sealed_hash } = sent;
    let time = Timestamp::from_millisecond(record.recorded_at_ms).unwrap_or(Timestamp::UNIX_EPOCH);
    let headers = [
        (header::SPEC_VERSION, SPEC_VERSION.to_owned()),
        (header::ID, record.position.hash.to_string()),
        (header::SOURCE, SOURCE.to_owned()),
        (header::TYPE, record.kind.to_string()),
        (header::TIME, format!("{time:.3}")),
        (header::SEQUENCE, record.position.seq.to_string()),
        (header::INCARNATION, incarnation.to_string()),
        (header::PREV_HASH, record.prev_hash.to_string()),
    ];
    let traceparent = record.traceparent.clone().map(|text| (header::TRACEPARENT, text));
    let sealed = sealed_hash.as_ref().map(|hash| (header::SEALED_HASH, hash.as_str().to_owned()));
    let headers = headers.into_iter().chain(traceparent).chain(sealed);
    Message {
        id: record.position.hash.to_string(),
        kind: record.kind.to_string(),
        headers: headers.map(|(name, value)| (name.to_owned(), value)).collect(),
        body: record.data.clone().into(),
        is_persistent: true,
    }
}

/// Reads what comes to the control queue: heads by their routing key, answers by the queue's name.
pub(super) fn read_control(delivery: &Delivery) -> Result<Input, Undecodable> {
    let body = &delivery.message.body;
    if delivery.routing_key == HEAD_ROUTING_KEY {
        return Ok(Input::Head(serde_json::from_slice(body)?));
    }
    Ok(match serde_json::from_slice(body)? {
        SyncAnswer::Continue(answer) => Input::Continue(answer),
        SyncAnswer::Snapshot(part) => Input::SnapshotPart(part),
    })
}

fn text<'a>(message: &'a Message, name: &'static str) -> Result<&'a str, Undecodable> {
    message.headers.get(name).map(String::as_str).ok_or(Undecodable::Header(name))
}

fn parsed<T: FromStr>(message: &Message, name: &'static str) -> Result<T, Undecodable> {
    text(message, name)?.parse().map_err(|_| Undecodable::Header(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use contract::RecordHash;

    fn event() -> Message {
        let headers = [
            (header::TYPE, "user.created.v1".to_owned()),
            (header::TIME, "2026-01-02T03:04:05.678Z".to_owned()),
            (header::SEQUENCE, "7".to_owned()),
            (header::ID, "ab".repeat(16)),
            (header::PREV_HASH, "cd".repeat(16)),
            (header::INCARNATION, "ef".repeat(16)),
        ];
        let headers = headers.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        Message { headers, body: "{}".into(), ..Message::default() }
    }

    #[test]
    fn an_event_is_read_into_the_record_that_it_carries() {
        let Ok(Input::Record(incarnation, sent)) = read_event(&event()) else { panic!() };
        assert_eq!(incarnation, Incarnation([0xef; 16]));
        let Ok(again) = read_event(&to_event(incarnation, &sent)) else { panic!() };
        assert_eq!(again, Input::Record(incarnation, sent.clone()));
        let record = sent.record;
        assert_eq!(record.position, Position { seq: 7, hash: RecordHash([0xab; 16]) });
        assert_eq!(record.prev_hash, RecordHash([0xcd; 16]));
        assert_eq!(record.recorded_at_ms, 1_767_323_045_678);
        assert_eq!((record.kind, record.data.as_str()), (EventKind::CREATED, "{}"));
    }

    #[test]
    fn an_event_without_one_of_its_headers_is_of_no_use() {
        for name in event().headers.keys() {
            let (mut without, mut wrong) = (event(), event());
            without.headers.remove(name);
            wrong.headers.insert(name.clone(), "x".into());
            assert!(read_event(&without).is_err() && read_event(&wrong).is_err(), "{name}");
        }
        assert!(read_event(&Message { body: b"\xff".as_slice().into(), ..event() }).is_err());
    }
}
