//! A user_service that does what the tests say: it owns a log, and publishes and answers on demand.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use contract::topology::{END_SESSIONS_QUEUE, SYNC_REQUESTS_QUEUE, USERS_EXCHANGE};
use contract::{
    Continue, Cursor, EndSessions, EventKind, Head, Incarnation, LogRecord, Position, RecordHash,
    SentRecord, SnapshotPart, SnapshotUser, SyncAnswer, SyncRequest, UserChange, UserId, UserState,
    UsersChecksum,
};
use futures_util::StreamExt;
use secrecy::SecretString;
use serde_json::{Value, json};
use shared::bus::cloud_event::Codec;
use shared::bus::direct::{from_line, to_line};
use shared::bus::{Bus, Destination, InProcessBus, Message, Outgoing, QueueLifetime, QueueSpec};
use shared::hashing::{HashParams, Hasher, PasswordHash};
use shared::identity::{Password, Username};
use shared::log_sync::{Decision, decide, record_hash, user_checksum};
use shared::secrets::{SealingKeys, random_bytes};

/// The parameters that the service under test takes for today's.
pub(crate) const PARAMS: HashParams = HashParams { memory_kib: 64, iterations: 1, parallelism: 1 };
const OUTDATED: HashParams = HashParams { memory_kib: 128, iterations: 1, parallelism: 1 };
/// Hashing takes long enough for something to happen meanwhile.
const SLOW: HashParams = HashParams { memory_kib: 19_456, iterations: 60, parallelism: 1 };
/// What Django 5.2 made of `testpassword`, with few iterations.
const DJANGO: &str =
    "pbkdf2_sha256$1000$seasalt2seasalt2$0UzTXjEhFnsMM8vqDVt0HBgg9JDl5myFf2Tqgn6bXrM=";
/// Users in one part of a snapshot.
const PART: usize = 2;

/// Clones are the same service.
#[derive(Clone)]
pub(crate) struct UserService {
    bus: InProcessBus,
    sealing_key: Arc<SealingKeys>,
    codec: Codec,
    state: Rc<RefCell<State>>,
    /// Whether questions are answered.
    answers: Rc<Cell<bool>>,
    /// How many parts of a snapshot are sent.
    parts_sent: Rc<Cell<usize>>,
    /// How long each answer takes.
    answer_time: Rc<Cell<Duration>>,
}

#[derive(Default)]
struct State {
    incarnation: Incarnation,
    log: Vec<LogRecord>,
    users: BTreeMap<i64, (UserState, PasswordHash)>,
    last_id: i64,
    /// How far back a follower may be without getting a snapshot.
    replay_limit: i64,
    /// It is of a version that knew no security stamps.
    knows_no_stamps: bool,
}

impl UserService {
    pub(crate) async fn start(bus: &InProcessBus, data_dir: &Path) -> Self {
        let sealing_key =
            Arc::new(SealingKeys::load_or_create(&data_dir.join("sealing.key")).unwrap());
        let state = State {
            incarnation: Incarnation(random_bytes()),
            replay_limit: 1000,
            ..State::default()
        };
        let state = Rc::new(RefCell::new(state));
        let answers = Rc::new(Cell::new(true));
        let parts_sent = Rc::new(Cell::new(usize::MAX));
        let answer_time = Rc::default();
        let bus = bus.clone();
        let codec = Codec::new(Arc::clone(&sealing_key));
        let service = Self { bus, sealing_key, codec, state, answers, parts_sent, answer_time };
        let queue = QueueSpec {
            name: SYNC_REQUESTS_QUEUE.into(),
            lifetime: QueueLifetime::Shared,
            bindings: vec![],
            prefetch: 10,
        };
        let mut questions = service.bus.subscribe(queue).await.unwrap();
        let answering = service.clone();
        actix_web::rt::spawn(async move {
            while let Some(question) = questions.next().await {
                questions.acknowledge_through(question.tag).await.unwrap();
                // A follower with other keys asks in vain.
                if let Ok(request) = answering.codec.decode_question(&question) {
                    answering.answer(&request).await;
                }
            }
        });
        service.take_commands().await;
        service
    }

    /// Ends sessions when it is asked over the bus, while it answers at all.
    async fn take_commands(&self) {
        let queue = QueueSpec {
            name: END_SESSIONS_QUEUE.into(),
            lifetime: QueueLifetime::Shared,
            bindings: vec![],
            prefetch: 10,
        };
        let mut commands = self.bus.subscribe(queue).await.unwrap();
        let service = self.clone();
        actix_web::rt::spawn(async move {
            while let Some(command) = commands.next().await {
                commands.acknowledge_through(command.tag).await.unwrap();
                let (end, _) = service.codec.decode_end_sessions(&command).unwrap();
                if service.answers.get() && service.end_sessions(&end) {
                    service.publish_last().await;
                }
            }
        });
    }

    /// Commits the end of all sessions, unless another stamp is there; returns whether it did.
    fn end_sessions(&self, EndSessions { id, stamp }: &EndSessions) -> bool {
        let (mut state, hash) = self.state.borrow().users[&id.0].clone();
        if state.stamp != Some(*stamp) {
            return false;
        }
        state.password_version += 1;
        state.stamp = None;
        self.write_user(EventKind::SESSIONS_ENDED, id.0, Some((state, hash)));
        true
    }

    /// Commits a new user; nobody hears of it yet.
    pub(crate) fn create(&self, username: &str, password: &str) -> i64 {
        self.create_with(username, password, PARAMS)
    }

    /// Commits a new user whose hash was made long ago.
    pub(crate) fn create_outdated(&self, username: &str, password: &str) -> i64 {
        self.create_with(username, password, OUTDATED)
    }

    /// Commits a new user whose hash takes long to compare.
    pub(crate) fn create_slow(&self, username: &str, password: &str) -> i64 {
        self.create_with(username, password, SLOW)
    }

    /// Commits a new user with a hash of another system: Django's of the password `testpassword`.
    pub(crate) fn create_foreign(&self, username: &str) -> i64 {
        let hash = PasswordHash::take_over(DJANGO).unwrap();
        self.create_hashed(username, hash)
    }

    /// Commits a new user whose hash is none that this version can compare.
    pub(crate) fn create_incomparable(&self, username: &str) -> i64 {
        self.create_hashed(username, PasswordHash::from_phc("$scrypt$ln=16,r=8,p=1$c2FsdA$aGFzaA"))
    }

    fn create_with(&self, username: &str, password: &str, params: HashParams) -> i64 {
        self.create_hashed(username, hash(password, params))
    }

    fn create_hashed(&self, username: &str, hash: PasswordHash) -> i64 {
        let id = self.state.borrow().last_id + 1;
        self.state.borrow_mut().last_id = id;
        let state = new_user(username);
        self.write_user(EventKind::CREATED, id, Some((state, hash)));
        id
    }

    pub(crate) fn rename(&self, id: i64, username: &str) {
        let (state, hash) = self.state.borrow().users[&id].clone();
        let version = state.version + 1;
        let state = UserState { version, ..with_name(&state, username) };
        self.write_user(EventKind::UPDATED, id, Some((state, hash)));
    }

    pub(crate) fn change_password(&self, id: i64, password: &str) {
        let (mut state, _) = self.state.borrow().users[&id].clone();
        state.version += 1;
        state.password_version += 1;
        state.stamp = None;
        self.write_user(EventKind::UPDATED, id, Some((state, hash(password, PARAMS))));
    }

    pub(crate) fn delete(&self, id: i64) {
        self.write_user(EventKind::DELETED, id, None);
    }

    fn write_user(&self, kind: EventKind, id: i64, user: Option<(UserState, PasswordHash)>) {
        let mut state = self.state.borrow_mut();
        let left = user.as_ref().map(|(left, _)| state.told(left));
        let written_by = (!state.knows_no_stamps).then_some(state.incarnation);
        let change = UserChange { id: UserId(id), user: left, written_by };
        let position = state.write(kind, serde_json::to_string(&change).unwrap());
        match user {
            Some((mut left, hash)) => {
                left.stamp.get_or_insert(position);
                state.users.insert(id, (left, hash))
            }
            None => state.users.remove(&id),
        };
    }

    /// Commits a record that nobody can apply.
    pub(crate) fn write_nonsense(&self) {
        self.write_raw("user.created.v1", r#"{"id":"x"}"#);
    }

    /// Commits a record of any kind, which leaves the users here as they are.
    pub(crate) fn write_raw(&self, kind: &str, data: &str) {
        let kind = EventKind::parse(kind).unwrap();
        self.state.borrow_mut().write(kind, data.to_owned());
    }

    /// Commits a change of a kind and with members of a later version.
    pub(crate) fn lock(&self, id: i64) {
        let (mut state, hash) = self.state.borrow().users[&id].clone();
        state.version += 1;
        let mut user = serde_json::to_value(&state).unwrap();
        user["locked_until"] = "2030-01-01".into();
        let data = serde_json::json!({"id": id, "user": user, "by": {"admin": 7}}).to_string();
        self.write_raw("user.locked.v9", &data);
        self.state.borrow_mut().users.insert(id, (state, hash));
    }

    /// The last record's number.
    pub(crate) fn seq(&self) -> i64 {
        self.state.borrow().head().position.seq
    }

    /// The place of the last record.
    pub(crate) fn position(&self) -> Position {
        self.state.borrow().head().position
    }

    /// From now on it is of a version that knew no security stamps, or of today's.
    pub(crate) fn set_stamps(&self, knows_stamps: bool) {
        self.state.borrow_mut().knows_no_stamps = !knows_stamps;
    }

    /// Publishes the events of these records in this order, whatever it is.
    pub(crate) async fn publish(&self, seqs: impl IntoIterator<Item = i64>) {
        let batch = seqs.into_iter().map(|seq| self.event(seq)).collect();
        self.bus.publish(batch).await.unwrap();
    }

    /// Publishes the last record's event.
    pub(crate) async fn publish_last(&self) {
        self.publish([self.seq()]).await;
    }

    pub(crate) async fn publish_head(&self) {
        self.publish_again(self.head()).await;
    }

    /// Sends a message as it was.
    pub(crate) async fn publish_again(&self, message: Outgoing) {
        self.bus.publish(vec![message]).await.unwrap();
    }

    /// The head of now.
    pub(crate) fn head(&self) -> Outgoing {
        let Cursor { incarnation, position } = self.state.borrow().head();
        let checksum = Some(self.state.borrow().checksum());
        self.codec.encode_head(&Head { incarnation, position, checksum, log: None })
    }

    /// Sends any message as if it were an event.
    pub(crate) async fn publish_raw(&self, message: Message) {
        self.bus.publish(vec![to_users("user.created", message)]).await.unwrap();
    }

    fn event(&self, seq: i64) -> Outgoing {
        let state = self.state.borrow();
        let record = state.log[usize::try_from(seq).unwrap() - 1].clone();
        let sent = state.with_sealed_hash(record, &self.sealing_key);
        self.codec.encode_event(&sent, state.incarnation)
    }

    /// Whether questions are answered from now on.
    pub(crate) fn set_answers(&self, answers: bool) {
        self.answers.set(answers);
    }

    /// How many parts of each snapshot are sent from now on; the others are lost.
    pub(crate) fn set_parts_sent(&self, parts_sent: usize) {
        self.parts_sent.set(parts_sent);
    }

    /// How long each answer takes from now on; questions wait for the answers before.
    pub(crate) fn set_answer_time(&self, answer_time: Duration) {
        self.answer_time.set(answer_time);
    }

    /// The checksum over all users.
    pub(crate) fn checksum(&self) -> String {
        self.state.borrow().checksum().to_string()
    }

    /// The event of a record.
    pub(crate) fn event_message(&self, seq: i64) -> Message {
        self.event(seq).message
    }

    /// Followers further behind than this get a snapshot.
    pub(crate) fn set_replay_limit(&self, replay_limit: i64) {
        self.state.borrow_mut().replay_limit = replay_limit;
    }

    /// A new run.
    pub(crate) fn restart(&self) {
        self.state.borrow_mut().incarnation = Incarnation(random_bytes());
    }

    /// A new run on an older copy of the database.
    pub(crate) fn restore(&self, seq: i64) {
        let mut state = self.state.borrow_mut();
        state.incarnation = Incarnation(random_bytes());
        state.log.truncate(usize::try_from(seq).unwrap());
        // Everybody has the password of then, for the tests that restore.
        let known = std::mem::take(&mut state.users);
        state.last_id = 0;
        for record in state.log.clone() {
            let change: UserChange = serde_json::from_str(&record.data).unwrap();
            let hash = known.get(&change.id.0).map(|(_, hash)| hash.clone());
            state.last_id = state.last_id.max(change.id.0);
            match change.user {
                None => state.users.remove(&change.id.0),
                Some(mut left) => {
                    left.stamp.get_or_insert(record.position);
                    state.users.insert(change.id.0, (left, hash.unwrap()))
                }
            };
        }
    }

    async fn answer(&self, request: &SyncRequest) {
        if !self.answers.get() {
            return;
        }
        tokio::time::sleep(self.answer_time.get()).await;
        let mut answers = self.state.borrow().answers_to(request, &self.sealing_key);
        answers.truncate(self.parts_sent.get());
        let outgoing =
            |answer| self.codec.encode_answer(&request.reply_to, &with_odd_users(answer));
        self.bus.publish(answers.into_iter().map(outgoing).collect()).await.unwrap();
    }
}

impl UserService {
    /// The answer to a question or a command that came over HTTP; nothing if it is none.
    pub(crate) fn answer_directly(&self, question: &[u8]) -> Option<String> {
        let delivery = from_line(question).ok()?;
        if let Ok((command, _)) = self.codec.decode_end_sessions(&delivery) {
            self.end_sessions(&command);
            return Some(String::new());
        }
        let request = self.codec.decode_question(&delivery).ok()?;
        let answers = self.state.borrow().answers_to(&request, &self.sealing_key);
        let line = |answer| to_line(self.codec.encode_answer(&request.reply_to, &answer)) + "\n";
        Some(answers.into_iter().map(line).collect())
    }
}

/// The name of a user whom snapshots describe in a form that nobody knows.
pub(crate) const ODD: &str = "odd";

fn with_odd_users(answer: SyncAnswer) -> SyncAnswer<Value> {
    let form = |user: &SnapshotUser| match user.state.username.as_str() {
        ODD => json!({"id": user.id, "state": {"username": null}}),
        _ => serde_json::to_value(user).unwrap(),
    };
    match answer {
        SyncAnswer::Continue(answer) => SyncAnswer::Continue(answer),
        SyncAnswer::Snapshot(part) => {
            let users = part.users.iter().map(form).collect();
            let SnapshotPart { nonce, as_of, part, parts, sent_through, checksum, .. } = part;
            SyncAnswer::Snapshot(SnapshotPart {
                nonce,
                as_of,
                part,
                parts,
                sent_through,
                users,
                checksum,
            })
        }
    }
}

impl State {
    /// The user as this version tells of them.
    fn told(&self, user: &UserState) -> UserState {
        let stamp = user.stamp.filter(|_| !self.knows_no_stamps);
        UserState { stamp, ..user.clone() }
    }

    fn write(&mut self, kind: EventKind, data: String) -> Position {
        let Position { seq, hash: prev_hash } = self.head().position;
        let (seq, recorded_at_ms) = (seq + 1, 1_767_000_000_123 + seq);
        let hash = record_hash(prev_hash, seq, &kind, recorded_at_ms, &data);
        let (position, traceparent) = (Position { seq, hash }, None);
        self.log.push(LogRecord { position, prev_hash, kind, recorded_at_ms, traceparent, data });
        position
    }

    fn with_sealed_hash(&self, record: LogRecord, key: &SealingKeys) -> SentRecord {
        let stated = serde_json::from_str::<UserChange>(&record.data).ok();
        let stated = stated.and_then(|change| Some((change.id, change.user?.password_version)));
        let sealed_hash = stated.and_then(|(id, password_version)| {
            let (state, hash) = self.users.get(&id.0)?;
            let is_present = state.password_version == password_version;
            is_present.then(|| key.seal(hash, id, password_version))
        });
        SentRecord { record, sealed_hash }
    }

    fn head(&self) -> Cursor {
        let position = self.log.last().map(|last| last.position).unwrap_or_default();
        Cursor { incarnation: self.incarnation, position }
    }

    fn checksum(&self) -> UsersChecksum {
        let of = |(id, (state, _)): (&i64, &(UserState, PasswordHash))| {
            user_checksum(UserId(*id), state.version, &state.username)
        };
        self.users.iter().map(of).fold(UsersChecksum::default(), UsersChecksum::plus)
    }

    fn hash_at(&self, seq: i64) -> Option<RecordHash> {
        if seq == 0 {
            return Some(RecordHash::default());
        }
        self.log.get(usize::try_from(seq).ok()? - 1).map(|record| record.position.hash)
    }

    fn answers_to(&self, request: &SyncRequest, key: &SealingKeys) -> Vec<SyncAnswer> {
        let (head, at) = (self.head(), request.cursor.position.seq);
        match decide(request, head.position, self.hash_at(at), self.replay_limit) {
            Decision::Continue => {
                let records = self.log[usize::try_from(at).unwrap()..].iter().cloned();
                vec![SyncAnswer::Continue(Continue {
                    nonce: request.nonce.clone(),
                    at: request.cursor,
                    incarnation: self.incarnation,
                    records: records.map(|record| self.with_sealed_hash(record, key)).collect(),
                    head_seq: head.position.seq,
                })]
            }
            Decision::Snapshot(_) => self.snapshot(&request.nonce, key),
        }
    }

    fn snapshot(&self, nonce: &str, key: &SealingKeys) -> Vec<SyncAnswer> {
        let user = |(id, (state, hash)): (&i64, &(UserState, PasswordHash))| {
            let (id, state) = (UserId(*id), self.told(state));
            let sealed_hash = Some(key.seal(hash, id, state.password_version));
            SnapshotUser { id, state, sealed_hash }
        };
        let users: Vec<SnapshotUser> = self.users.iter().map(user).collect();
        let parts = users.len().div_ceil(PART).max(1);
        let part = |n: usize| SnapshotPart {
            nonce: nonce.to_owned(),
            as_of: self.head(),
            part: u32::try_from(n + 1).unwrap(),
            parts: u32::try_from(parts).unwrap(),
            sent_through: None,
            users: users.iter().skip(n * PART).take(PART).cloned().collect(),
            checksum: Some(self.checksum()),
        };
        (0..parts).map(|n| SyncAnswer::Snapshot(part(n))).collect()
    }
}

fn hash(password: &str, params: HashParams) -> PasswordHash {
    let password = Password::prepare(&SecretString::from(password)).unwrap();
    Hasher::new(params).unwrap().hash(&password).unwrap()
}

/// A user whose record is the stamp.
fn new_user(username: &str) -> UserState {
    let (key, stamp) = (String::new(), None);
    let user = UserState {
        username: key.clone(),
        username_key: key,
        version: 1,
        password_version: 1,
        stamp,
        is_admin: false,
    };
    with_name(&user, username)
}

fn with_name(user: &UserState, username: &str) -> UserState {
    // A name that is none has itself for a key.
    let username_key =
        Username::parse(username).map_or(username.to_owned(), |name| name.key().to_owned());
    UserState { username: username.to_owned(), username_key, ..user.clone() }
}

fn to_users(routing_key: &str, message: Message) -> Outgoing {
    let to =
        Destination::Topic { exchange: USERS_EXCHANGE.into(), routing_key: routing_key.into() };
    Outgoing { to, message }
}
