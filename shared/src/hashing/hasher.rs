//! The hashing itself: one thread's memory, reserved once and used for every password.

use std::io;

use argon2::password_hash::phc::{self, Output, ParamsString, Salt};
use argon2::{ARGON2ID_IDENT, Version};

use super::PasswordHash;
use super::stored_hash::{Argon2Hash, StoredHash};
use crate::identity::Password;
use crate::secrets::random_bytes;
use argon2id::{Engine, Inputs, Memory, Params, hash_into};

/// Bytes of a hash.
const OUTPUT_LEN: usize = 32;
/// Bytes of a salt (RFC 9106 section 3.1 recommends 16).
const SALT_LEN: usize = 16;

/// The cost of a hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HashParams {
    /// KiB of memory.
    pub memory_kib: u32,
    /// Passes over it.
    pub iterations: u32,
    /// Lanes; they are computed one after another.
    pub parallelism: u32,
}

/// Hashes and verifies passwords in its own memory.
pub struct Hasher {
    params: Params,
    engine: Engine,
    /// At least as many blocks as `params` ask for.
    memory: Memory,
    /// The blocks filled since somebody asked, once for each pass.
    filled_blocks: u64,
}

/// What a password is compared with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stored {
    /// The hash of this user's password.
    Own(PasswordHash),
    /// A hash for the work alone: the password is wrong, whatever it is.
    StandIn(PasswordHash),
    /// There is no hash at all: the work is that of a new one, and the password is wrong.
    Nothing,
}

/// The result of comparing a password with a hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verification {
    /// It is another password.
    Wrong,
    /// It is the password.
    Right {
        /// The hash was made with outdated parameters, or by another system: rehash the password.
        is_outdated: bool,
    },
}

/// The hash or its parameters cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HashFault {
    /// Argon2 does not allow these parameters.
    #[error("Argon2 does not allow these parameters: {0}")]
    Params(argon2::Error),
    /// A stored hash is in no form that passwords can be compared with.
    #[error("a stored hash is in no known form")]
    NotAHash,
    /// The system cannot provide the memory for the blocks.
    #[error("no memory for hashing: {0}")]
    NoMemory(io::ErrorKind),
}

impl HashParams {
    fn to_argon2(self) -> Result<Params, HashFault> {
        Params::new(self.memory_kib, self.iterations, self.parallelism, Some(OUTPUT_LEN))
            .map_err(HashFault::Params)
    }
}

impl Hasher {
    /// Reserves the memory that the parameters ask for.
    ///
    /// # Errors
    /// The parameters are out of bounds, or there is not enough memory.
    pub fn new(params: HashParams) -> Result<Self, HashFault> {
        let params = params.to_argon2()?;
        let memory = reserve(&params)?;
        Ok(Self { params, engine: Engine::detect(), memory, filled_blocks: 0 })
    }

    /// How many blocks of 1 KiB were filled since this was last asked, once for each pass: the
    /// work of hashing, which depends on the parameters alone.
    pub fn take_filled_blocks(&mut self) -> u64 {
        std::mem::take(&mut self.filled_blocks)
    }

    /// A new hash in PHC form, with a random salt.
    ///
    /// # Errors
    /// Only those that the constructor can return.
    pub fn hash(&mut self, password: &Password) -> Result<PasswordHash, HashFault> {
        let salt = random_bytes::<SALT_LEN>();
        let mut output = [0; OUTPUT_LEN];
        let params = self.params.clone();
        self.fill(&params, password, &salt, &mut output)?;
        to_phc(&params, &salt, &output)
    }

    /// Compares a password with what is stored for the user.
    ///
    /// # Errors
    /// The stored hash cannot be used.
    pub fn verify(
        &mut self,
        password: &Password,
        stored: &Stored,
    ) -> Result<Verification, HashFault> {
        match stored {
            Stored::Own(hash) => self.compare(password, hash),
            Stored::StandIn(hash) => self.compare(password, hash).map(|_| Verification::Wrong),
            Stored::Nothing => self.hash(password).map(|_| Verification::Wrong),
        }
    }

    fn compare(
        &mut self,
        password: &Password,
        stored: &PasswordHash,
    ) -> Result<Verification, HashFault> {
        match StoredHash::parse(stored.expose_phc()).map_err(|_| HashFault::NotAHash)? {
            StoredHash::Argon2(hash) => self.compare_argon2(password, &hash),
            StoredHash::Foreign(hash) if hash.is_of(password.expose_bytes()) => {
                Ok(Verification::Right { is_outdated: true })
            }
            StoredHash::Foreign(_) => Ok(Verification::Wrong),
        }
    }

    fn compare_argon2(
        &mut self,
        password: &Password,
        stored: &Argon2Hash,
    ) -> Result<Verification, HashFault> {
        let mut output = vec![0; stored.output.len()];
        if stored.is_argon2id() {
            self.fill(&stored.params, password, &stored.salt, &mut output)?;
        } else {
            self.count_blocks(&stored.params);
            let filled = stored.fill_other_variant(password.expose_bytes(), &mut output);
            filled.map_err(HashFault::Params)?;
        }
        // `Output` compares in constant time.
        let is_equal = Output::new(&output).is_ok_and(|computed| computed == stored.output);
        let is_outdated = !stored.is_argon2id() || !self.is_current(&stored.params);
        Ok(if is_equal { Verification::Right { is_outdated } } else { Verification::Wrong })
    }

    fn is_current(&self, params: &Params) -> bool {
        let cost = |params: &Params| (params.m_cost(), params.t_cost(), params.p_cost());
        cost(params) == cost(&self.params) && params.output_len() == Some(OUTPUT_LEN)
    }

    fn count_blocks(&mut self, params: &Params) {
        self.filled_blocks += params.block_count() as u64 * u64::from(params.t_cost());
    }

    fn fill(
        &mut self,
        params: &Params,
        password: &Password,
        salt: &[u8],
        output: &mut [u8],
    ) -> Result<(), HashFault> {
        self.count_blocks(params);
        let inputs = Inputs { password: password.expose_bytes(), salt, secret: &[] };
        if params.block_count() <= self.params.block_count() {
            hash_into(self.engine, self.memory.blocks(), params, &inputs, output)
        } else {
            // The hash was made with more memory than the current settings: it will be rehashed.
            hash_into(self.engine, reserve(params)?.blocks(), params, &inputs, output)
        }
        .map_err(HashFault::Params)
    }
}

fn reserve(params: &Params) -> Result<Memory, HashFault> {
    Memory::new(params.block_count()).map_err(|error| HashFault::NoMemory(error.kind()))
}

fn to_phc(params: &Params, salt: &[u8], output: &[u8]) -> Result<PasswordHash, HashFault> {
    let hash = phc::PasswordHash {
        algorithm: ARGON2ID_IDENT,
        version: Some(Version::V0x13.into()),
        params: ParamsString::try_from(params).map_err(|_| HashFault::NotAHash)?,
        salt: Some(Salt::new(salt).map_err(|_| HashFault::NotAHash)?),
        hash: Some(Output::new(output).map_err(|_| HashFault::NotAHash)?),
    };
    Ok(PasswordHash::from_phc(hash.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::SecretString;

    const SMALL: HashParams = HashParams { memory_kib: 64, iterations: 1, parallelism: 1 };

    fn new_hasher(params: HashParams) -> Hasher {
        Hasher::new(params).unwrap()
    }

    fn password(text: &str) -> Password {
        Password::prepare(&SecretString::from(text)).unwrap()
    }

    #[test]
    fn a_hash_verifies_its_own_password_alone() {
        let mut hasher = new_hasher(SMALL);
        let hash = hasher.hash(&password("testpassword")).unwrap();
        let text = hash.expose_phc();
        assert!(text.starts_with("$argon2id$v=19$m=64,t=1,p=1$"), "{text}");
        let own = Stored::Own(hash.clone());
        let right = hasher.verify(&password("testpassword"), &own);
        assert_eq!(right, Ok(Verification::Right { is_outdated: false }));
        assert_eq!(hasher.verify(&password("Testpassword"), &own), Ok(Verification::Wrong));
        assert_ne!(hasher.hash(&password("testpassword")).unwrap(), hash, "the salt is new");
    }

    #[test]
    fn nobody_has_a_password() {
        let mut hasher = new_hasher(SMALL);
        assert_eq!(hasher.verify(&password(""), &Stored::Nothing), Ok(Verification::Wrong));
    }

    #[test]
    fn a_stand_in_is_the_work_of_its_hash_and_always_wrong_whatever_was_verified_before() {
        let old = HashParams { memory_kib: 256, iterations: 2, parallelism: 1 };
        let outdated = new_hasher(old).hash(&password("testpassword")).unwrap();
        let mut hasher = new_hasher(SMALL);
        let current = hasher.hash(&password("testpassword")).unwrap();
        assert_eq!(hasher.take_filled_blocks(), 64);
        for (hash, blocks) in [(outdated.clone(), 512), (current, 64), (outdated, 512)] {
            for text in ["testpassword", "x"] {
                let verified = hasher.verify(&password(text), &Stored::StandIn(hash.clone()));
                assert_eq!(verified, Ok(Verification::Wrong), "{text}");
                assert_eq!(hasher.take_filled_blocks(), blocks);
                hasher.verify(&password(text), &Stored::Own(hash.clone())).unwrap();
                assert_eq!(hasher.take_filled_blocks(), blocks, "as if it was the user's own");
            }
            hasher.verify(&password("x"), &Stored::Nothing).unwrap();
            assert_eq!(hasher.take_filled_blocks(), 64, "the work of a new hash");
        }
    }

    #[test]
    fn hashes_of_other_parameters_verify_and_are_outdated() {
        for (memory_kib, iterations, parallelism) in [(32, 1, 1), (256, 2, 1), (64, 1, 2)] {
            let params = HashParams { memory_kib, iterations, parallelism };
            let hash = new_hasher(params).hash(&password("testpassword")).unwrap();
            let own = Stored::Own(hash);
            let verified = new_hasher(SMALL).verify(&password("testpassword"), &own);
            assert_eq!(verified, Ok(Verification::Right { is_outdated: true }), "{params:?}");
        }
    }

    #[test]
    fn the_memory_that_is_used_again_does_not_change_the_result() {
        use argon2::{Argon2, PasswordVerifier};
        let mut hasher = new_hasher(SMALL);
        for n in 0..20 {
            let text = format!("password {n}");
            let hash = hasher.hash(&password(&text)).unwrap();
            assert!(Argon2::default().verify_password(text.as_bytes(), hash.expose_phc()).is_ok());
        }
    }

    #[test]
    fn a_stored_text_that_is_no_hash_is_a_fault_and_not_a_wrong_password() {
        let mut hasher = new_hasher(SMALL);
        for bad in [
            "",
            "x",
            "$argon2id$",
            "$argon2x$v=19$m=64,t=1,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNo",
            "$argon2id$v=17$m=64,t=1,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNo",
        ] {
            for stored in [Stored::Own, Stored::StandIn] {
                let stored = stored(PasswordHash::from_phc(bad));
                let verified = hasher.verify(&password("testpassword"), &stored);
                assert_eq!(verified, Err(HashFault::NotAHash), "{bad:?}");
            }
        }
    }

    #[test]
    fn parameters_out_of_bounds_are_refused() {
        let none = HashParams { memory_kib: 0, iterations: 0, parallelism: 0 };
        assert!(matches!(Hasher::new(none), Err(HashFault::Params(_))));
    }
}
