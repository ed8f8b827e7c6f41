use std::sync::Arc;

use contract::event::header;
use contract::topology::{
    DEAD_LETTER_REASON, DEAD_LETTER_ROUTING_KEY, DEAD_LETTERS_MAX, DEAD_LETTERS_QUEUE,
};
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use shared::bus::{
    Bus, BusError, BusStatus, Message, Outgoing, QueueLifetime, QueueSpec, Subscription,
};
use std::sync::atomic::{AtomicBool, Ordering};
use testkit::wait::{until, within};

use crate::test_app::{BOUND, TestApp};
use crate::user_service::ODD;

/// The next dead letter, and nothing of it acknowledged.
async fn dead_letter(bus: &dyn Bus) -> Message {
    let lifetime = QueueLifetime::Archive { capacity: DEAD_LETTERS_MAX };
    let name = DEAD_LETTERS_QUEUE.to_owned();
    let queue = QueueSpec { name, lifetime, bindings: vec![], prefetch: 1 };
    let mut letters = bus.subscribe(queue).await.unwrap();
    within("a dead letter", BOUND, letters.next()).await.unwrap().message
}

#[actix_web::test]
async fn an_event_that_cannot_be_decoded_is_kept_aside_and_asked_for_again() {
    let app = TestApp::start().await;
    app.until_events_arrive().await;
    app.users.create("garbled", "testpassword");
    let mut event = app.users.event_message(2);
    event.headers.insert(header::SEQUENCE.to_owned(), "one".to_owned());
    app.users.publish_raw(event.clone()).await;
    app.users.create("testuser", "testpassword");
    app.bring().await;
    // Nobody had to declare the queue beforehand.
    let letter = dead_letter(&app.bus).await;
    assert!(letter.headers[DEAD_LETTER_REASON].contains("altered"), "{letter:?}");
    assert_eq!(letter.headers[DEAD_LETTER_ROUTING_KEY], "user.created");
    assert_eq!((&letter.id, &letter.body), (&event.id, &event.body));
    assert!(event.headers.iter().all(|(name, value)| letter.headers.get(name) == Some(value)));
    assert_eq!(app.checksum().await, app.users.checksum());
    assert_eq!(app.metric("lockstep_dead_letters_total").await, 1);
    assert_eq!(
        app.metric("lockstep_projection_snapshots_total").await,
        0,
        "the gap's answer was enough"
    );
    assert_eq!(app.login("garbled", "testpassword").await.status, 200);
    app.stop().await;
}

#[actix_web::test]
async fn an_event_that_cannot_be_applied_is_kept_aside_and_a_snapshot_goes_past_it() {
    let app = TestApp::start().await;
    app.users.create("before", "testpassword");
    app.users.write_nonsense();
    app.users.create("after", "testpassword");
    app.users.publish(1..=3).await;
    app.until_applied().await;
    let letter = dead_letter(&app.bus).await;
    assert!(letter.headers[DEAD_LETTER_REASON].contains("cannot be read"), "{letter:?}");
    assert_eq!(letter.headers[DEAD_LETTER_ROUTING_KEY], "user.created");
    assert_eq!(letter.headers[header::SEQUENCE], "2");
    assert_eq!(letter.body.as_ref(), br#"{"id":"x"}"#);
    assert!(app.metric("lockstep_dead_letters_total").await >= 1);
    assert_eq!(app.checksum().await, app.users.checksum());
    // The others go on as events, one by one.
    let snapshots = app.metric("lockstep_projection_snapshots_total").await;
    assert!(snapshots >= 1);
    app.users.create("later", "testpassword");
    app.bring().await;
    assert_eq!(app.metric("lockstep_projection_snapshots_total").await, snapshots);
    assert_eq!(app.checksum().await, app.users.checksum());
    for name in ["before", "after", "later"] {
        assert_eq!(app.login(name, "testpassword").await.status, 200, "{name}");
    }
    app.stop().await;
}

#[actix_web::test]
async fn a_user_of_a_snapshot_who_cannot_be_read_costs_the_others_nothing_and_is_not_asked_for_again()
 {
    let app = TestApp::start().await;
    for name in ["before", ODD, "after"] {
        app.users.create(name, "testpassword");
    }
    app.users.set_replay_limit(0);
    app.users.publish_last().await;
    until("the snapshot is loaded", BOUND, async || {
        (app.metric("lockstep_projection_snapshots_total").await == 1).then_some(())
    })
    .await;
    app.users.set_replay_limit(1000);
    let letter = dead_letter(&app.bus).await;
    assert_eq!((letter.id.as_str(), letter.kind.as_str()), ("user-2", "snapshot.user"));
    assert!(letter.headers[DEAD_LETTER_REASON].contains("expected form"), "{letter:?}");
    // The heads tell of a user who is not here, at ever new places.
    for name in ["later", "last"] {
        app.users.create(name, "testpassword");
        app.bring().await;
        app.users.publish_head().await;
    }
    for name in ["before", "after", "later", "last"] {
        assert_eq!(app.login(name, "testpassword").await.status, 200, "{name}");
    }
    assert_eq!(app.login(ODD, "testpassword").await.status, 401);
    assert_eq!(app.metric("lockstep_users_checksum_mismatches_total").await, 0);
    assert_eq!(app.metric("lockstep_projection_snapshots_total").await, 1);
    // A change makes a user of them, and a snapshot finds that all are here.
    app.users.rename(2, "usual");
    app.bring().await;
    assert_eq!(app.login("usual", "testpassword").await.status, 200);
    until("both have the same users", BOUND, async || {
        app.users.publish_head().await;
        let snapshots = app.metric("lockstep_projection_snapshots_total").await;
        (snapshots == 2 && app.checksum().await == app.users.checksum()).then_some(())
    })
    .await;
    app.stop().await;
}

#[actix_web::test]
async fn a_name_that_this_version_would_not_take_is_followed_all_the_same() {
    let app = TestApp::start().await;
    app.users.create("a b", "testpassword");
    app.users.create("testuser", "testpassword");
    app.users.publish(1..=2).await;
    app.until_applied().await;
    assert_eq!(app.checksum().await, app.users.checksum());
    assert_eq!(app.metric("lockstep_dead_letters_total").await, 0);
    assert_eq!(app.login("testuser", "testpassword").await.status, 200);
    app.stop().await;
}

#[actix_web::test]
async fn a_flood_of_messages_of_no_use_holds_up_no_event_and_each_is_counted() {
    const FLOOD: i64 = 5_000;
    let app = TestApp::start().await;
    app.until_events_arrive().await;
    for number in 0..FLOOD {
        let id = number.to_string();
        app.users.publish_raw(Message { id, body: "x".into(), ..Message::default() }).await;
    }
    app.users.create("testuser", "testpassword");
    app.bring().await;
    // The answer to a question may bring the user before the flood has passed.
    until("the whole flood is counted", BOUND, async || {
        (app.metric("lockstep_dead_letters_total").await == FLOOD).then_some(())
    })
    .await;
    assert_eq!(app.login("testuser", "testpassword").await.status, 200);
    app.stop().await;
}

/// A bus that takes no dead letters, until it is told otherwise.
struct NoLetters {
    inside: shared::bus::InProcessBus,
    takes_letters: Arc<AtomicBool>,
}

impl Bus for NoLetters {
    fn publish(&self, batch: Vec<Outgoing>) -> BoxFuture<'_, Result<(), BusError>> {
        self.inside.publish(batch)
    }

    fn publish_mandatory(&self, outgoing: Outgoing) -> BoxFuture<'_, Result<bool, BusError>> {
        self.inside.publish_mandatory(outgoing)
    }

    fn subscribe(&self, queue: QueueSpec) -> BoxFuture<'_, Result<Subscription, BusError>> {
        self.inside.subscribe(queue)
    }

    fn declare(&self, queue: QueueSpec) -> BoxFuture<'_, Result<(), BusError>> {
        if self.takes_letters.load(Ordering::Relaxed) {
            return self.inside.declare(queue);
        }
        Box::pin(async { Err(BusError::Refused("not now".to_owned().into())) })
    }

    fn status(&self) -> BusStatus {
        BusStatus::Connected
    }
}

#[actix_web::test]
async fn dead_letters_that_the_bus_does_not_take_hold_up_nothing_and_are_sent_later() {
    let app = TestApp::start().await;
    let takes_letters = Arc::new(AtomicBool::new(false));
    let inside = app.bus.clone();
    let bus = NoLetters { inside, takes_letters: Arc::clone(&takes_letters) };
    let app = app.restart_on(Arc::new(bus), |_| {}).await;
    app.until_events_arrive().await;
    app.users.publish_raw(Message { id: "m".into(), body: "x".into(), ..Message::default() }).await;
    app.users.create("testuser", "testpassword");
    until("the event is applied", BOUND, async || {
        app.users.publish_last().await;
        (app.metric("lockstep_projection_seq").await == 2).then_some(())
    })
    .await;
    assert_eq!(app.metric("lockstep_dead_letters_total").await, 1);
    takes_letters.store(true, Ordering::Relaxed);
    assert_eq!(dead_letter(&app.bus).await.id, "m");
    app.stop().await;
}
