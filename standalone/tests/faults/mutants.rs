//! The checker is checked: what it must notice is done on purpose.

use crate::check::{Stored, compare};
use crate::history::{History, Outcome, User};

fn user(name: &str, version: i64) -> User {
    User { username: name.to_owned(), version, password_version: 1 }
}

/// Two users, in agreement, with a history that asked for them.
fn sound() -> (History, Stored) {
    let users = [(1, user("ada", 1)), (2, user("bea", 3))].into();
    let history = History::on(&users);
    let head = (4, "aa".repeat(16));
    let stored = Stored {
        projection: users.clone(),
        users,
        cursor: head.clone(),
        head,
        log_gaps: 0,
        created_twice: vec![],
    };
    (history, stored)
}

#[test]
fn the_checker_is_content_with_what_was_asked_for() {
    let (mut history, mut stored) = sound();
    let uncertain = Some(Some(user("bea", 3).renamed("cleo")));
    history.outcomes.insert(2, Outcome { acknowledged: Some(user("bea", 3)), uncertain });
    history.uncertain_creations.push("dora".to_owned());
    assert!(compare(&history, &stored).is_clean(), "without the uncertain");
    for users in [&mut stored.users, &mut stored.projection] {
        users.insert(2, user("cleo", 4));
        users.insert(3, user("dora", 1));
    }
    assert!(compare(&history, &stored).is_clean(), "with the uncertain");
}

#[test]
fn the_checker_notices_what_is_lost() {
    let (history, mut stored) = sound();
    stored.projection.remove(&1);
    let report = compare(&history, &stored);
    assert_eq!((report.lost.len(), report.disagreements.len()), (1, 1), "{report:?}");
    stored.users.remove(&1);
    assert_eq!(compare(&history, &stored).lost.len(), 2, "both agree, and are wrong");
    let (mut history, stored) = sound();
    history.outcomes.insert(1, Outcome::certain(None));
    assert_eq!(compare(&history, &stored).lost.len(), 2, "a deletion");
    history.outcomes.insert(1, Outcome::certain(Some(user("ada", 1).renamed("eve"))));
    assert_eq!(compare(&history, &stored).lost.len(), 2, "a change of name");
}

#[test]
fn the_checker_notices_what_is_there_twice() {
    let (history, mut stored) = sound();
    stored.projection.insert(2, user("bea", 4));
    assert_eq!(compare(&history, &stored).doubled.len(), 1, "a change that was applied again");
    let (history, mut stored) = sound();
    stored.created_twice.push("ada".to_owned());
    assert_eq!(compare(&history, &stored).doubled.len(), 1);
}

#[test]
fn the_checker_notices_what_nobody_asked_for() {
    let (mut history, mut stored) = sound();
    stored.users.insert(7, user("mallory", 1));
    stored.projection.insert(1, user("mallory", 1));
    assert_eq!(compare(&history, &stored).invented.len(), 2);
    history.uncertain_creations.push("mallory".to_owned());
    assert_eq!(compare(&history, &stored).invented.len(), 1, "the other is user 1");
}

#[test]
fn the_checker_notices_gaps_in_the_log_and_a_cursor_that_is_elsewhere() {
    let (history, mut stored) = sound();
    stored.log_gaps = 1;
    stored.cursor.1 = "bb".repeat(16);
    assert_eq!(compare(&history, &stored).disagreements.len(), 2);
}
