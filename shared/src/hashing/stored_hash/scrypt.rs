//! scrypt (RFC 7914): `$scrypt$ln=16,r=8,p=1$salt$hash` (PHC and Passlib; `ln` is the logarithm of N),
//! `scrypt$N$salt$r$p$hash` (Django, whose salt is the text itself), and Firebase's modification.
//!
//! Firebase's hash is the project's signer key, encrypted (AES-256 in counter mode) under the key that
//! scrypt makes of the password and of the user's salt with the project's separator behind it. Our form of it is
//! `$firebase-scrypt$ln=14,r=8,p=1$salt$separator$signer key$hash`.

use aws_lc_rs::cipher::{AES_256, EncryptingKey, EncryptionContext, UnboundCipherKey};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::iv::FixedLength;

use super::fields::{decode, decode_output, encode, numbers};
use super::{NotTakenOver, at_most};

const MEMORY_LIMIT: u64 = 128 * 1024 * 1024;
/// N times r times p.
const WORK_LIMIT: u64 = 4 * 1024 * 1024;
/// Bytes of an AES-256 key.
const AES_KEY_LEN: usize = 32;

/// An scrypt hash.
pub(in super::super) struct ScryptHash {
    cost: Cost,
    salt: Vec<u8>,
    output: Vec<u8>,
    firebase: Option<FirebaseProject>,
}

/// Its parameters, with which [`scrypt::Params`] can be made.
#[derive(Clone, Copy)]
struct Cost {
    log_n: u8,
    r: u32,
    p: u32,
}

/// What all hashes of a Firebase project share.
struct FirebaseProject {
    separator: Vec<u8>,
    signer_key: Vec<u8>,
}

impl ScryptHash {
    pub(super) fn parse(text: &str) -> Result<Self, NotTakenOver> {
        let parts: Vec<_> = text.split('$').collect();
        let read = match parts[..] {
            ["", "scrypt", cost, salt, output] => Self::read(cost, salt, output, None),
            ["scrypt", n, salt, r, p, output] => Self::read_django(salt, [n, r, p], output),
            ["", "firebase-scrypt", cost, salt, separator, signer_key, output] => {
                Self::read(cost, salt, output, Some((separator, signer_key)))
            }
            _ => None,
        };
        read.ok_or(NotTakenOver::Malformed("scrypt"))
    }

    fn read(cost: &str, salt: &str, output: &str, firebase: Option<(&str, &str)>) -> Option<Self> {
        let [log_n, r, p] = numbers(cost, ["ln", "r", "p"])?;
        let firebase = match firebase {
            Some(project) => Some(FirebaseProject::read(project)?),
            None => None,
        };
        let cost = Cost::new(log_n, r, p)?;
        Some(Self { cost, salt: decode(salt)?, output: decode_output(output)?, firebase })
    }

    fn read_django(salt: &str, cost: [&str; 3], output: &str) -> Option<Self> {
        let [n, r, p] = cost.map(|number| number.parse::<u32>().ok());
        let n = n.filter(|n| n.is_power_of_two())?;
        let cost = Cost::new(n.ilog2(), r?, p?)?;
        let salt = salt.as_bytes().to_vec();
        Some(Self { cost, salt, output: decode_output(output)?, firebase: None })
    }

    pub(super) fn check_cost(&self) -> Result<(), NotTakenOver> {
        let (n, r, p) = self.cost.factors();
        let memory = n.saturating_mul(r).saturating_mul(128);
        at_most("scrypt's memory in bytes (128 times N times r)", memory, MEMORY_LIMIT)?;
        let work = n.saturating_mul(r).saturating_mul(p);
        at_most("scrypt's N times r times p", work, WORK_LIMIT)
    }

    pub(super) fn to_text(&self) -> String {
        let Self { cost: Cost { log_n, r, p }, salt, output, firebase } = self;
        let (salt, output) = (encode(salt), encode(output));
        match firebase {
            None => format!("$scrypt$ln={log_n},r={r},p={p}${salt}${output}"),
            Some(FirebaseProject { separator, signer_key }) => {
                let (separator, key) = (encode(separator), encode(signer_key));
                format!("$firebase-scrypt$ln={log_n},r={r},p={p}${salt}${separator}${key}${output}")
            }
        }
    }

    pub(super) fn is_of(&self, password: &[u8]) -> bool {
        let Self { cost, salt, output, firebase } = self;
        let computed = match firebase {
            None => cost.derive(password, salt, output.len()),
            Some(project) => project.hash(*cost, password, salt),
        };
        computed.is_some_and(|computed| verify_slices_are_equal(&computed, output).is_ok())
    }
}

impl Cost {
    fn new(log_n: u32, r: u32, p: u32) -> Option<Self> {
        let cost = Self { log_n: log_n.try_into().ok()?, r, p };
        cost.params().map(|_| cost)
    }

    fn params(self) -> Option<scrypt::Params> {
        scrypt::Params::new(self.log_n, self.r, self.p).ok()
    }

    fn factors(self) -> (u64, u64, u64) {
        (1 << self.log_n, self.r.into(), self.p.into())
    }

    fn derive(self, password: &[u8], salt: &[u8], length: usize) -> Option<Vec<u8>> {
        let mut derived = vec![0; length];
        scrypt::scrypt(password, salt, &self.params()?, &mut derived).ok()?;
        Some(derived)
    }
}

impl FirebaseProject {
    fn read((separator, signer_key): (&str, &str)) -> Option<Self> {
        Some(Self { separator: decode(separator)?, signer_key: decode_output(signer_key)? })
    }

    fn hash(&self, cost: Cost, password: &[u8], salt: &[u8]) -> Option<Vec<u8>> {
        let derived = cost.derive(password, &[salt, &self.separator].concat(), AES_KEY_LEN)?;
        let key = UnboundCipherKey::new(&AES_256, &derived).ok()?;
        let mut encrypted = self.signer_key.clone();
        // The counter begins at zero: a key encrypts nothing else.
        let counter = EncryptionContext::Iv128(FixedLength::from([0; 16]));
        EncryptingKey::ctr(key).ok()?.less_safe_encrypt(&mut encrypted, counter).ok()?;
        Some(encrypted)
    }
}
