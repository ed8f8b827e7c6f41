//! Sealing hashes with the first key, so that the key before it can be removed: without this, it
//! would be needed until each user has another password.

use actix::Handler;
use contract::{SealedHash, UserId};
use shared::actors::{Ask, Command};

use super::CredentialRepository;
use crate::store::{StoreError, StoredHash};

/// Hashes that are looked at in one step. Sealing one takes microseconds.
const CHUNK: u32 = 500;

/// "Look through a chunk of the hashes, and seal with the first key those that another one has
/// sealed." Answers whether there are more.
#[derive(Clone, Copy)]
pub struct ResealHashes;

impl Command for ResealHashes {
    type Reply = Result<bool, StoreError>;
}

impl CredentialRepository {
    fn reseal(&mut self) -> Result<bool, StoreError> {
        if !self.applied.borrow().hashes.has_other_key() {
            return Ok(false);
        }
        let found = self.store.find_hashes(self.resealed_to, CHUNK)?;
        let resealed: Vec<_> = found.iter().filter_map(|hash| self.resealed(hash)).collect();
        if !resealed.is_empty() {
            self.store.replace_hashes(&resealed)?;
            self.recount()?;
        }
        // From the start again the next time: hashes go on arriving.
        self.resealed_to = found.last().map_or(UserId(0), |hash| hash.user);
        Ok(!found.is_empty())
    }

    /// The hash sealed with the first key, if another one has sealed it. What cannot be opened is
    /// left for user_service to send again.
    fn resealed(
        &self,
        StoredHash { user, password_version, sealed }: &StoredHash,
    ) -> Option<StoredHash> {
        let keys = &self.sealing_key;
        if SealedHash::sealed_with(sealed.as_str()) == keys.seals_with() {
            return None;
        }
        let sealed = keys.reseal(sealed, *user, *password_version).ok()?;
        Some(StoredHash { user: *user, password_version: *password_version, sealed })
    }
}

impl Handler<Ask<ResealHashes>> for CredentialRepository {
    type Result = ();

    fn handle(&mut self, ask: Ask<ResealHashes>, _: &mut Self::Context) {
        ask.answer(|ResealHashes| self.reseal());
    }
}
