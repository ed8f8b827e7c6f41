//! Who may do what.

use contract::{TokenVerdict, UserId};
use shared::actors::{Mailbox, ask};
use shared::audit::Actor;
use shared::http::{Bearer, NoBearer, Problem, ProblemKind, invalid_token, not_permitted};
use shared::secrets::AdminToken;

use crate::actors::UserReader;
use crate::actors::user_reader::FindUser;
use crate::auth_service_client::AuthServiceClient;
use crate::config::{self, Creators};

/// The most characters of a token that auth_service is asked about: ours have about a thousand.
const TOKEN_MAX: usize = 8 * 1024;

/// Decides who may do what.
#[derive(Clone)]
pub struct Access {
    /// Whether everybody may read, change and delete users.
    pub(crate) mode: config::Access,
    /// Who may create users, unless everybody may do everything.
    pub(crate) creators: Creators,
    /// The token of the first administrator.
    pub(crate) admin_token: AdminToken,
    /// Knows which tokens are alive.
    pub(crate) auth_service: AuthServiceClient,
    /// Knows the present security stamps.
    pub(crate) reader: Mailbox<UserReader>,
}

/// Who sends a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Caller {
    /// A user who is one, or whoever has the token of the first.
    Administrator(Option<UserId>),
    User(UserId),
}

impl Access {
    /// Lets administrators pass, also where access is open.
    ///
    /// # Errors
    /// 401, 403, or 503 if it cannot be told.
    pub(super) async fn require_admin(
        &self,
        bearer: Result<Bearer, NoBearer>,
    ) -> Result<Actor, Problem> {
        match self.identify(bearer).await? {
            Caller::Administrator(id) => Ok(Actor::Administrator(id)),
            Caller::User(_) => Err(not_permitted()),
        }
    }

    /// Lets those pass who may list all users.
    ///
    /// # Errors
    /// As for [`Access::require_admin`].
    pub(super) async fn may_list(&self, bearer: Result<Bearer, NoBearer>) -> Result<(), Problem> {
        if !self.is_open() {
            self.require_admin(bearer).await?;
        }
        Ok(())
    }

    /// Lets those pass who may create users.
    ///
    /// # Errors
    /// As for [`Access::require_admin`].
    pub(super) async fn may_create(
        &self,
        bearer: Result<Bearer, NoBearer>,
    ) -> Result<Actor, Problem> {
        if self.is_open() || self.creators == Creators::Anyone {
            return Ok(Actor::Anybody);
        }
        self.require_admin(bearer).await
    }

    /// Lets those pass who may read, change and delete this user. Whether the user exists is not told
    /// to others. Returns who it is, as far as that is asked.
    ///
    /// # Errors
    /// As for [`Access::require_admin`].
    pub(super) async fn may_use(
        &self,
        user: UserId,
        bearer: Result<Bearer, NoBearer>,
    ) -> Result<Actor, Problem> {
        if self.is_open() {
            return Ok(Actor::Anybody);
        }
        match self.identify(bearer).await? {
            Caller::User(id) if id != user => Err(not_permitted()),
            Caller::User(id) => Ok(Actor::User(id)),
            Caller::Administrator(id) => Ok(Actor::Administrator(id)),
        }
    }

    /// The same, also where access is open, for a change that administrators alone may make in this form.
    ///
    /// # Errors
    /// As for [`Access::require_admin`].
    pub(super) async fn may_set_password(
        &self,
        user: UserId,
        bearer: Result<Bearer, NoBearer>,
    ) -> Result<Actor, Problem> {
        match self.identify(bearer).await? {
            Caller::Administrator(id) => Ok(Actor::Administrator(id)),
            Caller::User(id) if id == user || self.is_open() => Ok(Actor::User(id)),
            Caller::User(_) => Err(not_permitted()),
        }
    }

    fn is_open(&self) -> bool {
        self.mode == config::Access::Open
    }

    /// A token counts if auth_service accepts it and its security stamp is the user's present one: of
    /// that this service is the truth, and auth_service may learn of it a moment later.
    async fn identify(&self, bearer: Result<Bearer, NoBearer>) -> Result<Caller, Problem> {
        let Bearer(token) = bearer?;
        if self.admin_token.is(&token) {
            return Ok(Caller::Administrator(None));
        }
        if !has_form_of_token(&token) {
            return Err(invalid_token());
        }
        let unknown = || {
            let detail = "whether the token is valid cannot be told at this moment";
            Problem::new(ProblemKind::NotYetKnown, detail)
        };
        // In a box of its own: every request of an open installation would carry the room for it.
        match Box::pin(self.auth_service.judge(&token)).await {
            Ok(TokenVerdict::Alive { id, stamp, is_admin }) => {
                let user = ask(&self.reader, FindUser(id)).await??;
                if user.is_none_or(|user| user.stamp != stamp) {
                    return Err(invalid_token());
                }
                Ok(if is_admin { Caller::Administrator(Some(id)) } else { Caller::User(id) })
            }
            Ok(TokenVerdict::Dead) => Err(invalid_token()),
            Ok(TokenVerdict::Unknown) => Err(unknown()),
            Err(error) => Err(unknown().with_source(error)),
        }
    }
}

/// Base64url words between dots: of anything else it is known without a question that it is no token.
fn has_form_of_token(text: &str) -> bool {
    let is_of_it = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    text.len() <= TOKEN_MAX
        && text.bytes().filter(|byte| *byte == b'.').count() == 2
        && text.bytes().all(is_of_it)
}
