//! What the positions of a user's records must guarantee: they name one state of one user in one
//! history of the log.

use contract::Position;

use super::*;

pub(in crate::store) async fn a_user_keeps_the_record_of_the_last_change_and_of_the_password(
    engine: &impl Engine,
) {
    let mut db = Db::open(engine).await;
    let Written { user: anna, position: created } = db.one(create("anna")).await.unwrap();
    assert_eq!((anna.changed, anna.stamp, db.head.position), (created, created, created));
    let renamed = db.one(rename(anna.id, "bert")).await.unwrap();
    assert_eq!((renamed.user.changed, renamed.user.stamp), (db.head.position, created));
    let rehashed = db.one(replace_hash(anna.id, created)).await.unwrap();
    assert_eq!(rehashed.position, db.head.position);
    assert_eq!(rehashed.user, renamed.user, "another form of the same password is no change");
    let set = db.one(new_password(anna.id, 1)).await.unwrap();
    assert_eq!((set.user.changed, set.user.stamp), (db.head.position, db.head.position));
    let stamps: Vec<Option<Position>> =
        db.records().await.iter().map(|record| state_of(record).user.unwrap().stamp).collect();
    assert_eq!(stamps, [None, Some(created), Some(created), None], "a setting record is the stamp");
    let db = db.reopen(engine).await;
    assert_eq!(db.reader.find_user(anna.id).await.unwrap(), Some(set.user.clone()));
    let mut snapshot = db.log.snapshot().await.unwrap();
    let listed = snapshot.list_credentials(0, 1).await.unwrap().remove(0).user;
    assert_eq!(listed.state().stamp, Some(set.user.stamp));
}

/// A login has rehashed the password that this record set.
fn replace_hash(id: UserId, stamp: Position) -> Change {
    let (stamp, password_hash) = (Some(stamp), hash("again"));
    Change::ReplaceHash(ReplaceHash {
        id,
        password_version: 1,
        stamp,
        replaces: None,
        password_hash,
    })
}

/// The same changes at the same time, before and after the database was put back.
pub(in crate::store) async fn two_histories_of_a_log_share_no_position_and_no_tag(
    engine: &impl Engine,
) {
    let mut db = Db::open(engine).await;
    db.create("anna").await;
    db.close().await;
    engine.keep_copy();
    let mut db = Db::open(engine).await;
    let lost = db.one(create("bert")).await.unwrap();
    db.close().await;
    engine.put_copy_back();
    let mut db = Db::open(engine).await;
    let new = db.one(create("bert")).await.unwrap();
    assert!(new.user.id > lost.user.id, "the id is not given again");
    assert_ne!(new.position, lost.position);
    assert_ne!((new.user.tag(), new.user.stamp), (lost.user.tag(), lost.user.stamp));
    let tag = Tag { opaque: lost.user.tag(), is_weak: false };
    let precondition = Precondition::IfMatch(Tags::List(vec![tag]));
    let delete = DeleteUser { id: new.user.id, precondition, traceparent: None };
    let outcome = db.one(Change::Delete(delete)).await;
    assert!(matches!(outcome, Err(ChangeError::PreconditionFailed)), "{outcome:?}");
    let outcome = db.one(replace_hash(new.user.id, lost.user.stamp)).await;
    assert!(matches!(outcome, Err(ChangeError::PasswordChanged)), "of the lost user's password");
}

pub(in crate::store) async fn the_end_of_all_sessions_changes_the_stamp_and_nothing_that_is_shown(
    engine: &impl Engine,
) {
    let mut db = Db::open(engine).await;
    let anna = db.create("anna").await;
    let end = |id, stamp| Change::EndSessions(EndSessions { id, stamp, traceparent: None });
    let ended = db.one(end(anna.id, Some(anna.stamp))).await.unwrap();
    assert_eq!(ended.user.stamp, ended.position);
    assert_eq!((ended.user.tag(), ended.user.version), (anna.tag(), anna.version));
    assert_eq!(db.reader.find_user(anna.id).await.unwrap(), Some(ended.user.clone()));
    let last = db.records().await.pop().unwrap();
    assert_eq!(
        (&last.record.kind, last.record.position),
        (&EventKind::SESSIONS_ENDED, ended.position)
    );
    assert_eq!(state_of(&last), ended.user.left_with_new_stamp());
    assert!(last.password.is_some(), "followers get the hash, under the new version");
    // Sessions that were begun since go on.
    let again = db.one(end(anna.id, Some(anna.stamp))).await.unwrap();
    assert_eq!((again.user, again.position), (ended.user.clone(), ended.position));
    let whatever_it_is = db.one(end(anna.id, None)).await.unwrap();
    assert_eq!(whatever_it_is.user.stamp, whatever_it_is.position);
    assert_ne!(whatever_it_is.user.stamp, ended.user.stamp);
    let nobody = db.one(end(UserId(9), None)).await;
    assert!(matches!(nobody, Err(ChangeError::NoSuchUser)), "{nobody:?}");
}

pub(in crate::store) async fn a_role_is_kept_in_the_log_and_a_new_one_ends_all_sessions(
    engine: &impl Engine,
) {
    let mut db = Db::open(engine).await;
    let (anna, bert) = (db.create("anna").await, db.create("bert").await);
    let set = |id, is_admin| Change::SetRole(SetRole { id, is_admin });
    let unchanged = db.one(set(anna.id, false)).await.unwrap();
    assert_eq!((unchanged.user, unchanged.position), (anna.clone(), bert.changed));

    let made = db.one(set(anna.id, true)).await.unwrap();
    let expected = User {
        is_admin: true,
        password_version: anna.password_version + 1,
        stamp: made.position,
        ..anna.clone()
    };
    assert_eq!(made.user, expected, "the version and the ETag stay");
    let last = db.records().await.pop().unwrap();
    assert_eq!(
        (&last.record.kind, last.record.position),
        (&EventKind::ROLE_CHANGED, made.position)
    );
    assert_eq!(state_of(&last), made.user.left_with_new_stamp());
    assert!(last.password.is_some(), "followers get the hash, under the new version");
    let again = db.one(set(anna.id, true)).await.unwrap();
    assert_eq!((again.user, again.position), (made.user.clone(), made.position));

    // Whatever else changes, the role stays, and every record tells it.
    let renamed = db.one(Change::Update(update(anna.id, Some("anne"), None))).await.unwrap().user;
    assert!(renamed.is_admin);
    assert!(state_of(&db.records().await.pop().unwrap()).user.unwrap().is_admin);
    assert_eq!(db.reader.list_admins().await.unwrap(), [renamed]);
    assert_eq!(db.reader.find_user(bert.id).await.unwrap(), Some(bert));

    let removed = db.one(set(anna.id, false)).await.unwrap();
    assert_eq!((removed.user.is_admin, removed.user.stamp), (false, removed.position));
    assert_eq!(db.reader.list_admins().await.unwrap(), []);
    let nobody = db.one(set(UserId(9), true)).await;
    assert!(matches!(nobody, Err(ChangeError::NoSuchUser)), "{nobody:?}");
}

pub(in crate::store) async fn a_password_is_set_for_the_stamp_of_a_reset_or_by_an_administrator(
    engine: &impl Engine,
) {
    let mut db = Db::open(engine).await;
    let anna = db.create("anna").await;
    let set = |permit| {
        let password = Some(NewPassword { hash: hash("second"), permit });
        Change::Update(UpdateUser { password, ..update(anna.id, None, None) })
    };
    let reset = PasswordPermit::ResetOf(anna.stamp);
    let outcomes =
        db.commit(vec![set(reset), set(reset), set(PasswordPermit::Administrator)]).await;
    let [Ok(first), Err(ChangeError::PasswordChanged), Ok(last)] = &outcomes[..] else {
        panic!("{outcomes:?}")
    };
    assert_eq!((first.user.stamp, last.user.stamp), (first.position, last.position));
}
