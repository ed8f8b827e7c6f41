//! The follower, one situation at a time. `sync_model` looks at all of them together.
#![expect(clippy::panic, reason = "a panic here is a failed test")]

use contract::{
    Credit, Cursor, EventKind, Head, Incarnation, Position, RecordHash, SnapshotPart, SyncRequest,
    UserChange, UserId,
};
use shared::log_sync::{
    AskReason, Effect, Follower, Input, NextChange, ReceivedContinue, ReceivedRecord, record_hash,
};

const NOW: Incarnation = Incarnation([1; 16]);
const BEFORE: Incarnation = Incarnation([2; 16]);

/// A log of that many records.
fn log(length: i64) -> Vec<ReceivedRecord> {
    let mut end = Position::default();
    let mut record = |seq| {
        let hash = record_hash(end.hash, seq, &EventKind::UPDATED, 0, "a change");
        let (position, prev_hash) = (Position { seq, hash }, end.hash);
        end = position;
        let change = UserChange { id: UserId(seq), user: None, written_by: None };
        let (data, traceparent) = (Some(change.into()), None);
        ReceivedRecord { position, prev_hash, data, sealed_hash: None, traceparent }
    };
    (1..=length).map(&mut record).collect()
}

/// What the record does.
fn change(seq: usize) -> NextChange {
    let ReceivedRecord { position, prev_hash, data, sealed_hash, traceparent } = record(seq);
    let Some(data) = data else { panic!("the record can be read") };
    NextChange { position, prev_hash, data, sealed_hash, traceparent }
}

/// A follower that has applied the first record.
fn follower() -> Follower {
    let [first] = log(1).try_into().unwrap_or_else(|_| panic!("one record"));
    let cursor = Cursor { incarnation: NOW, position: first.position };
    Follower::new(cursor, "session".into(), "queue".into())
}

fn record(seq: usize) -> ReceivedRecord {
    log(9).swap_remove(seq - 1)
}

fn asked(effects: &[Effect]) -> Option<(&SyncRequest, AskReason)> {
    effects.iter().find_map(|effect| match effect {
        Effect::Ask(request, reason) => Some((request, *reason)),
        _ => None,
    })
}

/// The answer to what the follower has just asked.
fn answer(effects: &[Effect], records: Vec<ReceivedRecord>, head_seq: i64) -> Input {
    let Some((SyncRequest { nonce, cursor, .. }, _)) = asked(effects) else {
        panic!("nothing was asked: {effects:?}");
    };
    let (nonce, at) = (nonce.clone(), *cursor);
    Input::Continue(ReceivedContinue { nonce, at, incarnation: NOW, records, head_seq })
}

fn head(seq: usize) -> Input {
    let position = record(seq).position;
    Input::Head(Head { incarnation: NOW, position, checksum: None, log: None })
}

#[test]
fn the_next_record_is_applied_and_a_duplicate_is_not() {
    let mut follower = follower();
    let effects = follower.step(Input::Record(NOW, record(2)));
    assert_eq!(effects, [Effect::Apply(vec![change(2)], follower.cursor())]);
    assert_eq!(follower.cursor().position.seq, 2);
    assert_eq!(follower.step(Input::Record(NOW, record(2))), []);
}

#[test]
fn a_gap_is_asked_about_once_and_what_lies_beyond_it_is_kept() {
    let mut follower = follower();
    let effects = follower.step(Input::Record(NOW, record(3)));
    assert_eq!(asked(&effects).map(|(_, reason)| reason), Some(AskReason::Gap));
    assert_eq!(follower.step(Input::Record(NOW, record(4))), []);
    follower.step(answer(&effects, vec![record(2)], 2));
    assert_eq!(follower.cursor().position.seq, 4);
}

#[test]
fn a_record_from_beyond_the_end_of_the_log_is_asked_about_once() {
    let mut follower = follower();
    let effects = follower.step(Input::Record(NOW, record(7)));
    let after = follower.step(answer(&effects, vec![], 1));
    assert_eq!(asked(&after), None, "asking again would go on without end");
    follower.step(Input::Record(NOW, record(2)));
    assert_eq!(follower.cursor().position.seq, 2);
}

#[test]
fn a_head_that_lies_further_on_is_asked_about_when_nothing_came_since_the_one_before() {
    let mut follower = follower();
    assert_eq!(follower.step(head(3)), []);
    follower.step(Input::Record(NOW, record(2)));
    assert_eq!(follower.step(head(3)), []);
    let effects = follower.step(head(3));
    assert_eq!(asked(&effects).map(|(_, reason)| reason), Some(AskReason::LostTail));
}

#[test]
fn old_heads_that_are_sent_again_neither_hide_a_lost_tail_nor_make_a_follower_ask() {
    let mut follower = follower();
    let effects = follower.step(Input::Record(BEFORE, record(2)));
    follower.step(answer(&effects, vec![], 1));
    let of_before = |seq| match head(seq) {
        Input::Head(head) => Input::Head(Head { incarnation: BEFORE, ..head }),
        other => other,
    };
    assert_eq!(follower.step(of_before(7)), [], "known to be over");
    assert_eq!(follower.step(head(3)), []);
    assert_eq!(follower.step(head(1)), [], "an old one");
    assert_eq!(follower.step(of_before(7)), []);
    let effects = follower.step(head(3));
    assert_eq!(asked(&effects).map(|(_, reason)| reason), Some(AskReason::LostTail));
}

#[test]
fn another_incarnation_is_asked_about_before_anything_of_it_is_applied() {
    let mut follower = follower();
    let effects = follower.step(Input::Record(BEFORE, record(2)));
    assert_eq!(asked(&effects).map(|(_, reason)| reason), Some(AskReason::Incarnation));
    follower.step(answer(&effects, vec![], 1));
    assert_eq!(follower.cursor().position.seq, 1);
    assert_eq!(follower.step(Input::Record(BEFORE, record(3))), [], "known to be over");
}

#[test]
fn a_record_of_another_history_is_not_applied() {
    let mut follower = follower();
    let mut changed = record(2);
    changed.prev_hash = RecordHash([9; 16]);
    let effects = follower.step(Input::Record(NOW, changed));
    assert_eq!(asked(&effects).map(|(_, reason)| reason), Some(AskReason::RecordHash));
    follower.step(answer(&effects, vec![record(2)], 2));
    assert_eq!(follower.cursor().position.seq, 2);
}

#[test]
fn an_answer_for_another_place_is_not_applied() {
    let mut follower = follower();
    let effects = follower.step(Input::Connected);
    let late = answer(&effects, vec![record(2)], 2);
    follower.step(Input::Record(NOW, record(2)));
    assert_eq!(follower.step(late), []);
    assert_eq!(follower.cursor().position.seq, 2);
}

#[test]
fn a_question_is_repeated_when_no_answer_comes() {
    let mut follower = follower();
    follower.step(Input::Connected);
    assert_eq!(follower.step(Input::Waited), [], "it was only just asked");
    let effects = follower.step(Input::Waited);
    assert_eq!(asked(&effects).map(|(_, reason)| reason), Some(AskReason::Unanswered));
}

/// All users as of a record, as the answer to what the follower has just asked.
fn snapshot(effects: &[Effect], seq: usize) -> Input {
    part(effects, seq, 1, 1, None)
}

/// One part of it.
fn part(effects: &[Effect], seq: usize, part: u32, parts: u32, sent_through: Option<u32>) -> Input {
    let Some((SyncRequest { nonce, .. }, _)) = asked(effects) else {
        panic!("nothing was asked: {effects:?}");
    };
    let as_of = Cursor { incarnation: NOW, position: record(seq).position };
    let (nonce, users) = (nonce.clone(), vec![]);
    let checksum = None;
    Input::SnapshotPart(SnapshotPart { nonce, as_of, part, parts, sent_through, users, checksum })
}

#[test]
fn the_next_parts_of_a_snapshot_are_asked_for_when_those_that_may_be_sent_are_there() {
    let mut follower = follower();
    let asking = follower.step(Input::Connected);
    let credit = |effects: &[Effect]| asked(effects).and_then(|(request, _)| request.credit);
    assert_eq!(credit(&asking), Some(Credit { after: 0, parts: 16 }));
    assert_eq!(credit(&follower.step(part(&asking, 3, 1, 5, Some(2)))), None);
    let more = follower.step(part(&asking, 3, 2, 5, Some(2)));
    assert_eq!(credit(&more), Some(Credit { after: 2, parts: 16 }));
    let nonce = |effects: &[Effect]| asked(effects).map(|(request, _)| request.nonce.clone());
    assert_eq!(nonce(&more), nonce(&asking), "the same question");
    // From a responder that knows no credit, all parts come.
    assert_eq!(credit(&follower.step(part(&asking, 3, 3, 5, None))), None);
    follower.step(part(&asking, 3, 4, 5, None));
    let effects = follower.step(part(&asking, 3, 5, 5, Some(5)));
    assert_eq!((credit(&effects), follower.cursor().position.seq), (None, 3), "it is swapped in");
}

#[test]
fn a_follower_asks_when_it_is_due_unless_it_has_asked() {
    let mut follower = follower();
    let effects = follower.step(Input::Due);
    assert_eq!(asked(&effects).map(|(_, reason)| reason), Some(AskReason::Due));
    assert_eq!(follower.step(Input::Due), []);
    follower.step(answer(&effects, vec![], 1));
    assert!(asked(&follower.step(Input::Due)).is_some());
}

#[test]
fn records_wait_while_a_snapshot_is_wanted_so_that_it_comes_in_under_load_too() {
    let mut follower = follower();
    let effects = follower.step(Input::SnapshotNeeded(AskReason::Unappliable));
    for seq in 2..=4 {
        assert_eq!(follower.step(Input::Record(NOW, record(seq))), []);
    }
    let effects = follower.step(snapshot(&effects, 3));
    assert!(
        matches!(effects[1], Effect::SwapIn(Cursor { position: Position { seq: 3, .. }, .. })),
        "{effects:?}"
    );
    assert_eq!(effects[2], Effect::Apply(vec![change(4)], follower.cursor()));
}

#[test]
fn whoever_wants_a_snapshot_still_wants_it_when_no_answer_comes() {
    let mut follower = follower();
    let wants = |effects: &[Effect]| asked(effects).is_some_and(|(request, _)| request.snapshot);
    assert!(wants(&follower.step(Input::SnapshotNeeded(AskReason::Unappliable))));
    follower.step(Input::Waited);
    assert!(wants(&follower.step(Input::Waited)));
    let effects = follower.step(Input::Connected);
    assert!(wants(&effects));
    follower.step(snapshot(&effects, 3));
    assert!(!wants(&follower.step(Input::Connected)), "it has come");
}

#[test]
fn more_records_beyond_a_gap_than_can_be_held_are_asked_for_later() {
    let mut follower = follower();
    let log = log(10_100);
    let effects = follower.step(Input::Record(NOW, log[2].clone()));
    for record in &log[3..] {
        follower.step(Input::Record(NOW, record.clone()));
    }
    let [second, last] = [&log[1], &log[10_099]];
    let after = follower.step(answer(&effects, vec![second.clone()], second.position.seq));
    let reached = follower.cursor().position.seq;
    assert!(reached < last.position.seq && asked(&after).is_none(), "{reached}");
    let effects = follower.step(Input::Record(NOW, last.clone()));
    assert_eq!(asked(&effects).map(|(_, reason)| reason), Some(AskReason::Gap));
    let missing = log[usize::try_from(reached).unwrap_or_default()..].to_vec();
    follower.step(answer(&effects, missing, last.position.seq));
    assert_eq!(follower.cursor().position.seq, last.position.seq);
}

#[test]
fn a_record_that_cannot_be_read_is_gone_past_by_a_snapshot_wherever_it_comes() {
    let unreadable = |seq| ReceivedRecord { data: None, ..record(seq) };
    let reason = |effects: &[Effect]| asked(effects).map(|(r, reason)| (r.snapshot, reason));
    let wanted = Some((true, AskReason::Unappliable));
    let mut live = follower();
    assert_eq!(reason(&live.step(Input::Record(NOW, unreadable(2)))), wanted);
    assert_eq!(live.step(Input::Record(NOW, unreadable(2))), [], "it is asked for once");

    let mut asking = follower();
    let effects = asking.step(Input::Connected);
    let after = asking.step(answer(&effects, vec![record(2), unreadable(3), record(4)], 4));
    assert_eq!((asking.cursor().position.seq, reason(&after)), (2, wanted));
    let effects = asking.step(snapshot(&after, 4));
    assert_eq!((asking.cursor().position.seq, reason(&effects)), (4, None));
    let old = asking.step(Input::Record(NOW, unreadable(3)));
    assert_eq!(old, [], "it is behind");
}
