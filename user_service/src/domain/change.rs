//! What is said about a change of a user.

use std::fmt;
use std::sync::Arc;

use super::user::User;

/// What the client wants to hold of a user before it is changed. The domain does not know how the
/// client says so (by an entity tag), only how to ask.
#[derive(Clone)]
pub struct Precondition(Arc<dyn Fn(&User) -> bool + Send + Sync>);

impl Precondition {
    /// A precondition that holds for the users of whom `holds` is true.
    pub fn new(holds: impl Fn(&User) -> bool + Send + Sync + 'static) -> Self {
        Self(Arc::new(holds))
    }

    /// None: any user may be changed.
    pub fn none() -> Self {
        Self::new(|_| true)
    }

    /// Whether this user may be changed.
    pub fn holds(&self, user: &User) -> bool {
        (self.0)(user)
    }
}

impl fmt::Debug for Precondition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Precondition")
    }
}

/// A password that takes the place of another.
#[derive(Clone)]
pub struct NewPassword {
    /// The Argon2id hash of the new one, in PHC form.
    pub hash: String,
    /// The version of the password that the client was found to know.
    pub verified_password_version: i64,
}

impl fmt::Debug for NewPassword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NewPassword(verified {})", self.verified_password_version)
    }
}

/// A write that is on the disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// The user as the write left it; a deleted one as it last was.
    pub user: User,
    /// The place in the log that a follower must have reached to know of it.
    pub seq: i64,
}
