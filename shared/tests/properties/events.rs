//! Messages from the broker.

use std::sync::{Arc, LazyLock};

use contract::{
    Cursor, EventKind, Incarnation, LogRecord, PasswordRehashed, Position, RecordHash, SealedHash,
    SentRecord, SnapshotPart, SyncAnswer, UserId,
};
use serde_json::Value;
use shared::bus::cloud_event::Codec;
use shared::bus::{Delivery, Destination, Message, Outgoing};
use shared::log_sync::{Input, record_hash};
use shared::secrets::SealingKeys;

/// One key for all inputs.
static CODEC: LazyLock<Codec> = LazyLock::new(|| {
    let keys = SealingKeys::parse(&SealingKeys::generate()).expect("a new key is a key");
    Codec::new(Arc::new(keys))
});

/// What the other service has not sent is not taken: neither the input nor a message changed by it, nor
/// one that was sent for something else.
pub(crate) fn check(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let invented = Message {
        id: text.clone().into_owned(),
        kind: "password.rehashed.v1".to_owned(),
        headers: text.split(';').filter_map(|pair| pair.split_once('=')).map(owned).collect(),
        body: input.to_vec().into(),
        is_persistent: true,
    };
    assert_refused(&invented, &text);
    let (queue, genuine) = genuine();
    CODEC.decode_rehash(&delivery(&queue, &genuine)).expect("what was sent is taken");
    for changed in changed_by(&genuine, input, &text) {
        assert!(changed == genuine || is_refused(&changed, &queue), "{changed:?}");
    }
    assert!(*text == *queue || is_refused(&genuine, &text));
    let sent = delivery(&queue, &genuine);
    assert!(CODEC.decode_event(&sent).is_err() && CODEC.decode_question(&sent).is_err());
    assert!(CODEC.decode_control(&sent).is_err());
    sent_by_another_version(&text);
}

/// A holder of the key may send what this version does not understand: it is told apart, and neither
/// lost nor taken for something else.
fn sent_by_another_version(text: &str) {
    let (kind, at) = (EventKind::parse("user.created.v1").expect("a kind"), 1_700_000_000_000);
    let position =
        Position { seq: 1, hash: record_hash(RecordHash::default(), 1, &kind, at, text) };
    let (prev_hash, data) = (RecordHash::default(), text.to_owned());
    let (traceparent, sealed_hash) = (Some(text.to_owned()), Some(SealedHash::new(text)));
    let record = LogRecord { position, prev_hash, kind, recorded_at_ms: at, traceparent, data };
    let sent = SentRecord { record, sealed_hash };
    let event = delivered(&CODEC.encode_event(&sent, Incarnation::default()));
    let decoded = CODEC.decode_event(&event).expect("it is authentic");
    let Input::Record(_, received) = decoded.input else { panic!("an event is a record") };
    assert_eq!(received.position, position);
    assert_eq!(received.data.is_none(), decoded.unreadable.len() == 1, "{text:?}");
    for letter in decoded.unreadable {
        let again =
            CODEC.decode_event(&delivered(&letter.letter)).expect("a letter can be sent again");
        assert_eq!(again.unreadable.len(), 1);
    }
    let user = serde_json::from_str(text).unwrap_or_else(|_| Value::from(text));
    let users = vec![user.clone(), Value::Null, user];
    let (nonce, as_of, checksum) = (text.to_owned(), Cursor::default(), None);
    let part =
        SnapshotPart { nonce, as_of, part: 0, parts: 1, sent_through: None, users, checksum };
    let answer = delivered(&CODEC.encode_answer("a.queue", &SyncAnswer::Snapshot(part)));
    let decoded = CODEC.decode_control(&answer).expect("it is authentic");
    let Input::SnapshotPart(part) = decoded.input else { panic!("a part of a snapshot") };
    assert_eq!(part.users.len() + decoded.unreadable.len(), 3, "no user is lost");
}

fn delivered(outgoing: &Outgoing) -> Delivery {
    match &outgoing.to {
        Destination::Topic { routing_key, .. } => delivery(routing_key, &outgoing.message),
        Destination::Queue(queue) => delivery(queue, &outgoing.message),
    }
}

fn owned((name, value): (&str, &str)) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

fn genuine() -> (String, Message) {
    let (id, password_version) = (UserId(1), 1);
    let sealed_hash = SealedHash::new("v2.key.sealed");
    let command =
        PasswordRehashed { id, password_version, stamp: None, replaces: None, sealed_hash };
    let Outgoing { to, message } = CODEC.encode_rehash(&command);
    let Destination::Queue(queue) = to else { panic!("a command goes to a queue") };
    (queue, message)
}

/// The body with the input in its place, before it and behind it; and each header with its text.
fn changed_by(genuine: &Message, input: &[u8], text: &str) -> Vec<Message> {
    let with_body = |body: Vec<u8>| Message { body: body.into(), ..genuine.clone() };
    let mut changed = vec![
        with_body(input.to_vec()),
        with_body([input, &genuine.body].concat()),
        with_body([&genuine.body, input].concat()),
    ];
    for name in genuine.headers.keys() {
        let mut message = genuine.clone();
        message.headers.insert(name.clone(), text.to_owned());
        changed.push(message);
    }
    changed
}

fn assert_refused(message: &Message, routing_key: &str) {
    let sent = delivery(routing_key, message);
    assert!(CODEC.decode_event(&sent).is_err());
    assert!(CODEC.decode_control(&sent).is_err());
    assert!(CODEC.decode_question(&sent).is_err());
    assert!(is_refused(message, routing_key));
}

fn is_refused(message: &Message, routing_key: &str) -> bool {
    CODEC.decode_rehash(&delivery(routing_key, message)).is_err()
}

fn delivery(routing_key: &str, message: &Message) -> Delivery {
    Delivery {
        message: message.clone(),
        routing_key: routing_key.to_owned(),
        is_redelivered: false,
        tag: 1,
    }
}
