//! Opening what is on the disk.

use std::path::Path;
use std::sync::Arc;

use shared::clock::{Clock, MonotonicClock};
use shared::secrets::{ClientSecrets, DataDirClaim, SealingKeys, claim_data_dir};
use shared::tokens::SigningKey;

use super::{LEEWAY_S, PROJECTION, StartError};
use crate::actors::revocations::Clocks;
use crate::actors::{CredentialRepository, Revocations};
use crate::config::Config;
use crate::key_ring::KeyRing;
use crate::metrics::ServiceMetrics;

/// The file of the revoked sessions.
const TOKENS: &str = "tokens.db";

/// What is on the disk, opened.
pub(super) struct Files {
    pub(super) claim: DataDirClaim,
    pub(super) sealing_key: Arc<SealingKeys>,
    pub(super) repository: CredentialRepository,
    pub(super) revocations: Revocations,
    pub(super) key_ring: KeyRing,
    /// The services that may introspect and revoke tokens.
    pub(super) clients: ClientSecrets,
}

impl Files {
    pub(super) fn open(
        config: &Config,
        clock: &Clock,
        metrics: &ServiceMetrics,
    ) -> Result<Self, StartError> {
        let directory = &config.common.data_dir;
        let clients = config.service.clients()?;
        config.service.warn_of_open_files();
        let claim = claim_data_dir(directory, "auth_service")?;
        let sealing_key = SealingKeys::from_config(&config.common.sealing_key, directory)?;
        let sealing_key = Arc::new(sealing_key);
        let (wall, monotonic) = (clock.clone(), MonotonicClock::system());
        let clocks = Clocks { wall, monotonic, leeway_s: LEEWAY_S };
        let metrics = metrics.revocations.clone();
        let mut revocations = Revocations::open(directory.join(TOKENS), clocks, metrics)
            .map_err(StartError::Revocations)?;
        let repository =
            CredentialRepository::open(directory.join(PROJECTION), Arc::clone(&sealing_key))
                .map_err(StartError::Projection)?;
        let has_projection = repository.applied().borrow().cursor.is_some();
        let key_ring = KeyRing::new(signing_key(directory, &mut revocations, has_projection)?);
        Ok(Self { claim, sealing_key, repository, revocations, key_ring, clients })
    }
}

/// The key of the present generation of `tokens.db`.
///
/// A `tokens.db` that was lost comes back with another generation, and so with another key: a token
/// that was logged out stays dead although nobody remembers it. If the projection was lost instead,
/// nobody can tell which users have changed their password or are gone since, so the generation is
/// renewed as well.
fn signing_key(
    directory: &Path,
    revocations: &mut Revocations,
    has_projection: bool,
) -> Result<SigningKey, StartError> {
    let path_of = |generation: &str| directory.join(format!("signing-{generation}.key"));
    let mut path = path_of(&revocations.generation().map_err(StartError::Revocations)?);
    if !has_projection && path.exists() {
        tracing::warn!("the projection is new: earlier tokens are invalid");
        path = path_of(&revocations.renew_generation().map_err(StartError::Revocations)?);
    }
    Ok(SigningKey::load_or_create(&path)?)
}
