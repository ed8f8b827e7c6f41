use contract::TokenRecord;
use contract::token_record::{KeyId, TokenId, TokenLife};
use shared::tokens::key_trust::KeyTrust;
use shared::tokens::token_set::Learned;
use tokio::sync::oneshot;

use super::super::migrations;
use super::*;

const NOW: BootTime = BootTime(5_000);

type Answer = oneshot::Receiver<Result<(), StoreError>>;

struct Fixture {
    connection: Connection,
    group: GroupCommit,
    state: TokenState,
}

impl Fixture {
    fn new() -> Self {
        let mut connection = Connection::open_in_memory().unwrap();
        migrations::tokens().to_latest(&mut connection).unwrap();
        let state = TokenState::new(KeyTrust::of_a_kept_set());
        Self { connection, group: GroupCommit::default(), state }
    }

    /// Ends session `n`; the work fails, or panics, after that if it is told to.
    fn revoke(&mut self, n: u8, then: fn() -> Result<(), StoreError>) -> Answer {
        let (reply, answer) = Reply::channel();
        self.group.push(reply, move |_, state| {
            then()?;
            Ok(((), state.set.insert(revoked(n), Learned::Now, NOW)))
        });
        answer
    }

    fn commit(&mut self) -> Result<Committed, StoreError> {
        self.group.commit(&mut self.connection, &mut self.state, NOW)
    }

    /// The sessions that are ended on disk, in the set and in the view.
    fn ended(&self) -> (Vec<TokenRecord>, Vec<TokenRecord>, usize) {
        let mut stored = Vec::new();
        tokens::load_records(&self.connection, |record, since| {
            assert_eq!(since, Some(NOW));
            stored.push(record);
        })
        .unwrap();
        stored.sort();
        let mut held: Vec<_> = self.state.set.records().collect();
        held.sort();
        (stored, held, self.state.view.ended_sessions())
    }

    fn expect_ended(&self, sessions: &[u8]) {
        let expected: Vec<_> = sessions.iter().copied().map(revoked).collect();
        assert_eq!(self.ended(), (expected.clone(), expected, sessions.len()));
    }
}

fn revoked(n: u8) -> TokenRecord {
    let ended_with = TokenLife { kid: KeyId([n; 32]), exp_s: 9 };
    TokenRecord::SessionRevoked { sid: TokenId([n; 16]), ended_with }
}

fn fails() -> Result<(), StoreError> {
    Err(rusqlite::Error::InvalidQuery.into())
}

#[test]
fn a_write_that_fails_fails_alone() {
    let mut fixture = Fixture::new();
    let mut answers =
        [fixture.revoke(1, || Ok(())), fixture.revoke(2, fails), fixture.revoke(3, || Ok(()))];
    assert_eq!(fixture.commit().unwrap(), Committed { writes: 3, kept: 2, is_change: true });
    let kept = answers.each_mut().map(|answer| answer.try_recv().unwrap().is_ok());
    assert_eq!(kept, [true, false, true]);
    fixture.expect_ended(&[1, 3]);
    assert_eq!(tokens::find_state(&fixture.connection).unwrap().changes, 1);
}

#[test]
fn a_write_that_panics_is_undone_and_gets_no_answer() {
    let mut fixture = Fixture::new();
    let mut panics = fixture.revoke(1, || panic!("as the test wants it"));
    let mut other = fixture.revoke(2, || Ok(()));
    fixture.commit().unwrap();
    assert!(panics.try_recv().is_err());
    assert!(other.try_recv().unwrap().is_ok());
    fixture.expect_ended(&[2]);
}

#[test]
fn what_cannot_be_written_is_taken_back_in_memory() {
    let mut fixture = Fixture::new();
    let refuses_one = format!(
        "CREATE TRIGGER broken BEFORE INSERT ON token_records
         WHEN new.id = x'{}' BEGIN SELECT RAISE(FAIL, 'as the test wants it'); END",
        data_encoding::HEXLOWER.encode(&shared::tokens::token_set::record_id(&revoked(1)).0)
    );
    fixture.connection.execute_batch(&refuses_one).unwrap();
    let mut answers = [fixture.revoke(1, || Ok(())), fixture.revoke(2, || Ok(()))];
    fixture.commit().unwrap();
    assert!(answers[0].try_recv().unwrap().is_err() && answers[1].try_recv().unwrap().is_ok());
    fixture.expect_ended(&[2]);
}

#[test]
fn when_the_commit_fails_everybody_is_told_and_nothing_is_kept_anywhere() {
    let mut fixture = Fixture::new();
    // A foreign key that is checked at COMMIT makes the commit itself fail.
    let broken = "PRAGMA foreign_keys = 1;
        CREATE TABLE t (x INTEGER PRIMARY KEY) STRICT;
        CREATE TABLE u (x INTEGER REFERENCES t (x) DEFERRABLE INITIALLY DEFERRED) STRICT;
        CREATE TRIGGER broken AFTER INSERT ON token_records BEGIN INSERT INTO u VALUES (-1); END;";
    fixture.connection.execute_batch(broken).unwrap();
    let mut answers = [fixture.revoke(1, || Ok(())), fixture.revoke(2, || Ok(()))];
    assert!(fixture.commit().is_err());
    assert!(answers.iter_mut().all(|answer| answer.try_recv().unwrap().is_err()));
    fixture.expect_ended(&[]);
}

#[test]
fn what_is_owed_is_shown_when_it_is_on_the_disk() {
    let mut fixture = Fixture::new();
    drop(fixture.revoke(1, || Ok(())));
    fixture.commit().unwrap();
    let later = BootTime(NOW.0 + 100_000_000);
    let forgotten = fixture.state.set.forget(later);
    assert_eq!(forgotten.removed, [revoked(1)]);
    fixture.group.owe(forgotten);
    fixture.connection.execute_batch("PRAGMA query_only = 1").unwrap();
    assert!(fixture.commit().is_err());
    assert_eq!(fixture.state.view.ended_sessions(), 1, "it is dead by this or by the horizon");
    fixture.connection.execute_batch("PRAGMA query_only = 0").unwrap();
    fixture.commit().unwrap();
    fixture.expect_ended(&[]);
    assert_eq!(fixture.state.view.horizon_s(&KeyId([1; 32])), Some(9));
    assert!(fixture.group.is_empty());
}
