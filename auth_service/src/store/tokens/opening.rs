//! Opening the token set: what was stored, and whether it is still what this replica has left.

use std::path::Path;

use contract::TokenRecord;
use contract::token_record::Horizons;
use rusqlite::Connection;
use shared::file_mark::{FileIdentity, Found, Mark};
use shared::sqlite::{Durability, WriteConnection};
use shared::tokens::key_trust::KeyTrust;
use shared::tokens::token_set::{BootTime, Change, Learned};

use super::{SetMark, TokenStore};
use crate::store::StoreError;
use crate::store::sqlite::group_commit::GroupCommit;
use crate::store::sqlite::tokens::SetState;
use crate::store::sqlite::{migrations, replicas, tokens};
use crate::store::token_state::TokenState;

impl TokenStore {
    /// Opens the database, or creates it, and fills the set and the view with all that is in it. If
    /// the disk is full, the first write that finds space opens it. `boot_id` names the start of the
    /// machine.
    ///
    /// If the database was put back, it kills the keys of this replica that it names.
    ///
    /// # Errors
    /// It cannot be used; or the disk is full, and it cannot even be read, or was put back.
    pub fn open(path: &Path, boot_id: [u8; 16], now: BootTime) -> Result<Self, StoreError> {
        let (mark, file) = (Mark::beside(path), identity_of(path));
        let migrations = migrations::tokens;
        let mut connection = WriteConnection::open(path.to_owned(), Durability::Full, migrations)?;
        let stored = connection.read(tokens::find_state)?;
        if connection.is_open() {
            settle(connection.get()?, &stored, boot_id, now)?;
        }
        let state = connection.read(|connection| load(connection, &stored, boot_id, now))?;
        let (group, changes, replica) = (GroupCommit::default(), stored.changes, stored.replica);
        let mut store = Self { connection, group, state, changes, mark, noted: None, replica };
        store.recognise(path, &stored, file)?;
        Ok(store)
    }

    /// Recognises a database that was put back. `file` names the file that was there at the start.
    fn recognise(
        &mut self,
        path: &Path,
        stored: &SetState,
        file: Option<FileIdentity>,
    ) -> Result<(), StoreError> {
        // A mark that was itself put back notes nothing.
        let noted = match self.mark.find::<SetMark>() {
            Ok(Found::Kept(SetMark { changes })) => Some(changes),
            Ok(Found::Copy(_) | Found::Nothing) | Err(_) => None,
        };
        if let Some(written_to) = &stored.file {
            let is_older = noted.is_none_or(|noted| noted > stored.changes);
            let is_same = file.is_some_and(|file| file.to_string() == *written_to);
            if is_same && !is_older {
                return Ok(());
            }
            self.begin_with_gaps(noted.unwrap_or(0))?;
        }
        if !self.connection.is_open() {
            // A new database that cannot be written; or one that nobody has put back.
            return Ok(());
        }
        let file = file.or_else(|| identity_of(path)).map(|file| file.to_string());
        tokens::name_file(self.connection.get()?, &file.unwrap_or_default())?;
        self.note_changes();
        Ok(())
    }

    fn begin_with_gaps(&mut self, noted: i64) -> Result<(), StoreError> {
        tracing::warn!(
            "tokens.db was put back, and logouts since may be missing: all tokens signed before are \
             refused, and users log in again"
        );
        let now = BootTime(0);
        let own = self.find_own_keys(now)?;
        self.state.trust = KeyTrust::of_a_set_with_gaps();
        let kill = |kid| self.state.set.insert(TokenRecord::KeyKilled { kid }, Learned::Here, now);
        let killed: Vec<Change> = own.iter().map(|key| key.kid).map(kill).collect();
        let transaction = self.connection.get()?.transaction()?;
        tokens::begin_with_gaps(&transaction, noted)?;
        for change in &killed {
            tokens::write(&transaction, change, &self.state.set)?;
        }
        transaction.commit()?;
        for change in &killed {
            self.state.show(change);
        }
        let SetState { changes, replica, .. } = self.connection.read(tokens::find_state)?;
        (self.changes, self.replica) = (changes, replica);
        Ok(())
    }
}

fn identity_of(path: &Path) -> Option<FileIdentity> {
    path.metadata().ok().map(|metadata| FileIdentity::of(&metadata))
}

/// Ages that were counted by the clock of another start of the machine begin anew.
fn settle(
    connection: &mut Connection,
    stored: &SetState,
    boot_id: [u8; 16],
    now: BootTime,
) -> Result<(), StoreError> {
    if stored.boot_id == boot_id {
        return Ok(());
    }
    let transaction = connection.transaction()?;
    tokens::begin_ages_anew(&transaction, boot_id, now)?;
    Ok(transaction.commit()?)
}

fn load(
    connection: &Connection,
    stored: &SetState,
    boot_id: [u8; 16],
    now: BootTime,
) -> Result<TokenState, StoreError> {
    let trust =
        if stored.has_gaps { KeyTrust::of_a_set_with_gaps() } else { KeyTrust::of_a_kept_set() };
    let mut state = TokenState::new(trust);
    state.load_horizons(&Horizons::from_lives(tokens::find_horizons(connection)?));
    let is_same_start = stored.boot_id == boot_id;
    tokens::load_records(connection, |record, since| {
        let learned = match since {
            None => Learned::Here,
            Some(since) if is_same_start => Learned::Aged(now.since_ms(since)),
            Some(_) => Learned::Now,
        };
        state.load(record, learned, now);
    })?;
    let own = tokens::find_own_keys(connection, now)?;
    state.trust(own.iter().map(|key| key.kid));
    state.trust(replicas::find_trusted_keys(connection)?);
    Ok(state)
}
