//! The checker is checked: what it must notice is done on purpose.

use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::Connection;

use crate::chaos::alone;
use crate::check::{PATIENCE, Stored, UNHURRIED_BOUND, check, compare, read};
use crate::driver::Load;
use crate::history::{History, Outcome, User, Users};
use crate::rig::{Rig, Side};

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
    assert!(compare(&history, &stored).is_clean(UNHURRIED_BOUND), "without the uncertain");
    for users in [&mut stored.users, &mut stored.projection] {
        users.insert(2, user("cleo", 4));
        users.insert(3, user("dora", 1));
    }
    assert!(compare(&history, &stored).is_clean(UNHURRIED_BOUND), "with the uncertain");
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

/// Runs the statement on the database, whose service must not run.
fn harm(database: &Path, sql: &str) {
    assert!(Connection::open(database).unwrap().execute(sql, []).unwrap() > 0, "{sql}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_checker_notices_what_is_taken_out_of_real_databases() {
    let _alone = alone();
    let mut rig = Rig::in_one_process();
    let load = Load::start(&[rig.address(Side::User)], &Users::new(), 7, "m".to_owned());
    tokio::time::sleep(Duration::from_secs(2)).await;
    let history = load.stop();
    let (users, projection) = (rig.database(Side::User), rig.database(Side::Auth));
    let (report, _) = check(&users, &projection, &history, Instant::now(), PATIENCE).await;
    assert!(report.is_clean(UNHURRIED_BOUND) && report.acknowledged > 50, "{report} {report:?}");
    rig.kill(Side::User);

    let youngest = "(SELECT max(user_id) FROM credentials)";
    harm(&projection, &format!("DELETE FROM credentials WHERE user_id = {youngest}"));
    let report = compare(&history, &read(&users, &projection).unwrap());
    assert_eq!((report.lost.len(), report.disagreements.len()), (1, 1), "{report:?}");

    // Now both agree, as if its event had never been: only the history knows better.
    harm(&users, "DELETE FROM users WHERE id = (SELECT max(id) FROM users)");
    let first = "SELECT min(seq) + 1 FROM user_log";
    harm(&users, &format!("DELETE FROM user_log WHERE seq = ({first})"));
    let report = compare(&history, &read(&users, &projection).unwrap());
    assert_eq!((report.lost.len(), report.disagreements.len()), (2, 1), "{report:?}");
}
