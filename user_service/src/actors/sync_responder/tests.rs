use super::super::test_bus::{Call, TestBus, Trouble, panics_once};
use super::super::test_repository::{TestRepository, access, create_as};
use super::super::test_store::{TroubledStore, Troubles};
use super::super::user_repository::Prune;
use super::snapshots::CREDIT_DEADLINE;
use super::*;
use crate::store::Retention;
use contract::{
    Credit, Cursor, EventKind, LogRecord, Position, RecordHash, SnapshotUser, SyncAnswer,
    SyncRequest, UsersChecksum,
};
use futures_util::StreamExt;
use shared::actors::ask;
use shared::bus::cloud_event::Codec;
use shared::bus::{
    Bus, Delivery, Destination, Message, Outgoing, QueueLifetime, QueueSpec, Subscription,
};
use shared::hashing::PasswordHash;
use shared::log_sync::{Effect, Follower, Input, user_checksum};
use std::sync::atomic::Ordering;
use std::time::Duration;
use testkit::wait::until;

struct Answers {
    bus: Arc<dyn Bus>,
    codec: Codec,
    inbox: Subscription,
    _responder: Mailbox<SyncResponder>,
}

/// A responder, and a queue for its answers.
async fn answers(repository: &TestRepository, replay_limit: i64) -> Answers {
    let bus = TestBus::new(|_| Trouble::No);
    // The responder declares this queue too: a question sent to a queue that does not exist is
    // lost.
    drop(bus.subscribe(shared_queue(SYNC_REQUESTS_QUEUE, 1)).await.unwrap());
    answers_over(bus, repository, replay_limit).await
}

async fn answers_over(
    bus: Arc<dyn Bus>,
    repository: &TestRepository,
    replay_limit: i64,
) -> Answers {
    let responder = responder(repository, &bus, replay_limit);
    let spec = QueueSpec {
        name: "answers".into(),
        lifetime: QueueLifetime::Transient,
        bindings: vec![],
        prefetch: 100,
    };
    let inbox = bus.subscribe(spec).await.unwrap();
    let codec = Codec::new(Arc::clone(&repository.key));
    Answers { bus, codec, inbox, _responder: responder }
}

fn responder(
    repository: &TestRepository,
    bus: &Arc<dyn Bus>,
    replay_limit: i64,
) -> Mailbox<SyncResponder> {
    let (responder, _) = SyncResponder::new(Responding {
        access: access(repository, bus),
        store: Arc::clone(&repository.store),
        repository: repository.mailbox.clone(),
        sealing_key: Arc::clone(&repository.key),
        directory: repository.directory.path().to_owned(),
        replay_limit,
        metrics: repository.metrics.answers.clone(),
        health: repository.health.clone(),
    });
    Mailbox::start(&repository.health, 1, |_| responder)
}

impl Answers {
    async fn next_delivery(&mut self) -> Delivery {
        tokio::time::timeout(Duration::from_secs(10), self.inbox.next()).await.unwrap().unwrap()
    }

    /// For a follower.
    async fn next_input(&mut self) -> Input {
        let delivery = self.next_delivery().await;
        self.codec.decode_control(&delivery).unwrap().input
    }

    async fn ask(&mut self, cursor: Cursor) -> SyncAnswer {
        let request = SyncRequest {
            nonce: "n".into(),
            reply_to: "answers".into(),
            cursor,
            snapshot: false,
            credit: None,
            highest_id: None,
        };
        let delivery = self.deliver_answer(&request).await;
        serde_json::from_slice(&delivery.message.body).unwrap()
    }

    async fn deliver_answer(&mut self, request: &SyncRequest) -> Delivery {
        let question = self.codec.encode_question(request);
        // After a panic the queue is declared again a moment later.
        until("there is an answer", Duration::from_secs(10), async || {
            self.bus.publish(vec![question.clone()]).await.unwrap();
            let answer = tokio::time::timeout(Duration::from_secs(2), self.inbox.next());
            answer.await.ok().flatten()
        })
        .await
    }
}

#[actix::test]
async fn a_follower_with_nothing_gets_all_records_and_arrives_at_the_head() {
    let repository = TestRepository::start().await;
    for name in ["anna", "bert", "carl"] {
        create_as(&repository, name).await;
    }
    let mut answers = answers(&repository, 100).await;
    let mut follower = Follower::new(Cursor::default(), "s".into(), "answers".into());
    let effects = follower.step(Input::Connected);
    let [Effect::Ask(request, _)] = &effects[..] else { panic!("{effects:?}") };
    let answer = answers.deliver_answer(request).await;
    follower.step(answers.codec.decode_control(&answer).unwrap().input);
    assert_eq!(follower.cursor(), repository.head().cursor());
}

#[actix::test]
async fn a_follower_that_diverged_gets_all_users_as_of_the_head() {
    let repository = TestRepository::start().await;
    let anna = create_as(&repository, "anna").await.user;
    create_as(&repository, "bert").await;
    repository.delete(anna.id).await;
    let mut answers = answers(&repository, 100).await;
    let position = Position { seq: 2, hash: RecordHash([9; 16]) };
    let diverged = Cursor { position, ..Cursor::default() };
    let SyncAnswer::Snapshot(part) = answers.ask(diverged).await else { panic!("no snapshot") };
    assert_eq!((part.part, part.parts), (1, 1));
    let last = repository.records().await.pop().unwrap();
    assert_eq!(last.kind, EventKind::REWOUND, "the follower knows of a record that is lost");
    assert_eq!((part.as_of.position, last.position.seq), (last.position, 4));
    let [SnapshotUser { id, state, sealed_hash: Some(sealed) }] = &part.users[..] else {
        panic!("{:?}", part.users)
    };
    let hash = repository.key.unseal(sealed, *id, state.password_version).unwrap();
    assert_eq!(hash, PasswordHash::from_phc("$argon2id$hash"));
    assert_eq!(state.stamp, Some(last.position));
}

#[actix::test]
async fn a_follower_too_far_back_gets_a_snapshot_even_if_there_are_no_users() {
    let repository = TestRepository::start().await;
    let anna = create_as(&repository, "anna").await.user;
    repository.delete(anna.id).await;
    let mut answers = answers(&repository, 1).await;
    let answer = answers.ask(Cursor::default()).await;
    let SyncAnswer::Snapshot(part) = answer else { panic!("no snapshot") };
    assert_eq!((part.parts, part.users.len(), part.as_of.position.seq), (1, 0, 2));
}

#[actix::test]
async fn a_snapshot_of_many_users_comes_in_parts_that_a_follower_swaps_in() {
    let repository = repository_of(1_001).await;
    let mut answers = answers(&repository, 10).await;
    let mut follower = Follower::new(Cursor::default(), "s".into(), "answers".into());
    let effects = follower.step(Input::Connected);
    let [Effect::Ask(request, _)] = &effects[..] else { panic!("{effects:?}") };
    let first = answers.deliver_answer(request).await;
    let mut answer = answers.codec.decode_control(&first).unwrap().input;
    let mut users = 0;
    for part in 1..=5 {
        let Input::SnapshotPart(snapshot) = &answer else { panic!("no snapshot") };
        assert_eq!(snapshot.part, part);
        users += snapshot.users.len();
        follower.step(answer);
        if part == 5 {
            break;
        }
        answer = answers.next_input().await;
    }
    assert_eq!((users, follower.cursor().position.seq), (1001, 1001));
}

/// A repository with that many users.
async fn repository_of(users: usize) -> TestRepository {
    let repository = TestRepository::start().await;
    let names = (0..users).map(|n| format!("user{n}")).collect::<Vec<_>>();
    for group in names.chunks(100) {
        let all = group.iter().map(|name| create_as(&repository, name));
        futures_util::future::join_all(all).await;
    }
    repository
}

/// The temporary files in the repository's directory that are open; they have no names.
fn open_spools(repository: &TestRepository) -> usize {
    let opened = std::fs::read_dir("/proc/self/fd").unwrap();
    let paths = opened.filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok());
    let directory = repository.directory.path().to_str().unwrap().to_owned();
    let is_spool = |path: &str| path.starts_with(&directory) && path.ends_with("(deleted)");
    paths.filter(|path| path.to_str().is_some_and(is_spool)).count()
}

fn wants_snapshot(nonce: &str, after: u32, parts: u32) -> SyncRequest {
    SyncRequest {
        nonce: nonce.into(),
        reply_to: "answers".into(),
        cursor: Cursor::default(),
        snapshot: true,
        credit: Some(Credit { after, parts }),
        highest_id: None,
    }
}

/// The numbers of that many parts.
async fn next_parts(answers: &mut Answers, count: usize) -> Vec<u32> {
    let mut numbers = Vec::new();
    for _ in 0..count {
        let Input::SnapshotPart(part) = answers.next_input().await else { panic!("no part") };
        assert_eq!((part.parts, part.sent_through.is_some()), (5, true));
        numbers.push(part.part);
    }
    numbers
}

impl Answers {
    async fn send(&self, request: &SyncRequest) {
        self.bus.publish(vec![self.codec.encode_question(request)]).await.unwrap();
    }

    /// Nothing more has been sent by the time another follower has its answer.
    async fn assert_nothing_more(&mut self) {
        let other = SyncRequest { snapshot: false, credit: None, ..wants_snapshot("other", 0, 0) };
        self.send(&SyncRequest { reply_to: "answers".into(), ..other }).await;
        let next = self.next_input().await;
        assert!(matches!(&next, Input::Continue(answer) if answer.nonce == "other"), "{next:?}");
    }
}

#[actix::test]
async fn a_follower_gets_no_more_parts_than_it_has_given_credit_for() {
    let repository = repository_of(1_001).await;
    let mut answers = answers(&repository, 10_000).await;
    answers.send(&wants_snapshot("n", 0, 2)).await;
    assert_eq!(next_parts(&mut answers, 2).await, [1, 2]);
    // A user who is created meanwhile is in no part.
    create_as(&repository, "later").await;
    answers.send(&wants_snapshot("n", 2, 2)).await;
    assert_eq!(next_parts(&mut answers, 2).await, [3, 4]);
    // Some were lost on the way, or it asks twice.
    answers.send(&wants_snapshot("n", 3, 1)).await;
    assert_eq!(next_parts(&mut answers, 1).await, [4]);
    answers.send(&wants_snapshot("n", 4, 9)).await;
    let Input::SnapshotPart(last) = answers.next_input().await else { panic!("no part") };
    assert_eq!((last.part, last.users.len(), last.sent_through), (5, 1, Some(5)));
    until("the file is gone", Duration::from_secs(10), async || {
        (open_spools(&repository) == 0).then_some(())
    })
    .await;
    // It is over: who wants more of it has to ask anew.
    answers.send(&wants_snapshot("n", 1, 1)).await;
    answers.assert_nothing_more().await;
}

#[actix::test]
async fn a_follower_that_asks_anew_or_never_again_frees_the_file_of_its_snapshot() {
    let repository = repository_of(1_001).await;
    let mut answers = answers(&repository, 10_000).await;
    for nonce in ["first", "second", "third"] {
        answers.send(&wants_snapshot(nonce, 0, 1)).await;
        assert_eq!(next_parts(&mut answers, 1).await, [1], "{nonce}");
    }
    until("the files before are gone", Duration::from_secs(10), async || {
        // One handle reads and one writes.
        (open_spools(&repository) <= 2).then_some(())
    })
    .await;
    until("the last file is gone", Duration::from_mins(10), async || {
        tokio::time::pause();
        tokio::time::advance(CREDIT_DEADLINE).await;
        tokio::time::resume();
        (open_spools(&repository) == 0).then_some(())
    })
    .await;
    answers.send(&wants_snapshot("third", 1, 1)).await;
    answers.assert_nothing_more().await;
}

#[actix::test]
async fn a_follower_that_loads_a_snapshot_holds_up_no_other() {
    let repository = repository_of(1_001).await;
    let mut answers = answers(&repository, 10_000).await;
    answers.send(&wants_snapshot("slow", 0, 1)).await;
    assert_eq!(next_parts(&mut answers, 1).await, [1]);
    let from = SyncRequest { snapshot: false, credit: None, ..wants_snapshot("quick", 0, 0) };
    let quick = SyncRequest { reply_to: "another".into(), ..from };
    let spec = QueueSpec {
        name: "another".into(),
        lifetime: QueueLifetime::Transient,
        bindings: vec![],
        prefetch: 1,
    };
    let mut inbox = answers.bus.subscribe(spec).await.unwrap();
    answers.send(&quick).await;
    let answer = tokio::time::timeout(Duration::from_secs(10), inbox.next()).await;
    let answer = answers.codec.decode_control(&answer.unwrap().unwrap()).unwrap().input;
    assert!(matches!(answer, Input::Continue(_)), "{answer:?}");
    answers.send(&wants_snapshot("slow", 1, 1)).await;
    assert_eq!(next_parts(&mut answers, 1).await, [2]);
}

#[actix::test]
async fn a_question_that_cannot_be_decoded_does_not_stop_the_next() {
    let repository = TestRepository::start().await;
    let mut answers = answers(&repository, 100).await;
    let to = Destination::Queue(SYNC_REQUESTS_QUEUE.into());
    let message = Message { body: b"no JSON".as_slice().into(), ..Message::default() };
    answers.bus.publish(vec![Outgoing { to, message }]).await.unwrap();
    assert!(matches!(answers.ask(Cursor::default()).await, SyncAnswer::Continue(_)));
}

#[actix::test]
async fn after_pruning_who_stands_there_goes_on_and_who_is_further_back_gets_a_snapshot() {
    let repository = TestRepository::start().await;
    for name in ["anna", "bert", "carl", "dora"] {
        create_as(&repository, name).await;
    }
    let places = repository.records().await;
    repository.confirm(places[2].position).await;
    let retention = Retention { age_ms: 0, rows: 2 };
    ask(&repository.mailbox, Prune(retention)).await.unwrap().unwrap();
    assert_eq!(repository.metrics.writer.pruned_seq.get(), 2);
    assert!(repository.records().await.is_empty(), "the log does not begin at 1 any more");
    let at = |seq: usize| Cursor { position: places[seq - 1].position, ..Cursor::default() };
    let mut answers = answers(&repository, 100).await;
    let SyncAnswer::Continue(answer) = answers.ask(at(2)).await else { panic!("no records") };
    let records: Vec<LogRecord> = answer.records.into_iter().map(|sent| sent.record).collect();
    assert_eq!(records, places[2..], "dense from its first record on");
    for behind in [Cursor::default(), at(1)] {
        let SyncAnswer::Snapshot(part) = answers.ask(behind).await else { panic!("no snapshot") };
        let users =
            part.users.iter().map(|u| user_checksum(u.id, u.state.version, &u.state.username));
        let checksum = users.fold(UsersChecksum::default(), UsersChecksum::plus);
        assert_eq!(
            (part.as_of.position.seq, part.users.len(), part.checksum),
            (4, 4, Some(checksum))
        );
    }
    create_as(&repository, "emil").await;
    let SyncAnswer::Continue(answer) = answers.ask(at(4)).await else { panic!("no records") };
    assert_eq!((answer.records.len(), answer.records[0].record.position.seq), (1, 5));
}

#[actix::test]
async fn after_a_panic_questions_are_received_all_the_same() {
    let bus = TestBus::new(panics_once(
        |call| matches!(call, Call::Subscribe(queue) if queue.name == SYNC_REQUESTS_QUEUE),
    ));
    let repository = TestRepository::start().await;
    let mut answers = answers_over(bus, &repository, 100).await;
    assert!(matches!(answers.ask(Cursor::default()).await, SyncAnswer::Continue(_)));
    let failed = "receiving questions: panicked: as the test wants it";
    assert_eq!(repository.health.degraded(), [failed]);
}

#[actix::test]
async fn after_a_panic_followers_are_answered_all_the_same() {
    let bus = TestBus::new(panics_once(
        |call| matches!(call, Call::Publish(batch) if batch[0].message.kind == "sync.answer.v1"),
    ));
    let repository = TestRepository::start().await;
    let mut answers = answers_over(bus, &repository, 100).await;
    assert!(matches!(answers.ask(Cursor::default()).await, SyncAnswer::Continue(_)));
    let failed = "answering followers: panicked: as the test wants it";
    assert_eq!(repository.health.degraded(), [failed]);
}

#[actix::test]
async fn without_a_database_questions_stay_for_another_process_until_it_is_back() {
    let troubles = Troubles::default();
    let cut_off = TestRepository::with_store(|inside| {
        Arc::new(TroubledStore { inside, troubles: troubles.clone() })
    })
    .await;
    let bus: Arc<dyn Bus> = TestBus::new(|_| Trouble::No);
    let mut answers = answers_over(Arc::clone(&bus), &cut_off, 100).await;
    assert!(matches!(answers.ask(Cursor::default()).await, SyncAnswer::Continue(_)));

    // It has subscribed, and takes the question.
    troubles.is_away.store(true, Ordering::Relaxed);
    answers.send(&SyncRequest { snapshot: false, credit: None, ..wants_snapshot("n", 0, 0) }).await;
    let key = Arc::clone(&cut_off.key);
    let other = TestRepository { key, ..TestRepository::start().await };
    create_as(&other, "anna").await;
    let _other = responder(&other, &bus, 100);
    let Input::Continue(answer) = answers.next_input().await else { panic!("no records") };
    assert_eq!((answer.nonce.as_str(), answer.head_seq), ("n", 1), "by the other process");

    // They share the questions again.
    troubles.is_away.store(false, Ordering::Relaxed);
    until("both answer", Duration::from_secs(10), async || {
        let SyncAnswer::Continue(answer) = answers.ask(Cursor::default()).await else {
            panic!("no records")
        };
        (answer.head_seq == 0).then_some(())
    })
    .await;
}
