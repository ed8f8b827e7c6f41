//! Opening what is on the disk.

use std::sync::Arc;

use contract::ReplicaId;
use shared::backup::ServiceData;
use shared::clock::Clock;
use shared::secrets::{ClientSecrets, DataDirClaim, SealingKeys, claim_data_dir};
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

/// What is on the disk, opened.
pub(super) struct Files {
    pub(super) claim: DataDirClaim,
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
        (clock, boot_id): (&Clock, [u8; 16]),
        metrics: &ServiceMetrics,
    ) -> Result<Self, StartError> {
        let directory = &config.common.data_dir;
        let clients = config.service.clients()?;
        config.service.warn_of_open_files();
        let claim = claim_data_dir(directory, DATA.service)?;
        let sealing_key = SealingKeys::from_config(&config.common.sealing_key, directory)?;
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
        Ok(Self { claim, sealing_key, repository, revocations, replicas, keys, clients })
    }
}
