//! The codec: what each message looks like, and that nothing but that is taken.
#![expect(clippy::unwrap_used, reason = "a panic here is a failed test")]

use std::sync::Arc;

use contract::event::header;
use contract::token_record::{KeyId, TokenId, TokenSetSummary};
use contract::topology::MAC;
use contract::{
    Continue, Credit, Cursor, EndSessions, EventKind, Gaps, Head, Incarnation, LogName, LogRecord,
    LogRewound, PartsAnswer, PartsQuestion, PasswordRehashed, Position, RecordData, RecordHash,
    RecordWithAge, ReplicaId, SealedHash, SentRecord, SessionRevoked, SnapshotPart, SnapshotUser,
    SyncAnswer, SyncRequest, TokenAnswer, TokenMarker, TokenQuestion, TokenRecord, TokenRecords,
    TokenSetHead, TokenVerdict, UserChange, UserId, UserState, UsersChecksum,
};
use proptest::prelude::*;
use serde_json::{Value, json};
use shared::bus::cloud_event::{Codec, Undecodable, Unreadable};
use shared::bus::{Delivery, Destination, Message, Outgoing};
use shared::log_sync::{Input, record_hash};
use shared::secrets::SealingKeys;

const NOW: Incarnation = Incarnation([0xcc; 16]);

/// The same keys each time, so that MACs are the same.
fn codec() -> Codec {
    Codec::new(Arc::new(SealingKeys::parse(&"A".repeat(43)).unwrap()))
}

fn state(username: &str, version: i64) -> UserState {
    let (username, username_key) = (username.into(), username.to_lowercase());
    let stamp = Some(Position { seq: 40, hash: RecordHash([0xee; 16]) });
    let is_admin = false;
    UserState { username, username_key, version, password_version: 1, stamp, is_admin }
}

fn record(kind: &str, data: String) -> LogRecord {
    let (prev_hash, at) = (RecordHash([0xaa; 16]), 1_700_000_000_000);
    let kind = EventKind::parse(kind).unwrap();
    let hash = record_hash(prev_hash, 42, &kind, at, &data);
    let position = Position { seq: 42, hash };
    LogRecord { position, prev_hash, kind, recorded_at_ms: at, traceparent: None, data }
}

fn sent(kind: &str, user: Option<UserState>) -> SentRecord {
    let sealed_hash = user.is_some().then(|| SealedHash::new("v2.key.sealed"));
    let change = UserChange { id: UserId(1), user, written_by: Some(NOW) };
    SentRecord { record: record(kind, serde_json::to_string(&change).unwrap()), sealed_hash }
}

fn rewound() -> SentRecord {
    let data = LogRewound { ids_through: 1_000_007, written_by: Some(NOW) };
    let record = record("log.rewound.v1", serde_json::to_string(&data).unwrap());
    SentRecord { record, sealed_hash: None }
}

fn created() -> SentRecord {
    // The record that sets the password is the stamp itself.
    let state = UserState { stamp: None, ..state("Anna", 1) };
    let mut sent = sent("user.created.v1", Some(state));
    sent.record.traceparent =
        Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".into());
    sent
}

fn cursor() -> Cursor {
    Cursor { incarnation: NOW, position: Position { seq: 41, hash: RecordHash([0xaa; 16]) } }
}

fn answer() -> SyncAnswer {
    SyncAnswer::Continue(Continue {
        nonce: "session-1".into(),
        at: cursor(),
        incarnation: NOW,
        records: vec![created()],
        head_seq: 42,
    })
}

fn snapshot() -> SyncAnswer {
    let sealed_hash = Some(SealedHash::new("v2.key.sealed"));
    SyncAnswer::Snapshot(SnapshotPart {
        nonce: "session-1".into(),
        as_of: cursor(),
        part: 1,
        parts: 2,
        sent_through: Some(1),
        users: vec![SnapshotUser { id: UserId(1), state: state("Anna", 1), sealed_hash }],
        checksum: Some(UsersChecksum([0xdd; 16])),
    })
}

fn head() -> Head {
    let checksum = Some(UsersChecksum([0xdd; 16]));
    let log = Some(LogName([0xee; 16]));
    Head { incarnation: NOW, position: cursor().position, checksum, log }
}

/// One message of each purpose.
fn all() -> Vec<Outgoing> {
    let codec = codec();
    let (nonce, reply_to) = ("session-1".to_owned(), "auth.1.control.x".to_owned());
    let credit = Some(Credit { after: 0, parts: 16 });
    let request = SyncRequest {
        nonce,
        reply_to,
        cursor: cursor(),
        snapshot: false,
        credit,
        highest_id: Some(UserId(7)),
    };
    let sealed_hash = SealedHash::new("v2.key.sealed");
    let stamp = state("Anna", 1).stamp;
    let replaces = Some("00112233445566778899aabbccddeeff".to_owned());
    let rehash =
        PasswordRehashed { id: UserId(1), password_version: 1, stamp, replaces, sealed_hash };
    vec![
        codec.encode_event(&created(), NOW),
        codec.encode_head(&head()),
        codec.encode_question(&request),
        codec.encode_answer("auth.1.control.x", &answer()),
        codec.encode_answer("auth.1.control.x", &snapshot()),
        codec.encode_rehash(&rehash),
        codec.encode_end_sessions(
            &EndSessions { id: UserId(1), stamp: state("Anna", 1).stamp.unwrap() },
            Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".into()),
        ),
        codec.encode_token_question(&TokenQuestion { nonce: "7".into(), token: "a.b.c".into() }),
        codec.encode_token_answer(&TokenAnswer {
            nonce: "7".into(),
            verdict: TokenVerdict::Alive {
                id: UserId(1),
                stamp: state("Anna", 1).stamp.unwrap(),
                is_admin: false,
            },
        }),
    ]
    .into_iter()
    .chain(token_set_messages())
    .collect()
}

/// What replicas of auth_service send to each other, one of each purpose.
fn token_set_messages() -> [Outgoing; 5] {
    let (codec, from, to) = (codec(), ReplicaId([1; 16]), ReplicaId([2; 16]));
    let record = TokenRecord::KeyKilled { kid: KeyId([3; 32]) };
    let (nonce, gaps) = ("7".to_owned(), Gaps::None);
    let head = TokenSetHead {
        from,
        summary: TokenSetSummary::default(),
        keys: vec![],
        gaps: gaps.clone(),
        is_asking: true,
        name: "s-1".to_owned(),
        heard: [(to, vec!["t-7".to_owned()])].into(),
    };
    let handed = vec![RecordWithAge { record: record.clone(), age_ms: 5 }];
    let (number, of) = (1, 1);
    let answer = PartsAnswer { from, nonce: nonce.clone(), number, of, records: handed, gaps };
    [
        codec.encode_token_records(&TokenRecords { from, records: vec![record] }),
        codec.encode_token_set_head(&head),
        codec.encode_parts_question(&to, &PartsQuestion { from, nonce, parts: vec![7] }),
        codec.encode_parts_answer(&to, &answer),
        codec.encode_token_marker(&to, &TokenMarker { session: "s".into(), sent_at_ms: 5 }),
    ]
}

fn delivered(outgoing: &Outgoing) -> Delivery {
    let routing_key = match &outgoing.to {
        Destination::Topic { routing_key, .. } => routing_key.clone(),
        Destination::Queue(name) => name.clone(),
    };
    Delivery { message: outgoing.message.clone(), routing_key, is_redelivered: false, tag: 1 }
}

/// What each of the readers says: whether any takes it, and whether one is told that it is genuine.
fn readers(delivery: &Delivery) -> Vec<Result<(), Undecodable>> {
    let codec = codec();
    vec![
        codec.decode_event(delivery).map(drop),
        codec.decode_control(delivery).map(drop),
        codec.decode_question(delivery).map(drop),
        codec.decode_rehash(delivery).map(drop),
        codec.decode_end_sessions(delivery).map(drop),
        codec.decode_token_question(delivery).map(drop),
        codec.decode_token_answer(delivery).map(drop),
        codec.decode_token_set_message(delivery).map(drop),
        codec.decode_token_set_head(delivery).map(drop),
    ]
}

fn is_taken(delivery: &Delivery) -> bool {
    readers(delivery).iter().any(|outcome| !matches!(outcome, Err(error) if !error.is_authentic()))
}

/// As the wire has it.
fn on_the_wire(outgoing: &Outgoing) -> Value {
    let to = match &outgoing.to {
        Destination::Topic { exchange, .. } => json!({"exchange": exchange}),
        Destination::Queue(name) => json!({"queue": name}),
    };
    let Delivery { message, routing_key, .. } = delivered(outgoing);
    let body: Value = serde_json::from_slice(&message.body).unwrap();
    json!({
        "to": to, "routing_key": routing_key, "message_id": message.id, "type": message.kind,
        "headers": message.headers, "is_persistent": message.is_persistent, "body": body,
    })
}

#[test]
fn an_event_looks_as_it_is_documented() {
    let event = on_the_wire(&all()[0]);
    let documented = include_str!("../../docs/events.md");
    let text = serde_json::to_string_pretty(&event).unwrap();
    assert!(documented.contains(&text), "docs/events.md lacks:\n{text}");
    insta::assert_json_snapshot!("event", event);
}

#[test]
fn the_end_of_a_session_looks_as_it_is_documented() {
    let outgoing = codec().encode_session_revoked(&SessionRevoked { sid: TokenId([1; 16]) });
    let event = on_the_wire(&outgoing);
    assert_eq!(event["to"], json!({"exchange": "sessions"}));
    assert_eq!(event["routing_key"], "session.revoked");
    assert_eq!(event["type"], "session.revoked.v1");
    assert_eq!(event["is_persistent"], true);
    assert_eq!(event["message_id"], event["body"]["sid"]);
    let documented = include_str!("../../docs/events.md");
    assert!(documented.contains(&event["body"].to_string()), "{event}");
    // It is for others: no reader here takes it for something else.
    assert!(readers(&delivered(&outgoing)).iter().all(Result::is_err));
}

#[test]
fn each_kind_of_message_keeps_its_form() {
    let codec = codec();
    let updated = codec.encode_event(&sent("user.updated.v1", Some(state("bert", 2))), NOW);
    let deleted = codec.encode_event(&sent("user.deleted.v1", None), NOW);
    insta::assert_json_snapshot!("event_updated", on_the_wire(&updated));
    insta::assert_json_snapshot!("event_deleted", on_the_wire(&deleted));
    let rewound = codec.encode_event(&rewound(), NOW);
    insta::assert_json_snapshot!("event_rewound", on_the_wire(&rewound));
    for (name, outgoing) in
        ["head", "question", "continue", "snapshot_part"].into_iter().zip(&all()[1..])
    {
        insta::assert_json_snapshot!(name, on_the_wire(outgoing));
    }
    // The ids of commands are random, so they and the MACs are left out.
    for (name, outgoing) in ["rehash", "end_sessions"].into_iter().zip(&all()[5..]) {
        let mut command = on_the_wire(outgoing);
        for pointer in ["/message_id", "/headers/cloudEvents_id", "/headers/x-lockstep-mac"] {
            *command.pointer_mut(pointer).unwrap() = json!("…");
        }
        insta::assert_json_snapshot!(name, command);
    }
}

#[test]
fn each_message_is_read_by_its_reader_alone() {
    for (outgoing, reader) in all().iter().zip([0, 1, 2, 1, 1, 3, 4, 5, 6]) {
        for (n, outcome) in readers(&delivered(outgoing)).into_iter().enumerate() {
            assert_eq!(outcome.is_ok(), n == reader, "{n} {outgoing:?} {outcome:?}");
        }
    }
}

#[test]
fn what_is_encoded_is_decoded_to_the_same() {
    let all = all();
    let input = |n: usize| {
        let (delivery, codec) = (delivered(&all[n]), codec());
        let decoded =
            if n == 0 { codec.decode_event(&delivery) } else { codec.decode_control(&delivery) };
        decoded.unwrap().input
    };
    let Input::Record(NOW, received) = input(0) else { panic!("no record") };
    let SentRecord { record, sealed_hash } = created();
    assert_eq!((received.position, received.prev_hash), (record.position, record.prev_hash));
    let user = Some(UserState { stamp: None, ..state("Anna", 1) });
    let change = UserChange { id: UserId(1), user, written_by: Some(NOW) };
    assert_eq!(
        (received.data.clone(), received.sealed_hash.clone()),
        (Some(change.into()), sealed_hash)
    );
    assert_eq!(input(1), Input::Head(head()));
    let Input::Continue(answer) = input(3) else { panic!("no answer") };
    assert_eq!((answer.at, answer.records, answer.head_seq), (cursor(), vec![received], 42));
    let SyncAnswer::Snapshot(part) = snapshot() else { panic!("no snapshot") };
    assert_eq!(input(4), Input::SnapshotPart(part));
}

#[test]
fn a_log_that_went_back_is_told_to_followers() {
    let decoded = codec().decode_event(&delivered(&codec().encode_event(&rewound(), NOW))).unwrap();
    let Input::Record(_, received) = decoded.input else { panic!("no record") };
    let data = LogRewound { ids_through: 1_000_007, written_by: Some(NOW) };
    assert_eq!((received.data, decoded.unreadable.len()), (Some(RecordData::Rewound(data)), 0));
}

#[test]
fn a_record_of_which_nothing_can_be_made_is_told_and_keeps_its_place() {
    let without_state = r#"{"id":1,"username":"anna","version":1,"password_version":1}"#;
    let mut damaged = record("user.created.v1", r#"{"id":1,"user":null}"#.into());
    damaged.data = r#"{"id":2,"user":null}"#.into();
    for record in [record("user.created.v1", without_state.into()), damaged] {
        let position = record.position;
        let event = codec().encode_event(&SentRecord { record, sealed_hash: None }, NOW);
        let decoded = codec().decode_event(&delivered(&event)).unwrap();
        let Input::Record(_, received) = decoded.input else { panic!("no record") };
        assert_eq!((received.position, received.data), (position, None));
        assert_eq!(decoded.unreadable.len(), 1);
        assert_eq!(decoded.unreadable[0].letter, event, "for the dead letters");
    }
}

#[test]
fn a_user_of_a_snapshot_who_cannot_be_read_is_told_and_the_others_are_taken() {
    let SyncAnswer::Snapshot(part) = snapshot() else { panic!("no snapshot") };
    let genuine = serde_json::to_value(&part.users[0]).unwrap();
    let odd = json!({"id": 2, "state": {"username": 7}});
    let users = vec![odd.clone(), genuine, json!("a text")];
    let SnapshotPart { nonce, as_of, part: number, parts, sent_through, checksum, .. } =
        part.clone();
    let mixed = SnapshotPart { nonce, as_of, part: number, parts, sent_through, users, checksum };
    let sent = codec().encode_answer("auth.1.control.x", &SyncAnswer::Snapshot(mixed));
    let decoded = codec().decode_control(&delivered(&sent)).unwrap();
    assert_eq!(decoded.input, Input::SnapshotPart(part));
    let letters: Vec<(String, Value)> = decoded.unreadable.iter().map(letter).collect();
    assert_eq!(letters, [("user-2".into(), odd), ("user-?".into(), json!("a text"))]);
}

/// The message id and the body.
fn letter(unreadable: &Unreadable) -> (String, Value) {
    let Message { id, body, .. } = &unreadable.letter.message;
    (id.clone(), serde_json::from_slice(body).unwrap())
}

#[test]
fn a_message_without_the_members_of_a_later_version_is_read() {
    let event = codec().encode_event(&sent("user.created.v1", Some(state("anna", 1))), NOW);
    let mut bare = delivered(&event);
    bare.message.headers.remove(header::SEALED_HASH);
    assert!(!is_taken(&bare), "what was sent with a header is not taken without it");
    let without =
        SentRecord { sealed_hash: None, ..sent("user.created.v1", Some(state("anna", 1))) };
    assert!(is_taken(&delivered(&codec().encode_event(&without, NOW))));
}

#[test]
fn other_keys_and_other_purposes_are_not_taken() {
    let theirs = Codec::new(Arc::new(SealingKeys::parse(&SealingKeys::generate()).unwrap()));
    for outgoing in all() {
        assert!(is_taken(&delivered(&outgoing)));
        let readers = [
            theirs.decode_event(&delivered(&outgoing)).map(drop),
            theirs.decode_control(&delivered(&outgoing)).map(drop),
        ];
        assert!(readers.iter().all(|outcome| matches!(outcome, Err(e) if !e.is_authentic())));
        for routing_key in ["user.deleted", "log.head", "user_service.sync", "x"] {
            let moved = Delivery { routing_key: routing_key.into(), ..delivered(&outgoing) };
            let is_moved = moved.routing_key != delivered(&outgoing).routing_key;
            assert!(!(is_moved && is_taken(&moved)), "{outgoing:?} as {routing_key}");
        }
        let mut bare = delivered(&outgoing);
        bare.message.headers.remove(MAC);
        assert!(!is_taken(&bare));
    }
}

#[test]
fn the_messages_of_replicas_are_read_to_the_same_and_show_nothing() {
    let codec = codec();
    let [records, head, question, answer, marker] = token_set_messages();
    for (outgoing, expected) in
        [(&records, "Records"), (&question, "Question"), (&answer, "Answer"), (&marker, "Marker")]
    {
        let read = codec.decode_token_set_message(&delivered(outgoing)).unwrap();
        assert!(format!("{read:?}").starts_with(expected), "{read:?}");
        assert_eq!(outgoing.message.is_persistent, expected == "Records");
    }
    let read = codec.decode_token_set_head(&delivered(&head)).unwrap();
    assert!(read.is_asking && read.from == ReplicaId([1; 16]));
    let from = ReplicaId([1; 16]).to_string();
    for outgoing in token_set_messages() {
        assert!(!String::from_utf8(outgoing.message.body.to_vec()).unwrap().contains(&from));
    }
}

proptest! {
    /// One byte of anything that is read: a header's name or value, the routing key, the body.
    #[test]
    fn a_message_with_one_byte_changed_is_not_taken(
        which in 0..14_usize, part in any::<prop::sample::Index>(),
        at in any::<prop::sample::Index>(), flip in 1..128_u8,
    ) {
        let mut delivery = delivered(&all()[which]);
        let names: Vec<String> = delivery.message.headers.keys().cloned().collect();
        let part = part.index(names.len() + 2);
        let change = |bytes: &mut Vec<u8>| {
            let at = at.index(bytes.len());
            bytes[at] ^= flip;
        };
        if let Some(name) = names.get(part) {
            let mut value = delivery.message.headers[name].clone().into_bytes();
            change(&mut value);
            let value = String::from_utf8_lossy(&value).into_owned();
            delivery.message.headers.insert(name.clone(), value);
        } else if part == names.len() {
            let mut key = delivery.routing_key.clone().into_bytes();
            change(&mut key);
            delivery.routing_key = String::from_utf8_lossy(&key).into_owned();
        } else {
            let mut body = delivery.message.body.to_vec();
            change(&mut body);
            delivery.message.body = body.into();
        }
        prop_assert!(!is_taken(&delivery));
    }
}
