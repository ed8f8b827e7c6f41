//! A user_service that does what the tests say: it owns a log, and publishes and answers on demand.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use contract::event::header;
use contract::topology::{HEAD_ROUTING_KEY, SYNC_REQUESTS_QUEUE, USERS_EXCHANGE};
use contract::{
    Continue, Cursor, EventKind, Head, Incarnation, LogRecord, RecordHash, SnapshotPart,
    SyncAnswer, SyncRequest, UserData, UserId, UsersChecksum,
};
use futures_util::StreamExt;
use secrecy::SecretString;
use shared::bus::{Bus, Destination, InProcessBus, Message, Outgoing, QueueLifetime, QueueSpec};
use shared::hashing::{HashParams, Hasher};
use shared::identity::Password;
use shared::log_sync::{Decision, decide, extend, user_checksum};
use shared::secrets::{SealingKey, random_bytes};

/// The parameters that the service under test takes for today's.
pub(crate) const PARAMS: HashParams = HashParams { memory_kib: 64, iterations: 1, parallelism: 1 };
const OUTDATED: HashParams = HashParams { memory_kib: 128, iterations: 1, parallelism: 1 };
/// Hashing takes long enough for something to happen meanwhile.
const SLOW: HashParams = HashParams { memory_kib: 19_456, iterations: 60, parallelism: 1 };
/// Users in one part of a snapshot.
const PART: usize = 2;

/// Clones are the same service.
#[derive(Clone)]
pub(crate) struct UserService {
    bus: InProcessBus,
    sealing_key: Arc<SealingKey>,
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
    users: BTreeMap<i64, UserData>,
    last_id: i64,
    /// How far back a follower may be without getting a snapshot.
    replay_limit: i64,
}

impl UserService {
    pub(crate) async fn start(bus: &InProcessBus, data_dir: &Path) -> Self {
        let sealing_key =
            Arc::new(SealingKey::load_or_create(&data_dir.join("sealing.key")).unwrap());
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
        let service = Self { bus, sealing_key, state, answers, parts_sent, answer_time };
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
                answering.answer(&serde_json::from_slice(&question.message.body).unwrap()).await;
            }
        });
        service
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

    fn create_with(&self, username: &str, password: &str, params: HashParams) -> i64 {
        let id = self.state.borrow().last_id + 1;
        self.state.borrow_mut().last_id = id;
        let user = UserData {
            id: UserId(id),
            username: username.into(),
            version: 1,
            password_version: 1,
            password_hash: Some(self.sealed(password, id, 1, params)),
        };
        self.append(EventKind::Created, user);
        id
    }

    pub(crate) fn rename(&self, id: i64, username: &str) {
        let mut user = self.state.borrow().users[&id].clone();
        let hash = user.password_hash.take().unwrap();
        let hash = self.sealing_key.unseal(&hash, user.id, user.version).unwrap();
        user.version += 1;
        user.username = username.into();
        user.password_hash = Some(self.sealing_key.seal(&hash, user.id, user.version));
        self.append(EventKind::Updated, user);
    }

    pub(crate) fn change_password(&self, id: i64, password: &str) {
        let mut user = self.state.borrow().users[&id].clone();
        user.version += 1;
        user.password_version += 1;
        user.password_hash = Some(self.sealed(password, id, user.version, PARAMS));
        self.append(EventKind::Updated, user);
    }

    pub(crate) fn delete(&self, id: i64) {
        let mut user = self.state.borrow().users[&id].clone();
        user.version += 1;
        user.password_hash = None;
        self.append(EventKind::Deleted, user);
    }

    fn sealed(&self, password: &str, id: i64, version: i64, params: HashParams) -> String {
        let password = Password::prepare(&SecretString::from(password)).unwrap();
        let hash = Hasher::new(params).unwrap().hash(&password).unwrap();
        self.sealing_key.seal(hash.expose_phc(), UserId(id), version)
    }

    fn append(&self, kind: EventKind, user: UserData) {
        let mut state = self.state.borrow_mut();
        let data = serde_json::to_string(&user).unwrap();
        state.write(kind, data);
        if kind == EventKind::Deleted {
            state.users.remove(&user.id.0);
        } else {
            state.users.insert(user.id.0, user);
        }
    }

    /// Commits a record that nobody can apply.
    pub(crate) fn write_nonsense(&self) {
        self.state.borrow_mut().write(EventKind::Created, r#"{"id":"x"}"#.to_owned());
    }

    /// The last record's number.
    pub(crate) fn seq(&self) -> i64 {
        self.state.borrow().head().seq
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
        let Cursor { incarnation, seq, chain } = self.state.borrow().head();
        let body = serde_json::to_vec(&Head {
            incarnation,
            seq,
            chain,
            digest: Some(self.state.borrow().digest()),
        })
        .unwrap();
        let message = Message { body: body.into(), ..Message::default() };
        self.bus.publish(vec![to_users(HEAD_ROUTING_KEY, message)]).await.unwrap();
    }

    /// Sends any message as if it were an event.
    pub(crate) async fn publish_raw(&self, message: Message) {
        self.bus.publish(vec![to_users("user.created", message)]).await.unwrap();
    }

    fn event(&self, seq: i64) -> Outgoing {
        let state = self.state.borrow();
        let record = &state.log[usize::try_from(seq).unwrap() - 1];
        to_users(record.kind.routing_key(), event_of(state.incarnation, record))
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

    /// What all users come to.
    pub(crate) fn digest(&self) -> String {
        self.state.borrow().digest().to_string()
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
        state.users.clear();
        for record in state.log.clone() {
            let user: UserData = serde_json::from_str(&record.data).unwrap();
            match record.kind {
                EventKind::Deleted => state.users.remove(&user.id.0),
                _ => state.users.insert(user.id.0, user),
            };
        }
    }

    async fn answer(&self, request: &SyncRequest) {
        if !self.answers.get() {
            return;
        }
        tokio::time::sleep(self.answer_time.get()).await;
        let mut answers = self.state.borrow().answers_to(request);
        answers.truncate(self.parts_sent.get());
        let outgoing = |answer: &SyncAnswer| Outgoing {
            to: Destination::Queue(request.reply_to.clone()),
            message: Message {
                body: serde_json::to_vec(answer).unwrap().into(),
                ..Message::default()
            },
        };
        self.bus.publish(answers.iter().map(outgoing).collect()).await.unwrap();
    }
}

impl State {
    fn write(&mut self, kind: EventKind, data: String) {
        let Cursor { seq, chain: previous, .. } = self.head();
        let (seq, recorded_at_ms) = (seq + 1, 1_767_000_000_123 + seq);
        let chain = extend(previous, seq, kind, recorded_at_ms, &data);
        let traceparent = None;
        self.log.push(LogRecord { seq, previous, chain, kind, recorded_at_ms, traceparent, data });
    }

    fn head(&self) -> Cursor {
        let (seq, chain) = self.log.last().map(|last| (last.seq, last.chain)).unwrap_or_default();
        Cursor { incarnation: self.incarnation, seq, chain }
    }

    fn digest(&self) -> UsersChecksum {
        let users =
            self.users.values().map(|user| user_checksum(user.id, user.version, &user.username));
        users.fold(UsersChecksum::default(), UsersChecksum::plus)
    }

    fn chain_at(&self, seq: i64) -> Option<RecordHash> {
        if seq == 0 {
            return Some(RecordHash::default());
        }
        self.log.get(usize::try_from(seq).ok()? - 1).map(|record| record.chain)
    }

    fn answers_to(&self, request: &SyncRequest) -> Vec<SyncAnswer> {
        let head = self.head();
        let there = self.chain_at(request.cursor.seq);
        match decide(request, &head, there, self.replay_limit) {
            Decision::Continue => vec![SyncAnswer::Continue(Continue {
                nonce: request.nonce.clone(),
                at: request.cursor,
                incarnation: self.incarnation,
                records: self.log[usize::try_from(request.cursor.seq).unwrap()..].to_vec(),
                head_seq: head.seq,
            })],
            Decision::Snapshot(_) => self.snapshot(&request.nonce),
        }
    }

    fn snapshot(&self, nonce: &str) -> Vec<SyncAnswer> {
        let users: Vec<UserData> = self.users.values().cloned().collect();
        let parts = users.len().div_ceil(PART).max(1);
        let part = |n: usize| SnapshotPart {
            nonce: nonce.to_owned(),
            as_of: self.head(),
            part: u32::try_from(n + 1).unwrap(),
            parts: u32::try_from(parts).unwrap(),
            users: users.iter().skip(n * PART).take(PART).cloned().collect(),
            digest: Some(self.digest()),
        };
        (0..parts).map(|n| SyncAnswer::Snapshot(part(n))).collect()
    }
}

fn to_users(routing_key: &str, message: Message) -> Outgoing {
    let to =
        Destination::Topic { exchange: USERS_EXCHANGE.into(), routing_key: routing_key.into() };
    Outgoing { to, message }
}

fn event_of(incarnation: Incarnation, record: &LogRecord) -> Message {
    let time = jiff::Timestamp::from_millisecond(record.recorded_at_ms).unwrap();
    let headers = [
        (header::SPEC_VERSION, "1.0".to_owned()),
        (header::ID, record.chain.to_string()),
        (header::SOURCE, "/lockstep/user_service".to_owned()),
        (header::TYPE, record.kind.to_string()),
        (header::TIME, time.to_string()),
        (header::SEQUENCE, record.seq.to_string()),
        (header::INCARNATION, incarnation.to_string()),
        (header::PREVIOUS, record.previous.to_string()),
    ];
    Message {
        id: record.chain.to_string(),
        kind: record.kind.to_string(),
        headers: headers.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
        body: record.data.clone().into(),
        is_persistent: true,
    }
}
