//! Opening what is on the disk.

use std::path::Path;
use std::sync::Arc;

use contract::ReplicaId;
use shared::backup::{DatabaseFile, ServiceData};
use shared::clock::Clock;
use shared::file_mark::Mark;
use shared::secrets::{
    ClientSecrets, DataDirError, DataLayout, ReplicaPlace, SealingKeys, claim_only_place,
    claim_place,
};
use shared::tokens::token_set::BootTime;

use super::StartError;
use crate::actors::key_ring::{PRIVATE_KEY_PREFIX, StoredKeys};
use crate::actors::{CredentialRepository, TokenRevocations};
use crate::config::Config;
use crate::metrics::ServiceMetrics;
use crate::store::{self, PROJECTION, TOKENS};

/// What is in the data directory.
pub const DATA: ServiceData = ServiceData {
    service: "auth_service",
    databases: store::databases(),
    private_keys: Some(PRIVATE_KEY_PREFIX),
};

fn claim(layout: DataLayout, data_dir: &Path) -> Result<ReplicaPlace, DataDirError> {
    match layout {
        DataLayout::Whole => claim_only_place(data_dir, DATA.service),
        DataLayout::Places => claim_place(data_dir, DATA.service, is_own_file),
    }
}

/// Whether an earlier version, which knew no places, has left this file in the data directory. The key
/// that both services share is not among them.
fn is_own_file(name: &str) -> bool {
    let is_database = |database: &DatabaseFile| {
        let rest = name.strip_prefix(database.name);
        rest.is_some_and(|rest| ["", "-wal", "-shm", "-journal"].contains(&rest))
            || Path::new(name) == Mark::path_beside(Path::new(database.name))
    };
    DATA.databases.iter().any(is_database) || name.starts_with(PRIVATE_KEY_PREFIX)
}

/// What is on the disk, opened.
pub(super) struct Files {
    pub(super) place: ReplicaPlace,
    pub(super) sealing_key: Arc<SealingKeys>,
    pub(super) repository: CredentialRepository,
    pub(super) revocations: TokenRevocations,
    /// Replicas that were heard of.
    pub(super) replicas: Vec<(ReplicaId, BootTime)>,
    pub(super) keys: StoredKeys,
    /// The services that may introspect and revoke tokens.
    pub(super) clients: ClientSecrets,
}

impl Files {
    pub(super) fn open(
        config: &Config,
        layout: DataLayout,
        (clock, boot_id): (&Clock, [u8; 16]),
        metrics: &ServiceMetrics,
    ) -> Result<Self, StartError> {
        let data_dir = &config.common.data_dir;
        let clients = config.service.clients()?;
        config.service.warn_of_open_files();
        let place = claim(layout, data_dir)?;
        let directory = &place.directory;
        let sealing_key = SealingKeys::from_config(&config.common.sealing_key, data_dir)?;
        let sealing_key = Arc::new(sealing_key);
        let (path, metrics) = (directory.join(TOKENS), metrics.revocations.clone());
        let revocations = TokenRevocations::open(&path, clock.clone(), boot_id, metrics)
            .map_err(StartError::TokenSet)?;
        let own = revocations.find_own_keys().map_err(StartError::TokenSet)?;
        let replicas = revocations.find_replicas().map_err(StartError::TokenSet)?;
        let keys = StoredKeys::open(directory, own)?;
        let repository =
            CredentialRepository::open(directory.join(PROJECTION), Arc::clone(&sealing_key))
                .map_err(StartError::Projection)?;
        Ok(Self { place, sealing_key, repository, revocations, replicas, keys, clients })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_earlier_version_has_left_moves_and_nothing_else_does() {
        let own = [
            "projection.db",
            "projection.db-wal",
            "tokens.db",
            "tokens.db-shm",
            "tokens.mark",
            "signing-0123456789abcdef.key",
        ];
        let others = [
            "sealing.key",
            "admin.token",
            "users.db",
            "users.mark",
            "auth_service.lock",
            "tokens.db.copy",
            "replica-1",
        ];
        assert!(own.into_iter().all(is_own_file));
        assert!(!others.into_iter().any(is_own_file));
    }
}
