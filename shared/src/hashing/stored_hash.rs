//! The forms of a stored hash: our own, and those of the systems that people move here from.
//!
//! A text is parsed once into a [`StoredHash`]. A foreign hash is stored in the form that
//! [`StoredHash::to_text`] gives, whatever tool it came from. It is replaced by one of ours at the
//! user's next login, by the mechanism that follows changes of our parameters.

mod argon2;
mod bcrypt;
mod fields;
mod pbkdf2;
mod scrypt;

pub(super) use self::argon2::Argon2Hash;
use self::bcrypt::BcryptHash;
use self::pbkdf2::Pbkdf2Hash;
use self::scrypt::ScryptHash;

/// The longest text, in bytes: every known form is shorter.
const TEXT_MAX: usize = 1024;

/// A hash that passwords can be compared with.
pub(super) enum StoredHash {
    /// Ours, or of another variant or version.
    Argon2(Argon2Hash),
    /// Of another system.
    Foreign(ForeignHash),
}

/// A hash that is not Argon2.
pub(super) enum ForeignHash {
    Bcrypt(BcryptHash),
    Pbkdf2(Pbkdf2Hash),
    Scrypt(ScryptHash),
}

/// Why a hash of another system is not taken over.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotTakenOver {
    /// It begins like none of the known forms.
    #[error(
        "is in no known form: known are Argon2, bcrypt, scrypt and PBKDF2, in PHC form or as Django \
         and Passlib write them"
    )]
    UnknownForm,
    /// It begins like one, and is not one.
    #[error("is not a valid {0} hash")]
    Malformed(&'static str),
    /// Verifying it would take too much memory or time.
    #[error("costs too much: {what} is {given}, and at most {limit} is accepted")]
    TooCostly {
        /// What is above its limit.
        what: &'static str,
        /// Its value in the hash.
        given: u64,
        /// The highest accepted value.
        limit: u64,
    },
}

impl StoredHash {
    /// Parses a text in any of the forms.
    ///
    /// # Errors
    /// It has another form; the cost is not looked at.
    pub(super) fn parse(text: &str) -> Result<Self, NotTakenOver> {
        if text.len() > TEXT_MAX {
            return Err(NotTakenOver::UnknownForm);
        }
        let of_django = |name: &str| text.strip_prefix(name)?.strip_prefix('$');
        if let Some(phc) = of_django("argon2") {
            return Argon2Hash::parse_phc(&format!("${phc}")).map(Self::Argon2);
        }
        if text.starts_with("$argon2") {
            return Argon2Hash::parse_phc(text).map(Self::Argon2);
        }
        let foreign = if let Some(bcrypt) = of_django("bcrypt") {
            ForeignHash::Bcrypt(BcryptHash::parse(bcrypt)?)
        } else if text.starts_with("bcrypt_sha256$") || text.starts_with("$2") {
            ForeignHash::Bcrypt(BcryptHash::parse(text)?)
        } else if text.starts_with("pbkdf2_") || text.starts_with("$pbkdf2") {
            ForeignHash::Pbkdf2(Pbkdf2Hash::parse(text)?)
        } else if ["scrypt$", "$scrypt$", "$firebase-scrypt$"].iter().any(|it| text.starts_with(it))
        {
            ForeignHash::Scrypt(ScryptHash::parse(text)?)
        } else {
            return Err(NotTakenOver::UnknownForm);
        };
        Ok(Self::Foreign(foreign))
    }

    /// Whether verifying it takes no more than the limits: about two seconds of one thread, and
    /// 128 MiB.
    ///
    /// # Errors
    /// What is above its limit.
    pub(super) fn check_cost(&self) -> Result<(), NotTakenOver> {
        match self {
            Self::Argon2(hash) => hash.check_cost(),
            Self::Foreign(ForeignHash::Bcrypt(hash)) => hash.check_cost(),
            Self::Foreign(ForeignHash::Pbkdf2(hash)) => hash.check_cost(),
            Self::Foreign(ForeignHash::Scrypt(hash)) => hash.check_cost(),
        }
    }

    /// The text that is stored.
    pub(super) fn to_text(&self) -> String {
        match self {
            Self::Argon2(hash) => hash.to_text(),
            Self::Foreign(ForeignHash::Bcrypt(hash)) => hash.to_text(),
            Self::Foreign(ForeignHash::Pbkdf2(hash)) => hash.to_text(),
            Self::Foreign(ForeignHash::Scrypt(hash)) => hash.to_text(),
        }
    }
}

impl ForeignHash {
    /// Whether it is the hash of this password.
    pub(super) fn is_of(&self, password: &[u8]) -> bool {
        match self {
            Self::Bcrypt(hash) => hash.is_of(password),
            Self::Pbkdf2(hash) => hash.is_of(password),
            Self::Scrypt(hash) => hash.is_of(password),
        }
    }
}

/// Refuses a cost above its limit.
fn at_most(what: &'static str, given: u64, limit: u64) -> Result<(), NotTakenOver> {
    if given <= limit { Ok(()) } else { Err(NotTakenOver::TooCostly { what, given, limit }) }
}

#[cfg(test)]
mod tests;
