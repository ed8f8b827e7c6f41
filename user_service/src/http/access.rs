//! Who may do what.

use shared::http::{Bearer, Problem, invalid_token};
use shared::secrets::AdminToken;

/// Decides who may do what.
#[derive(Clone)]
pub struct Access {
    /// The token of the first administrator.
    pub admin_token: AdminToken,
}

impl Access {
    /// Lets administrators pass.
    ///
    /// # Errors
    /// 401 for another token.
    pub(super) fn require_admin(&self, Bearer(token): &Bearer) -> Result<(), Problem> {
        if self.admin_token.is(token) { Ok(()) } else { Err(invalid_token()) }
    }
}
