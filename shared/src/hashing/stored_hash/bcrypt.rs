//! bcrypt in the form of OpenBSD (`$2a$`, `$2b$`, `$2y$`), and Django's of the SHA-256 of the password.
//!
//! The three prefixes name the same function for passwords without a zero byte, and ours have none.
//! `$2x$` marks hashes that a faulty program made, and is refused.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};
use data_encoding::{Encoding, HEXLOWER, Specification};

use super::{NotTakenOver, at_most};

const COST_MIN: u32 = 4;
const COST_MAX: u32 = 31;
/// The base-2 logarithm of the rounds.
const COST_LIMIT: u64 = 15;
const SALT_LEN: usize = 16;
/// The last of the 24 bytes is not stored.
const OUTPUT_LEN: usize = 23;
/// Characters of the salt.
const SALT_CHARS: usize = 22;
/// Longer passwords are cut, as every bcrypt does.
const PASSWORD_MAX: usize = 72;
/// Before a hash of the password's SHA-256 in hexadecimal.
const OF_SHA256: &str = "bcrypt_sha256$";

/// A bcrypt hash.
pub(in super::super) struct BcryptHash {
    text: String,
    /// The password is hashed with SHA-256 first.
    is_of_sha256: bool,
    cost: u32,
    salt: [u8; SALT_LEN],
    output: [u8; OUTPUT_LEN],
}

impl BcryptHash {
    pub(super) fn parse(text: &str) -> Result<Self, NotTakenOver> {
        Self::read(text).ok_or(NotTakenOver::Malformed("bcrypt"))
    }

    fn read(text: &str) -> Option<Self> {
        let of_sha256 = text.strip_prefix(OF_SHA256);
        let bcrypt = of_sha256.unwrap_or(text);
        let rest = ["$2a$", "$2b$", "$2y$"].iter().find_map(|it| bcrypt.strip_prefix(it))?;
        let (cost, rest) = rest.split_once('$')?;
        let (salt, output) = rest.split_at_checked(SALT_CHARS)?;
        let encoding = encoding()?;
        let decode = |text: &str| encoding.decode(text.as_bytes()).ok();
        let is_number = cost.len() == 2 && cost.bytes().all(|byte| byte.is_ascii_digit());
        let cost = cost.parse().ok().filter(|cost| (COST_MIN..=COST_MAX).contains(cost));
        Some(Self {
            text: text.to_owned(),
            is_of_sha256: of_sha256.is_some(),
            cost: cost.filter(|_| is_number)?,
            salt: decode(salt)?.try_into().ok()?,
            output: decode(output)?.try_into().ok()?,
        })
    }

    pub(super) fn check_cost(&self) -> Result<(), NotTakenOver> {
        at_most("bcrypt's cost", self.cost.into(), COST_LIMIT)
    }

    pub(super) fn to_text(&self) -> String {
        self.text.clone()
    }

    pub(super) fn is_of(&self, password: &[u8]) -> bool {
        let computed = if self.is_of_sha256 {
            let digest = HEXLOWER.encode(digest(&SHA256, password).as_ref());
            self.compute(digest.as_bytes())
        } else {
            self.compute(password)
        };
        verify_slices_are_equal(&computed[..OUTPUT_LEN], &self.output).is_ok()
    }

    fn compute(&self, password: &[u8]) -> [u8; 24] {
        let mut terminated = [password, &[0]].concat();
        terminated.truncate(PASSWORD_MAX);
        bcrypt::bcrypt(self.cost, self.salt, &terminated)
    }
}

/// bcrypt's own base64. Some programs leave set bits after the last byte.
fn encoding() -> Option<Encoding> {
    let mut specification = Specification::new();
    let symbols = "./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    specification.symbols.push_str(symbols);
    specification.check_trailing_bits = false;
    specification.encoding().ok()
}
