//! A group of changes in memory: what they are about is read under the log's lock, the changes are
//! decided here in order, and what became of it is written at once. Nobody else writes meanwhile, so
//! a name that is free here is free in the database, and one that is taken costs nothing.

use std::cmp::Ordering;
use std::collections::HashMap;

use contract::{EventKind, Incarnation, LogRecord, Position, RecordData, UserId};
use futures_util::FutureExt;
use futures_util::future::{LocalBoxFuture, join, join_all, join5};
use shared::idempotency::IdempotentRequest;
use shared::log_sync::user_checksum;
use shared::postgres::{Confirmation, Session};

use super::super::rules::{self, Decision, Revision};
use super::super::{
    Change, ChangeError, CreateUser, DeleteUser, Outcome, UpdateUser, new_record, stored_response,
};
use super::StoreError;
use super::log_reader::insert_records;
use super::log_state::{LogState, stored_hash};
use super::log_watch;
use super::place::Place;
use super::responses;
use super::users;
use crate::domain::{Credentials, User, Written};

/// A group of changes.
pub(super) struct Group {
    /// As it will be.
    pub(super) state: LogState,
    /// As it was read.
    former: LogState,
    /// Where the log is now.
    pub(super) here: Place,
    /// Who writes.
    pub(super) run: Incarnation,
    now_ms: i64,
    /// Those that the changes are about, and those that they make.
    users: HashMap<UserId, Known>,
    /// Who has the names that the changes are about; absent: nobody.
    owners: HashMap<String, UserId>,
    responses: responses::Stored,
    new_responses: Vec<(IdempotentRequest, String)>,
    records: Vec<NewRecord>,
    /// Runs whose records are known to be lost.
    pub(super) undone: Vec<Incarnation>,
}

/// A user.
struct Known {
    /// The database has them.
    is_stored: bool,
    /// They differ from what the database has.
    is_changed: bool,
    /// `None`: deleted.
    now: Option<Credentials>,
}

/// A record with the password that goes with it.
pub(super) struct NewRecord {
    pub(super) record: LogRecord,
    /// The user, and the version of the password that they have after it.
    pub(super) password: Option<(UserId, i64)>,
}

/// What the changes are about.
#[derive(Default)]
struct Subjects<'a> {
    ids: Vec<i64>,
    keys: Vec<String>,
    requests: Vec<&'a IdempotentRequest>,
}

impl<'a> Subjects<'a> {
    fn of(changes: &'a [Change]) -> Self {
        let mut all = Self::default();
        for change in changes {
            match change {
                Change::Create(create) => {
                    all.keys.push(create.username.key().to_owned());
                    all.requests.extend(&create.idempotency);
                }
                Change::Update(update) => {
                    all.ids.push(update.id.0);
                    all.keys.extend(update.username.iter().map(|name| name.key().to_owned()));
                }
                Change::Delete(delete) => all.ids.push(delete.id.0),
                Change::ReplaceHash(replace) => all.ids.push(replace.id.0),
                Change::EndSessions(end) => all.ids.push(end.id.0),
                Change::SetRole(role) => all.ids.push(role.id.0),
            }
        }
        all
    }
}

impl Group {
    /// Reads what the changes are about, in one round trip. Also tells whether the log has the record
    /// at `seen`.
    pub(super) async fn read(
        session: &Session,
        changes: &[Change],
        seen: Position,
        run: Incarnation,
        now_ms: i64,
    ) -> Result<(Self, bool), StoreError> {
        let Subjects { ids, keys, requests } = Subjects::of(changes);
        // Polled together, they are sent together.
        let (here, (state, hash_there, stored, owners, responses)) = join(
            Place::read(session),
            join5(
                LogState::read(session),
                stored_hash(session, seen.seq),
                users::with_ids(session, &ids),
                users::owners(session, &keys),
                responses::find(session, &requests, now_ms),
            ),
        )
        .await;
        let (state, hash_there) = (state?, hash_there?);
        let has_seen = match seen.seq.cmp(&state.start.seq) {
            Ordering::Less => true,
            Ordering::Equal => state.start.hash == seen.hash,
            Ordering::Greater => hash_there == Some(seen.hash),
        };
        let known = |credentials: Credentials| {
            let id = credentials.user.id;
            (id, Known { is_stored: true, is_changed: false, now: Some(credentials) })
        };
        let group = Self {
            former: state.clone(),
            here: here?,
            state,
            run,
            now_ms,
            users: stored?.into_iter().map(known).collect(),
            owners: owners?.into_iter().collect(),
            responses: responses?,
            new_responses: Vec::new(),
            records: Vec::new(),
            undone: Vec::new(),
        };
        Ok((group, has_seen))
    }

    /// Makes one change, or none of it.
    pub(super) fn make(&mut self, change: Change) -> Outcome {
        match change {
            Change::Create(create) => self.create_once(&create),
            Change::Update(update) => self.update(update),
            Change::Delete(delete) => self.delete(&delete),
            Change::ReplaceHash(replace) => {
                let revision = rules::replace_hash(self.find(replace.id), &replace)?;
                self.revise(revision, None)
            }
            Change::EndSessions(end) => {
                let decision = rules::end_sessions(self.find(end.id), &end)?;
                self.decided(decision, end.traceparent.as_deref())
            }
            Change::SetRole(role) => {
                self.decided(rules::set_role(self.find(role.id), &role)?, None)
            }
        }
    }

    fn create_once(&mut self, create: &CreateUser) -> Outcome {
        let Some(request) = &create.idempotency else { return self.create(create) };
        if let Some(first) = stored_response::read(self.responses.look_up(request))? {
            return Ok(first);
        }
        let outcome = self.create(create);
        if let Some(response) = stored_response::encode(&outcome)? {
            self.responses.add(request, response.clone());
            self.new_responses.push((request.clone(), response));
        }
        outcome
    }

    fn create(&mut self, create: &CreateUser) -> Outcome {
        let CreateUser { username, password_hash, traceparent, .. } = create;
        if self.owners.contains_key(username.key()) {
            return Err(ChangeError::NameTaken);
        }
        let mut user = User {
            id: UserId(self.state.highest_id + 1),
            username: username.as_shown().to_owned(),
            username_key: username.key().to_owned(),
            version: 1,
            password_version: 1,
            changed: Position::default(),
            stamp: Position::default(),
            is_admin: false,
        };
        let left = user.left_with_new_stamp().into();
        let position = self.append(&EventKind::CREATED, left, traceparent.as_deref())?;
        (user.changed, user.stamp) = (position, position);
        self.state.highest_id = user.id.0;
        self.state.checksum = self.state.checksum.plus(checksum_of(&user));
        self.owners.insert(user.username_key.clone(), user.id);
        let now = Some(Credentials { user: user.clone(), password_hash: password_hash.clone() });
        self.users.insert(user.id, Known { is_stored: false, is_changed: true, now });
        Ok(Written { user, position })
    }

    fn update(&mut self, update: UpdateUser) -> Outcome {
        let traceparent = update.traceparent.clone();
        let decision = rules::update(self.find(update.id), update)?;
        self.decided(decision, traceparent.as_deref())
    }

    fn delete(&mut self, delete: &DeleteUser) -> Outcome {
        let found = self.find(delete.id).map(|known| known.user);
        let user = rules::delete(found, delete)?;
        let (gone, traceparent) = (user.gone().into(), delete.traceparent.as_deref());
        let position = self.append(&EventKind::DELETED, gone, traceparent)?;
        self.state.checksum = self.state.checksum.minus(checksum_of(&user));
        self.owners.remove(&user.username_key);
        self.put(user.id, None);
        Ok(Written { user, position })
    }

    fn decided(&mut self, decision: Decision, traceparent: Option<&str>) -> Outcome {
        match decision {
            Decision::Nothing(user) => Ok(Written { user, position: self.state.end }),
            Decision::Write(revision) => self.revise(revision, traceparent),
        }
    }

    /// Writes a user's new state, with its record.
    fn revise(&mut self, revision: Revision, traceparent: Option<&str>) -> Outcome {
        let id = revision.user.id;
        if self.owners.get(&revision.user.username_key).is_some_and(|owner| *owner != id) {
            return Err(ChangeError::NameTaken);
        }
        let position = self.append(&revision.kind, revision.left().into(), traceparent)?;
        let (before, password_hash) = (revision.before.clone(), revision.password_hash.clone());
        let user = revision.placed(position);
        if let Some(before) = before {
            let without = self.state.checksum.minus(checksum_of(&before));
            self.state.checksum = without.plus(checksum_of(&user));
            self.owners.remove(&before.username_key);
        }
        self.owners.insert(user.username_key.clone(), id);
        self.put(id, Some(Credentials { user: user.clone(), password_hash }));
        Ok(Written { user, position })
    }

    /// Appends a record; returns its position.
    pub(super) fn append(
        &mut self,
        kind: &EventKind,
        data: RecordData,
        traceparent: Option<&str>,
    ) -> Result<Position, StoreError> {
        let password = data
            .user()
            .and_then(|left| left.user.as_ref().map(|state| (left.id, state.password_version)));
        let (end, run, now_ms) = (self.state.end, self.run, self.now_ms);
        let record = new_record::following(end, kind, data, run, now_ms, traceparent)?;
        let position = record.position;
        self.state.end = position;
        self.records.push(NewRecord { record, password });
        Ok(position)
    }

    /// Everybody has this stamp from now on.
    pub(super) fn set_all_stamps(&mut self, stamp: Position) {
        self.state.rewound = stamp;
        let known = self.users.values_mut().filter_map(|known| known.now.as_mut());
        known.for_each(|known| known.user.stamp = stamp);
    }

    /// Whether there are records to be written.
    pub(super) fn has_records(&self) -> bool {
        !self.records.is_empty()
    }

    fn find(&self, id: UserId) -> Option<Credentials> {
        self.users.get(&id).and_then(|known| known.now.clone())
    }

    fn put(&mut self, id: UserId, now: Option<Credentials>) {
        if let Some(known) = self.users.get_mut(&id) {
            (known.now, known.is_changed) = (now, true);
        }
    }

    /// Writes everything, and commits, in one round trip. If a statement fails, the server answers
    /// COMMIT by rolling back.
    pub(super) async fn commit(&self, session: &Session) -> Result<Confirmation, StoreError> {
        let all = || self.users.iter().filter(|(_, known)| known.is_changed);
        let deleted: Vec<i64> = all()
            .filter(|(_, known)| known.is_stored && known.now.is_none())
            .map(|(id, _)| id.0)
            .collect();
        let now = |is_stored: bool| -> Vec<&Credentials> {
            all()
                .filter(|(_, known)| known.is_stored == is_stored)
                .filter_map(|(_, known)| known.now.as_ref())
                .collect()
        };
        let (updated, inserted) = (now(true), now(false));
        let mut writes: Vec<LocalBoxFuture<'_, Result<(), StoreError>>> = Vec::new();
        // In this order: names are free before they are taken.
        if !deleted.is_empty() {
            writes.push(users::delete(session, &deleted).boxed_local());
        }
        if !updated.is_empty() {
            writes.push(users::update(session, &updated).boxed_local());
        }
        if !inserted.is_empty() {
            writes.push(users::insert(session, &inserted).boxed_local());
        }
        if self.has_records() {
            writes.push(insert_records(session, &self.records).boxed_local());
            writes.push(log_watch::tell(session).boxed_local());
        }
        if !self.new_responses.is_empty() {
            let store = responses::record(session, &self.new_responses, self.now_ms);
            writes.push(store.boxed_local());
        }
        if !self.undone.is_empty() {
            writes.push(super::rewinding::note_undone(session, &self.undone).boxed_local());
        }
        if self.state != self.former {
            writes.push(self.state.write(session).boxed_local());
        }
        let (written, confirmation) = join(join_all(writes), session.commit()).await;
        let failed = written.into_iter().find_map(Result::err);
        match failed {
            // The connection may have been lost after COMMIT had arrived.
            Some(StoreError::Unavailable(_)) if confirmation == Confirmation::Unknown => {
                Ok(Confirmation::Unknown)
            }
            Some(error) => Err(error),
            None => Ok(confirmation),
        }
    }
}

fn checksum_of(user: &User) -> contract::UsersChecksum {
    user_checksum(user.id, user.version, &user.username)
}
