//! Carrying out what is to be written: tokens first, then the projection.

use std::time::Duration;

use contract::{Cursor, SnapshotUser, UserId};
use shared::actors::{AskError, ask};
use shared::bus::cloud_event::user_letter;
use shared::fail_point::fail_point;
use shared::log_sync::NextChange;

use super::super::session_error::SessionError;
use super::{SyncSession, revocation_of};
use crate::actors::credential_repository::{
    ApplyEvents, FindSuperseded, StageSnapshotPart, SwapIn,
};
use crate::actors::revocations::RevokeUsers;
use crate::store::Refused;

impl SyncSession<'_> {
    /// Revocations first: if we die in between, they are only repeated.
    pub(super) async fn apply(
        &mut self,
        changes: Vec<NextChange>,
        cursor: Cursor,
    ) -> Result<(), SessionError> {
        self.revoke(changes.iter().filter_map(|next| revocation_of(&next.change)).collect())
            .await?;
        fail_point("revoked");
        let command = ApplyEvents { changes, cursor };
        ask(&self.with.repository, command).await.map_err(SessionError::failed)??;
        self.note_written();
        Ok(())
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
        let superseded = ask(&self.with.repository, FindSuperseded).await;
        let superseded = superseded.map_err(SessionError::failed)?.map_err(SessionError::failed)?;
        self.revoke(superseded).await?;
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

    async fn revoke(&self, users: Vec<(UserId, i64)>) -> Result<(), SessionError> {
        if users.is_empty() {
            return Ok(());
        }
        for (id, min) in &users {
            self.with.revoke.now(*id, *min);
        }
        loop {
            match ask(&self.with.revocations, RevokeUsers(users.clone())).await {
                // Logouts fill its mailbox: they must not keep the projection behind.
                Err(AskError::Full(_)) => tokio::time::sleep(Duration::from_millis(5)).await,
                answer => {
                    return answer.map_err(SessionError::failed)?.map_err(SessionError::failed);
                }
            }
        }
    }
}

/// How many tenths of a snapshot are there after this part.
fn tenth(part: u32, parts: u32) -> u64 {
    u64::from(part) * 10 / u64::from(parts.max(1))
}
