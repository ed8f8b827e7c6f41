//! The one codec for all messages between the services.
//!
//! Each message is a CloudEvent 1.0 in the binary mode of the AMQP binding: attributes in headers
//! `cloudEvents_*`, the data in the body. A further header contains a MAC over the purpose, the
//! routing key, every attribute and the body. A message that was altered, or sent again for another
//! purpose or with another routing key, is rejected. An attacker who can write to the broker can
//! therefore delay, duplicate and reorder messages, and nothing else.
//!
//! Decoding also checks the hash of each record and reads its data, once. The rest of a follower
//! receives only [`crate::log_sync::Input`].

mod commands;
mod sessions;
mod token_sets;

use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::Arc;

use contract::event::{SOURCE, SPEC_VERSION, header};
use contract::topology::{HEAD_ROUTING_KEY, MAC, SYNC_REQUESTS_QUEUE, USERS_EXCHANGE};
use contract::{
    EventKind, Head, Incarnation, LogRecord, Position, RecordData, SealedHash, SentRecord,
    SnapshotPart, SnapshotUser, SyncAnswer, SyncRequest,
};
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Delivery, Destination, Message, Outgoing};
use crate::clock::rfc_3339;
use crate::log_sync::{Input, ReceivedContinue, ReceivedRecord, is_intact};
use crate::secrets::{NotAuthentic, SealingKeys, UnsealError};

pub use self::token_sets::TokenSetMessage;

/// CloudEvents `source` of what auth_service sends.
const AUTH_SERVICE: &str = "/lockstep/auth_service";
/// Attributes are the headers that begin so.
const ATTRIBUTE: &str = "cloudEvents_";
/// Stands for the routing key of a dead letter that is one user of a snapshot.
const SNAPSHOT_USER: &str = "snapshot.user";
/// The most unreadable records that are reported for one message.
const UNREADABLE_MAX: usize = 16;

/// The purpose of a message. A MAC is valid for one purpose only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    Event,
    Head,
    Question,
    Answer,
    Rehash,
    EndSessions,
    TokenQuestion,
    TokenAnswer,
    TokenRecords,
    TokenSetHead,
    PartsQuestion,
    PartsAnswer,
    TokenMarker,
    SessionRevoked,
}

impl Purpose {
    /// Part of the MAC, and the CloudEvents `type` of all messages but events: an event's type is
    /// its kind.
    fn as_str(self) -> &'static str {
        match self {
            Self::Event => "event",
            Self::Head => "log.head.v1",
            Self::Question => "sync.request.v1",
            Self::Answer => "sync.answer.v1",
            Self::Rehash => "password.rehashed.v1",
            Self::EndSessions => "sessions.end.v1",
            Self::TokenQuestion => "token.question.v1",
            Self::TokenAnswer => "token.answer.v1",
            Self::TokenRecords => "token.records.v1",
            Self::TokenSetHead => "token.head.v1",
            Self::PartsQuestion => "token.parts.request.v1",
            Self::PartsAnswer => "token.parts.answer.v1",
            Self::TokenMarker => "token.marker.v1",
            Self::SessionRevoked => "session.revoked.v1",
        }
    }

    fn source(self) -> &'static str {
        match self {
            Self::Event | Self::Head | Self::Answer | Self::TokenQuestion => SOURCE,
            Self::Question
            | Self::Rehash
            | Self::EndSessions
            | Self::TokenAnswer
            | Self::TokenRecords
            | Self::TokenSetHead
            | Self::PartsQuestion
            | Self::PartsAnswer
            | Self::TokenMarker
            | Self::SessionRevoked => AUTH_SERVICE,
        }
    }
}

/// Why a message is rejected: it belongs to the dead letters.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Undecodable {
    /// It was not sent in this form by a holder of the shared keys.
    #[error(transparent)]
    NotAuthentic(#[from] NotAuthentic),
    /// The content cannot be decrypted.
    #[error(transparent)]
    Sealed(#[from] UnsealError),
    /// An attribute is missing or wrong.
    #[error("the header {0} is missing or wrong")]
    Header(&'static str),
    /// The body is not UTF-8.
    #[error("the body is not UTF-8")]
    Encoding,
    /// A record's hash is not that of its content: the log is damaged.
    #[error("the hash of record {seq} does not match its content")]
    RecordHash {
        /// Which record.
        seq: i64,
    },
    /// A user of a snapshot does not have the expected form.
    #[error("the user does not have the expected form")]
    User,
    /// The JSON does not have the expected form. The library's message is not kept: it may quote a
    /// value, which must not appear in a log.
    #[error("the data cannot be read at line {line}, column {column}")]
    Data {
        /// From 1.
        line: usize,
        /// From 1.
        column: usize,
    },
}

impl Undecodable {
    /// The message is authentic all the same.
    pub fn is_authentic(&self) -> bool {
        !matches!(self, Self::NotAuthentic(_))
    }
}

impl From<serde_json::Error> for Undecodable {
    fn from(error: serde_json::Error) -> Self {
        Self::Data { line: error.line(), column: error.column() }
    }
}

/// A record, or a user of a snapshot, that is authentic and that this version cannot use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable {
    /// A message that carries it alone, for the dead letters.
    pub letter: Outgoing,
    /// What is wrong with it.
    pub reason: Undecodable,
}

/// What a message means for the follower, and the parts of it that belong to the dead letters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decoded {
    /// For the follower.
    pub input: Input,
    /// What is unreadable in it; of records, up to a limit.
    pub unreadable: Vec<Unreadable>,
}

impl From<Input> for Decoded {
    fn from(input: Input) -> Self {
        Self { input, unreadable: Vec::new() }
    }
}

/// Encodes and decodes with the keys that the services share. Clones share them.
#[derive(Clone, Debug)]
pub struct Codec {
    keys: Arc<SealingKeys>,
}

impl Codec {
    /// A codec with these keys.
    pub fn new(keys: Arc<SealingKeys>) -> Self {
        Self { keys }
    }

    /// The event that carries the record; `incarnation` is the run that vouches for it.
    pub fn encode_event(&self, sent: &SentRecord, incarnation: Incarnation) -> Outgoing {
        let SentRecord { record, sealed_hash } = sent;
        let mut attributes = BTreeMap::from([
            (header::TIME, rfc_3339(record.recorded_at_ms)),
            (header::SEQUENCE, record.position.seq.to_string()),
            (header::INCARNATION, incarnation.to_string()),
            (header::PREV_HASH, record.prev_hash.to_string()),
        ]);
        let optional = [
            (header::TRACEPARENT, record.traceparent.clone()),
            (header::SEALED_HASH, sealed_hash.as_ref().map(|hash| hash.as_str().to_owned())),
        ];
        attributes.extend(optional.into_iter().filter_map(|(name, value)| Some((name, value?))));
        Outgoing {
            to: to_users(record.kind.routing_key()),
            message: self.message(
                Purpose::Event,
                record.kind.routing_key(),
                Draft {
                    id: record.position.hash.to_string(),
                    kind: record.kind.as_str(),
                    attributes,
                    body: record.data.clone().into_bytes(),
                    is_persistent: true,
                },
            ),
        }
    }

    /// The end of the log, for followers that miss the last events.
    pub fn encode_head(&self, head: &Head) -> Outgoing {
        let id = head.position.hash.to_string();
        let message = self.document(Purpose::Head, HEAD_ROUTING_KEY, id, head);
        Outgoing { to: to_users(HEAD_ROUTING_KEY), message }
    }

    /// A follower's question.
    pub fn encode_question(&self, request: &SyncRequest) -> Outgoing {
        self.to_queue(Purpose::Question, SYNC_REQUESTS_QUEUE, request.nonce.clone(), request)
    }

    /// An answer to the follower whose queue is `reply_to`.
    pub fn encode_answer<User: Serialize>(
        &self,
        reply_to: &str,
        answer: &SyncAnswer<User>,
    ) -> Outgoing {
        let id = match answer {
            SyncAnswer::Continue(answer) => answer.nonce.clone(),
            SyncAnswer::Snapshot(part) => format!("{}-{}", part.nonce, part.part),
        };
        self.to_queue(Purpose::Answer, reply_to, id, answer)
    }

    /// Reads an event that carries a record.
    ///
    /// # Errors
    /// See [`Undecodable`].
    pub fn decode_event(&self, delivery: &Delivery) -> Result<Decoded, Undecodable> {
        let message = self.authenticate(Purpose::Event, delivery)?;
        let kind = EventKind::parse(text(message, header::TYPE)?);
        let time: Timestamp = parsed(message, header::TIME)?;
        let data = String::from_utf8(message.body.to_vec()).map_err(|_| Undecodable::Encoding)?;
        let incarnation = parsed(message, header::INCARNATION)?;
        let position = Position {
            seq: parsed(message, header::SEQUENCE)?,
            hash: parsed(message, header::ID)?,
        };
        let record = LogRecord {
            position,
            prev_hash: parsed(message, header::PREV_HASH)?,
            kind: kind.ok_or(Undecodable::Header(header::TYPE))?,
            recorded_at_ms: time.as_millisecond(),
            traceparent: message.headers.get(header::TRACEPARENT).cloned(),
            data,
        };
        let sealed_hash = message.headers.get(header::SEALED_HASH).map(SealedHash::new);
        let mut unreadable = Vec::new();
        let sent = SentRecord { record, sealed_hash };
        let record = self.receive(sent, incarnation, &mut unreadable);
        Ok(Decoded { input: Input::Record(incarnation, record), unreadable })
    }

    /// Reads a message from a follower's own queue: a head is recognised by its routing key, an
    /// answer by the name of the queue.
    ///
    /// # Errors
    /// See [`Undecodable`].
    pub fn decode_control(&self, delivery: &Delivery) -> Result<Decoded, Undecodable> {
        if delivery.routing_key == HEAD_ROUTING_KEY {
            return Ok(Input::Head(self.read(Purpose::Head, delivery)?).into());
        }
        let answer = match self.read::<SyncAnswer<Value>>(Purpose::Answer, delivery)? {
            SyncAnswer::Snapshot(part) => return Ok(receive_part(part)),
            SyncAnswer::Continue(answer) => answer,
        };
        let (incarnation, mut unreadable) = (answer.incarnation, Vec::new());
        let records = answer.records.into_iter();
        let records = records.map(|sent| self.receive(sent, incarnation, &mut unreadable));
        let input = Input::Continue(ReceivedContinue {
            nonce: answer.nonce,
            at: answer.at,
            incarnation,
            records: records.collect(),
            head_seq: answer.head_seq,
        });
        Ok(Decoded { input, unreadable })
    }

    /// Reads a question.
    ///
    /// # Errors
    /// See [`Undecodable`].
    pub fn decode_question(&self, delivery: &Delivery) -> Result<SyncRequest, Undecodable> {
        self.read(Purpose::Question, delivery)
    }

    /// Checks the record's hash and reads its data. An unreadable record is reported in
    /// `unreadable` and is no error: it may be an old record that the follower has already passed.
    fn receive(
        &self,
        sent: SentRecord,
        incarnation: Incarnation,
        unreadable: &mut Vec<Unreadable>,
    ) -> ReceivedRecord {
        let data = read_data(&sent.record).map_err(|reason| {
            if unreadable.len() < UNREADABLE_MAX {
                let letter = self.encode_event(&sent, incarnation);
                unreadable.push(Unreadable { letter, reason });
            }
        });
        let SentRecord { record, sealed_hash } = sent;
        let LogRecord { position, prev_hash, traceparent, .. } = record;
        ReceivedRecord { position, prev_hash, data: data.ok(), sealed_hash, traceparent }
    }

    fn read<T: DeserializeOwned>(
        &self,
        purpose: Purpose,
        delivery: &Delivery,
    ) -> Result<T, Undecodable> {
        Ok(serde_json::from_slice(&self.authenticate(purpose, delivery)?.body)?)
    }

    fn authenticate<'a>(
        &self,
        purpose: Purpose,
        Delivery { message, routing_key, .. }: &'a Delivery,
    ) -> Result<&'a Message, Undecodable> {
        let mac = message.headers.get(MAC).ok_or(NotAuthentic::NoMac)?;
        let covered = Covered::of(purpose, routing_key, message);
        self.keys.verify(mac, covered.parts())?;
        Ok(message)
    }

    fn to_queue(
        &self,
        purpose: Purpose,
        queue: &str,
        id: String,
        document: &impl Serialize,
    ) -> Outgoing {
        let message = self.document(purpose, queue, id, document);
        Outgoing { to: Destination::Queue(queue.to_owned()), message }
    }

    fn document(
        &self,
        purpose: Purpose,
        routing_key: &str,
        id: String,
        document: &impl Serialize,
    ) -> Message {
        let kind = purpose.as_str();
        // These types contain only strings and numbers, so serialization cannot fail.
        let body = serde_json::to_vec(document).unwrap_or_default();
        let (attributes, is_persistent) = (BTreeMap::new(), false);
        self.message(purpose, routing_key, Draft { id, kind, attributes, body, is_persistent })
    }

    fn message(&self, purpose: Purpose, routing_key: &str, draft: Draft<'_>) -> Message {
        let Draft { id, kind, mut attributes, body, is_persistent } = draft;
        attributes.extend([
            (header::SPEC_VERSION, SPEC_VERSION.to_owned()),
            (header::ID, id.clone()),
            (header::SOURCE, purpose.source().to_owned()),
            (header::TYPE, kind.to_owned()),
        ]);
        let headers = attributes.into_iter().map(|(name, value)| (name.to_owned(), value));
        let mut message = Message {
            id,
            kind: kind.to_owned(),
            headers: headers.collect(),
            body: body.into(),
            is_persistent,
        };
        let mac = self.keys.sign(Covered::of(purpose, routing_key, &message).parts());
        message.headers.insert(MAC.to_owned(), mac);
        message
    }
}

/// Builds a message from the draft and the parts that all messages have.
struct Draft<'a> {
    id: String,
    kind: &'a str,
    attributes: BTreeMap<&'static str, String>,
    body: Vec<u8>,
    is_persistent: bool,
}

/// The content that a MAC covers.
struct Covered<'a> {
    purpose: Purpose,
    routing_key: &'a str,
    message: &'a Message,
    /// Separates attributes from body.
    attribute_count: [u8; 8],
}

impl<'a> Covered<'a> {
    fn of(purpose: Purpose, routing_key: &'a str, message: &'a Message) -> Self {
        let attribute_count = (attributes(message).count() as u64).to_be_bytes();
        Self { purpose, routing_key, message, attribute_count }
    }

    fn parts(&self) -> impl Iterator<Item = &[u8]> {
        let before = [self.purpose.as_str(), self.routing_key].map(str::as_bytes);
        let named = attributes(self.message).flat_map(|(name, value)| [name, value]);
        let before = before.into_iter().chain([self.attribute_count.as_slice()]);
        before.chain(named.map(String::as_bytes)).chain([self.message.body.as_ref()])
    }
}

fn attributes(message: &Message) -> impl Iterator<Item = (&String, &String)> {
    message.headers.iter().filter(|(name, _)| name.starts_with(ATTRIBUTE))
}

/// Reads the users one by one: one that cannot be read does not cost the others.
fn receive_part(part: SnapshotPart<Value>) -> Decoded {
    let SnapshotPart { nonce, as_of, part, parts, sent_through, users: sent, checksum } = part;
    let (mut users, mut unreadable) = (Vec::with_capacity(sent.len()), Vec::new());
    for user in sent {
        if let Ok(user) = SnapshotUser::deserialize(&user) {
            users.push(user);
        } else {
            let (letter, reason) = (user_letter(&user), Undecodable::User);
            unreadable.push(Unreadable { letter, reason });
        }
    }
    let part = SnapshotPart { nonce, as_of, part, parts, sent_through, users, checksum };
    Decoded { input: Input::SnapshotPart(part), unreadable }
}

/// One user of a snapshot as a message, for the dead letters.
pub fn user_letter(user: &impl Serialize) -> Outgoing {
    let user = serde_json::to_value(user).unwrap_or_default();
    let id = user.get("id").map_or_else(|| "?".to_owned(), Value::to_string);
    let (id, kind, body) = (format!("user-{id}"), SNAPSHOT_USER.to_owned(), user.to_string());
    let message = Message { id, kind, body: body.into(), ..Message::default() };
    Outgoing { to: Destination::Queue(SNAPSHOT_USER.to_owned()), message }
}

fn read_data(record: &LogRecord) -> Result<RecordData, Undecodable> {
    if !is_intact(record) {
        return Err(Undecodable::RecordHash { seq: record.position.seq });
    }
    let user = serde_json::from_str(&record.data).map(RecordData::User);
    let data = user.or_else(|not_a_user| {
        serde_json::from_str(&record.data).map(RecordData::Rewound).map_err(|_| not_a_user)
    });
    Ok(data?)
}

fn to_users(routing_key: &str) -> Destination {
    Destination::Topic { exchange: USERS_EXCHANGE.to_owned(), routing_key: routing_key.to_owned() }
}

fn text<'a>(message: &'a Message, name: &'static str) -> Result<&'a str, Undecodable> {
    message.headers.get(name).map(String::as_str).ok_or(Undecodable::Header(name))
}

fn parsed<T: FromStr>(message: &Message, name: &'static str) -> Result<T, Undecodable> {
    text(message, name)?.parse().map_err(|_| Undecodable::Header(name))
}
