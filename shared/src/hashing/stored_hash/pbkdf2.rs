//! PBKDF2 (RFC 8018) with HMAC: `$pbkdf2-sha256$i=N,l=32$salt$hash` (PHC; `l`, the bytes of the hash, may be missing), `$pbkdf2-sha256$N$salt$hash`
//! (Passlib), `pbkdf2_sha256$N$salt$hash` (Django, whose salt is the text itself).

use std::num::NonZeroU32;

use aws_lc_rs::pbkdf2::{
    self, Algorithm, PBKDF2_HMAC_SHA1, PBKDF2_HMAC_SHA256, PBKDF2_HMAC_SHA512,
};

use super::fields::{decode, decode_output, encode};
use super::{NotTakenOver, at_most};

/// Django's default is 1 200 000 in its version 6.0, and OWASP advises 1 400 000 with SHA-1.
const ITERATIONS_LIMIT: u64 = 2_500_000;

/// A PBKDF2 hash.
pub(in super::super) struct Pbkdf2Hash {
    function: Function,
    iterations: NonZeroU32,
    salt: Vec<u8>,
    output: Vec<u8>,
}

/// The hash function of the HMAC.
#[derive(Clone, Copy)]
enum Function {
    Sha1,
    Sha256,
    Sha512,
}

impl Pbkdf2Hash {
    pub(super) fn parse(text: &str) -> Result<Self, NotTakenOver> {
        Self::read(text).ok_or(NotTakenOver::Malformed("PBKDF2"))
    }

    fn read(text: &str) -> Option<Self> {
        let (is_django, rest) = match text.strip_prefix("pbkdf2_") {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix("$pbkdf2")?),
        };
        let [name, iterations, salt, output] = parts(rest)?;
        let output = decode_output(output)?;
        let (iterations, length) = match iterations.split_once(",l=") {
            Some((iterations, length)) => (iterations, length.parse().ok()?),
            None => (iterations, output.len()),
        };
        let iterations = iterations.strip_prefix("i=").unwrap_or(iterations).parse().ok()?;
        let salt = if is_django { salt.as_bytes().to_vec() } else { decode(salt)? };
        let function = Function::named(name.trim_start_matches('-'))?;
        (length == output.len()).then_some(Self { function, iterations, salt, output })
    }

    pub(super) fn check_cost(&self) -> Result<(), NotTakenOver> {
        let iterations = u64::from(self.iterations.get());
        at_most("PBKDF2's number of iterations", iterations, ITERATIONS_LIMIT)
    }

    pub(super) fn to_text(&self) -> String {
        let Self { function, iterations, salt, output } = self;
        let (salt, output) = (encode(salt), encode(output));
        format!("$pbkdf2-{}$i={iterations}${salt}${output}", function.name())
    }

    pub(super) fn is_of(&self, password: &[u8]) -> bool {
        let Self { function, iterations, salt, output } = self;
        // In constant time.
        pbkdf2::verify(function.algorithm(), *iterations, salt, password, output).is_ok()
    }
}

fn parts(text: &str) -> Option<[&str; 4]> {
    let parts: Vec<_> = text.split('$').collect();
    parts.try_into().ok()
}

impl Function {
    /// Passlib leaves out the name of SHA-1.
    fn named(name: &str) -> Option<Self> {
        match name {
            "" | "sha1" => Some(Self::Sha1),
            "sha256" => Some(Self::Sha256),
            "sha512" => Some(Self::Sha512),
            _ => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Sha1 => "sha1",
            Self::Sha256 => "sha256",
            Self::Sha512 => "sha512",
        }
    }

    fn algorithm(self) -> Algorithm {
        match self {
            Self::Sha1 => PBKDF2_HMAC_SHA1,
            Self::Sha256 => PBKDF2_HMAC_SHA256,
            Self::Sha512 => PBKDF2_HMAC_SHA512,
        }
    }
}
