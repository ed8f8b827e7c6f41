//! What a new token says.

use contract::token::ADMIN_SCOPE;
use contract::{Claims, Position, UserId};
use data_encoding::BASE64URL_NOPAD;
use shared::secrets::random_bytes;

use super::Api;
use crate::domain::Profile;

/// `client_id`: there is one client, for everybody who knows a password.
const CLIENT: &str = "lockstep";

/// The user whom a token is for.
pub(super) struct Subject {
    pub(super) id: UserId,
    pub(super) profile: Profile,
    pub(super) stamp: Position,
}

/// The session that a token belongs to.
pub(super) enum Session {
    /// It begins with this token.
    New,
    /// It began with another one.
    Continued {
        sid: String,
        /// When the password was given, in seconds since 1970.
        auth_time: i64,
    },
}

/// The claims of a token that is made now. It expires with its session at the latest.
pub(super) fn new_claims(subject: Subject, session: Session, api: &Api) -> Claims {
    let now_s = api.clock.unix_s();
    let jti = BASE64URL_NOPAD.encode(&random_bytes::<16>());
    let (sid, auth_time) = match session {
        Session::New => (jti.clone(), now_s),
        Session::Continued { sid, auth_time } => (sid, auth_time),
    };
    let is_admin = is_admin(subject.id, &subject.profile, api);
    let session_ends_s = auth_time.saturating_add(api.session_max_age_s);
    Claims {
        iss: api.rules.issuer.clone(),
        sub: subject.id.to_string(),
        aud: api.rules.audience.clone(),
        exp: now_s.saturating_add(api.token_lifetime_s).min(session_ends_s),
        iat: now_s,
        nbf: now_s - api.rules.leeway_s,
        sid,
        jti,
        auth_time,
        client_id: CLIENT.to_owned(),
        username: subject.profile.username,
        stamp: subject.stamp.encode(),
        scope: is_admin.then(|| ADMIN_SCOPE.to_owned()),
    }
}

/// By the log or by the setting.
pub(super) fn is_admin(id: UserId, profile: &Profile, api: &Api) -> bool {
    profile.is_admin || api.admins.contains(&id)
}
