//! What an engine does when its log went back, by what it finds or by what a follower tells.

use contract::{Cursor, Incarnation, LogRewound, Position, RecordHash};

use super::*;
use crate::store::FollowerPlace;

/// So many ids are left out at least.
const LEFT_OUT: i64 = 1_000_000;

fn kinds(records: &[StoredRecord]) -> Vec<&str> {
    records.iter().map(|stored| stored.record.kind.as_str()).collect()
}

fn place(run: u8, seq: i64, highest_id: Option<i64>) -> FollowerPlace {
    let position = Position { seq, hash: RecordHash([run; 16]) };
    let cursor = Cursor { incarnation: Incarnation([run; 16]), position };
    FollowerPlace { cursor, highest_id: highest_id.map(UserId) }
}

async fn hear(db: &mut Db, place: FollowerPlace) {
    db.head = db.writer.hear_follower(place, NOW_MS).await.unwrap();
    assert_eq!(db.log.find_head().await.unwrap(), db.head);
}

pub(in crate::store) async fn a_log_that_was_put_back_says_so_first_and_gives_no_id_again(
    engine: &impl Engine,
) {
    let mut db = Db::open(engine).await;
    let anna = db.create("anna").await;
    db.close().await;
    engine.keep_copy();
    let mut db = Db::open(engine).await;
    let lost = db.create("bert").await;
    db.close().await;
    engine.put_copy_back();
    let mut db = Db::open(engine).await;
    let records = db.records().await;
    assert_eq!(kinds(&records), ["user.created.v1", "log.rewound.v1"]);
    let rewound: LogRewound = serde_json::from_str(&records[1].record.data).unwrap();
    assert_eq!(rewound.written_by, Some(db.head.incarnation));
    assert!(rewound.ids_through >= lost.id.0 + LEFT_OUT, "{rewound:?}");
    let found = db.reader.find_user(anna.id).await.unwrap().unwrap();
    assert_eq!((found.stamp, found.changed), (db.head.position, anna.changed));
    assert!(db.create("carl").await.id.0 > rewound.ids_through);
    let renamed = db.one(rename(anna.id, "dora")).await.unwrap();
    assert_eq!(renamed.user.stamp, records[1].record.position, "a rename leaves it");
    let db = db.reopen(engine).await;
    let count = db.records().await.len();
    assert_eq!(count, 4, "the next start finds nothing new");
}

pub(in crate::store) async fn a_follower_that_has_been_further_shows_once_that_the_log_went_back(
    engine: &impl Engine,
) {
    let mut db = Db::open(engine).await;
    let anna = db.create("anna").await;
    hear(&mut db, place(7, 9, Some(77))).await;
    assert_eq!(kinds(&db.records().await), ["user.created.v1", "log.rewound.v1"]);
    let stamp = db.reader.find_user(anna.id).await.unwrap().unwrap().stamp;
    assert_eq!(stamp, db.head.position);
    assert!(db.create("bert").await.id.0 > 77 + LEFT_OUT);
    // Others were further, in the same run or in an earlier one.
    hear(&mut db, place(7, 12, Some(77))).await;
    hear(&mut db, place(6, 12, Some(77))).await;
    let mut db = db.reopen(engine).await;
    hear(&mut db, place(7, 11, Some(77))).await;
    hear(&mut db, place(6, 11, Some(77))).await;
    assert_eq!(db.records().await.len(), 3, "they only need a snapshot");
    // A run that nobody has told of: the log went back again.
    hear(&mut db, place(8, 11, None)).await;
    assert_eq!(db.records().await.len(), 4);
}

pub(in crate::store) async fn a_follower_on_the_log_shows_nothing_but_its_ids(
    engine: &impl Engine,
) {
    let mut db = Db::open(engine).await;
    let anna = db.create("anna").await;
    let at_end = FollowerPlace { cursor: db.head.cursor(), highest_id: Some(anna.id) };
    let at_start = FollowerPlace { cursor: Cursor::default(), highest_id: None };
    hear(&mut db, at_end).await;
    hear(&mut db, at_start).await;
    let without_stamps = Position { seq: 9, hash: RecordHash::OF_NO_RECORD };
    let cursor = Cursor { position: without_stamps, ..db.head.cursor() };
    hear(&mut db, FollowerPlace { cursor, highest_id: Some(UserId(500)) }).await;
    assert_eq!(kinds(&db.records().await), ["user.created.v1"]);
    assert_eq!(
        db.create("bert").await.id,
        UserId(501),
        "an id that a follower has seen is not given"
    );
    db.close().await;
    assert!(engine.store().open_writer(NOW_MS).await.unwrap().is_followed);
}
