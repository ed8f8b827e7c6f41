//! Carrying out what is to be written.

use contract::{Cursor, SnapshotUser};
use shared::actors::ask;
use shared::bus::cloud_event::user_letter;
use shared::fail_point::fail_point;
use shared::log_sync::NextChange;
use shared::tokens::Whose;
use shared::traces::RecordCause;

use super::super::session_error::SessionError;
use super::SyncSession;
use crate::actors::credential_repository::{ApplyEvents, StageSnapshotPart, SwapIn};
use crate::store::Refused;

impl SyncSession<'_> {
    /// Writes the records. From then on the projection tells which tokens they have ended.
    pub(super) async fn apply(
        &mut self,
        mut changes: Vec<NextChange>,
        cursor: Cursor,
    ) -> Result<(), SessionError> {
        let concerned: Vec<Whose> = changes.iter().map(|next| Whose::stamps(&next.data)).collect();
        let causes: Vec<RecordCause> = changes.iter_mut().filter_map(take_cause).collect();
        self.apply_traced(ApplyEvents { changes, cursor }, &causes).await?;
        for RecordCause { position, traceparent } in &causes {
            tracing::debug!(seq = position.seq, traceparent, "a record is applied");
        }
        self.with.ended.forget(concerned, cursor.incarnation, cursor.position);
        self.note_written();
        Ok(())
    }

    async fn apply_traced(
        &self,
        command: ApplyEvents,
        causes: &[RecordCause],
    ) -> Result<(), SessionError> {
        let asking = ask(&self.with.repository, command);
        let Some(applying) = self.with.traces.applying(&*self.with.bus, causes) else {
            return Ok(asking.await.map_err(SessionError::failed)??);
        };
        let applied = applying.within(asking).await;
        applying.end(matches!(applied, Ok(Ok(()))));
        Ok(applied.map_err(SessionError::failed)??)
    }

    pub(super) async fn stage(
        &mut self,
        part: u32,
        parts: u32,
        users: Vec<SnapshotUser>,
    ) -> Result<(), SessionError> {
        let staged = ask(&self.with.repository, StageSnapshotPart { part, users }).await;
        for Refused { user, reason } in
            staged.map_err(SessionError::failed)?.map_err(SessionError::failed)?
        {
            self.bury(user_letter(&user), reason);
            self.agreement.leave_out();
        }
        self.with.progress.send_modify(|progress| progress.loaded = Some((part, parts)));
        if tenth(part, parts) != tenth(part - 1, parts) {
            tracing::info!(part, parts, "loading a snapshot");
        }
        Ok(())
    }

    pub(super) async fn swap_in(&mut self, cursor: Cursor) -> Result<(), SessionError> {
        fail_point("staged");
        let checksum_with_left_out = self.agreement.checksum_with_left_out(cursor);
        let command = SwapIn { cursor, checksum_with_left_out };
        let swapped = ask(&self.with.repository, command).await;
        swapped.map_err(SessionError::failed)?.map_err(SessionError::failed)?;
        self.note_written();
        self.with.progress.send_modify(|progress| progress.loaded = None);
        self.with.metrics.snapshots.inc();
        tracing::info!(seq = cursor.position.seq, "a snapshot has replaced the projection");
        if checksum_with_left_out.is_some() {
            tracing::error!("users of the snapshot cannot be stored: see the dead letters");
        }
        if !self.agreement.is_snapshot_whole(&self.with.applied.borrow()) {
            self.with.metrics.checksum_mismatches.inc();
            tracing::warn!(seq = cursor.position.seq, "the snapshot does not match its checksum");
        }
        Ok(())
    }
}

fn take_cause(next: &mut NextChange) -> Option<RecordCause> {
    let traceparent = next.traceparent.take()?;
    Some(RecordCause { position: next.position, traceparent })
}

/// How many tenths of a snapshot are there after this part.
fn tenth(part: u32, parts: u32) -> u64 {
    u64::from(part) * 10 / u64::from(parts.max(1))
}
