//! Argon2 (RFC 9106) in PHC form: the variants d, i and id, in version 0x13 and the older 0x10.

use argon2::password_hash::phc::{self, Output, Salt};
use argon2::{Algorithm, Argon2, Error, Params, Version};

use super::{NotTakenOver, at_most};

/// KiB.
const MEMORY_MAX: u64 = 128 * 1024;
/// KiB, times the passes over them.
const WORK_MAX: u64 = 1024 * 1024;
const LANES_MAX: u64 = 64;

/// An Argon2 hash.
pub(in super::super) struct Argon2Hash {
    algorithm: Algorithm,
    version: Version,
    /// The cost, and the length of the output.
    pub(in super::super) params: Params,
    pub(in super::super) salt: Salt,
    pub(in super::super) output: Output,
}

impl Argon2Hash {
    pub(super) fn parse_phc(text: &str) -> Result<Self, NotTakenOver> {
        Self::read(text).ok_or(NotTakenOver::Malformed("Argon2"))
    }

    fn read(text: &str) -> Option<Self> {
        let parsed = phc::PasswordHash::new(text).ok()?;
        let params = Params::try_from(&parsed).ok()?;
        // What a secret key or other data was part of, we cannot compute.
        let is_plain = params.keyid().is_empty() && params.data().is_empty();
        is_plain.then_some(())?;
        Some(Self {
            algorithm: Algorithm::new(parsed.algorithm.as_str()).ok()?,
            // The field is younger than the first version.
            version: parsed.version.map_or(Ok(Version::V0x10), Version::try_from).ok()?,
            params,
            salt: parsed.salt?,
            output: parsed.hash?,
        })
    }

    pub(super) fn check_cost(&self) -> Result<(), NotTakenOver> {
        let (memory, passes) = (u64::from(self.params.m_cost()), u64::from(self.params.t_cost()));
        at_most("Argon2's memory in KiB", memory, MEMORY_MAX)?;
        at_most("Argon2's memory in KiB times the passes", memory * passes, WORK_MAX)?;
        at_most("Argon2's number of lanes", self.params.p_cost().into(), LANES_MAX)
    }

    pub(super) fn to_text(&self) -> String {
        let Self { algorithm, version, params, salt, output } = self;
        let (version, m, t, p) =
            (u32::from(*version), params.m_cost(), params.t_cost(), params.p_cost());
        format!("${algorithm}$v={version}$m={m},t={t},p={p}${salt}${output}")
    }

    /// Whether our own core computes it.
    pub(in super::super) fn is_argon2id(&self) -> bool {
        (self.algorithm, self.version) == (Algorithm::Argon2id, Version::V0x13)
    }

    /// Computes it as another variant, in memory that is reserved for it.
    pub(in super::super) fn fill_other_variant(
        &self,
        password: &[u8],
        output: &mut [u8],
    ) -> Result<(), Error> {
        let argon2 = Argon2::new(self.algorithm, self.version, self.params.clone());
        argon2.hash_password_into(password, &self.salt, output)
    }
}
