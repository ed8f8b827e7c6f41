//! The bodies of requests, parsed, and the bodies of responses.

use actix_web::http::header;
use actix_web::{HttpResponse, HttpResponseBuilder};
use contract::{MemberError, UserId, UserRepresentation};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use shared::hashing::PasswordHash;
use shared::http::{CONSISTENCY_TOKEN, Members, Problem, ProblemKind};
use shared::identity::{Password, PasswordPolicy, Username};
use utoipa::ToSchema;

use super::Api;
use crate::domain::{User, Written};

/// A user to create.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
// The name, and one of the others.
#[schema(min_properties = 2)]
pub(super) struct NewUser {
    /// 1 to 64 characters allowed by RFC 8265 `UsernameCaseMapped`
    #[schema(value_type = String, min_length = 1, max_length = 64, example = "testuser")]
    pub(super) username: Username,
    /// By default 8 to 128 characters of any kind but control characters. Required, unless
    /// `password_hash` takes its place
    #[schema(value_type = Option<String>, format = "password", example = "testpassword",
             nullable = false)]
    pub(super) password: GivenPassword,
    /// In place of `password`, by an administrator alone: the hash that another system made of it.
    /// Argon2, bcrypt, scrypt or PBKDF2, in PHC form or as Django and Passlib write them. It is replaced at
    /// the user's first login
    #[schema(value_type = Option<String>, nullable = false)]
    #[expect(dead_code, reason = "a form of the member before, and kept for the schema")]
    password_hash: (),
}

/// What a new user logs in with.
pub(super) enum GivenPassword {
    /// It is hashed here.
    Password(Password),
    /// Another system has hashed it.
    Hash(PasswordHash),
}

/// The member with a hash in place of a password.
pub(super) const PASSWORD_HASH: &str = "password_hash";

/// The changes to a user: the name, the password, or both.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct UserChanges {
    /// The user's own id, as GET returns it; it cannot be changed
    #[schema(value_type = Option<i64>, minimum = 1, nullable = false)]
    #[expect(dead_code, reason = "compared with the path while parsing, and kept for the schema")]
    id: Option<UserId>,
    /// The new name
    #[schema(value_type = Option<String>, min_length = 1, max_length = 64,
             example = "newusername", nullable = false)]
    pub(super) username: Option<Username>,
    /// The new password; requires `current_password`
    #[schema(value_type = Option<String>, format = "password", example = "a new password",
             nullable = false)]
    pub(super) password: Option<Password>,
    /// The current password; only together with `password`. An administrator may leave it out
    // As it was given: a text with a control character is no stored password.
    #[schema(value_type = Option<String>, format = "password", example = "testpassword",
             nullable = false)]
    pub(super) current_password: Option<SecretString>,
}

impl NewUser {
    /// # Errors
    /// 400 for wrong members, 422 for values that break a rule.
    pub(super) fn parse(mut members: Members, api: &Api) -> Result<Self, Problem> {
        let username = members.string("username");
        let is_hashed = members.contains(PASSWORD_HASH);
        let hash = members.optional_secret(PASSWORD_HASH);
        let password = if is_hashed {
            members.optional_secret("password")
        } else {
            members.secret("password")
        };
        members.finish()?;
        // `finish` has already refused a body without them.
        let username = parse_username(username.as_deref().unwrap_or_default());
        let password = parse_given(password.as_ref(), hash.as_ref(), api.policy);
        match (username, password) {
            (Ok(username), Ok(password)) => {
                if let GivenPassword::Password(password) = &password {
                    check_guessable(password, username.key(), api)?;
                }
                Ok(Self { username, password, password_hash: () })
            }
            (username, password) => {
                Err(invalid(username.err().into_iter().chain(password.err()).collect()))
            }
        }
    }
}

impl UserChanges {
    /// # Errors
    /// 400 for wrong members, 422 for values that break a rule or do not go together.
    pub(super) fn parse(
        mut members: Members,
        path: UserId,
        policy: PasswordPolicy,
        needs_current_password: bool,
    ) -> Result<Self, Problem> {
        let id = members.optional_integer("id").map(UserId);
        let username = members.optional_string("username");
        let password = members.optional_secret("password");
        let current_password = members.optional_secret("current_password");
        members.finish()?;
        let mut errors = Vec::new();
        let mut note = |pointer: &str, detail: &str| errors.push(error(pointer, detail));
        if id.is_some_and(|id| id != path) {
            note("/id", "must be the id in the path: an id cannot be changed");
        }
        match (&username, &password, &current_password) {
            (_, Some(_), None) if needs_current_password => {
                note("/current_password", "is required to change the password");
            }
            (_, None, Some(_)) => note("/password", "is required together with current_password"),
            (None, None, None) => note("", "needs username, password or both"),
            _ => {}
        }
        let username = username.map(|given| parse_username(&given)).transpose();
        let password = password.map(|given| parse_password(&given, policy)).transpose();
        match (username, password) {
            (Ok(username), Ok(password)) if errors.is_empty() => {
                Ok(Self { id, username, password, current_password })
            }
            (username, password) => {
                errors.extend(username.err().into_iter().chain(password.err()));
                Err(invalid(errors))
            }
        }
    }
}

/// A new password in place of a forgotten one.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PasswordReset {
    /// From `POST /users/{user_id}/reset-token`
    #[schema(example = "AAAAAAAAAAE")]
    pub(super) reset_token: String,
    /// By default 8 to 128 characters of any kind but control characters
    #[schema(value_type = String, format = "password", example = "a new password")]
    pub(super) password: Password,
}

impl PasswordReset {
    /// # Errors
    /// 400 for wrong members, 422 for values that break a rule.
    pub(super) fn parse(mut members: Members, policy: PasswordPolicy) -> Result<Self, Problem> {
        let (token, password) = (members.string("reset_token"), members.secret("password"));
        members.finish()?;
        // `finish` has already refused a body without them.
        let password = parse_password(&password.unwrap_or_default(), policy);
        let password = password.map_err(|error| invalid(vec![error]))?;
        Ok(Self { reset_token: token.unwrap_or_default(), password })
    }
}

/// A reset token: exactly these members.
#[derive(Serialize, ToSchema)]
pub(super) struct ResetTokenResponse {
    /// Opaque
    #[schema(example = "AAAAAAAAAAE")]
    pub(super) reset_token: String,
    /// Seconds until it expires
    #[schema(example = 900)]
    pub(super) expires_in: i64,
}

fn parse_username(given: &str) -> Result<Username, MemberError> {
    Username::parse(given).map_err(|refused| error("/username", refused.to_string()))
}

fn parse_password(given: &SecretString, policy: PasswordPolicy) -> Result<Password, MemberError> {
    Password::parse(given, policy).map_err(|refused| error("/password", refused.to_string()))
}

fn parse_given(
    password: Option<&SecretString>,
    hash: Option<&SecretString>,
    policy: PasswordPolicy,
) -> Result<GivenPassword, MemberError> {
    match (password, hash) {
        (Some(password), None) => parse_password(password, policy).map(GivenPassword::Password),
        (None, Some(hash)) => {
            let taken = PasswordHash::take_over(hash.expose_secret());
            let taken = taken.map_err(|refused| error("/password_hash", refused.to_string()));
            taken.map(GivenPassword::Hash)
        }
        _ => Err(error("/password_hash", "takes the place of password: give one of them")),
    }
}

/// # Errors
/// 422 if the password is easy to guess.
pub(super) fn check_guessable(
    password: &Password,
    username_key: &str,
    api: &Api,
) -> Result<(), Problem> {
    let checked = api.blocklist.check(password, username_key);
    checked.map_err(|refused| invalid(vec![error("/password", refused.to_string())]))
}

fn error(pointer: &str, detail: impl Into<String>) -> MemberError {
    MemberError { pointer: pointer.into(), detail: detail.into() }
}

fn invalid(errors: Vec<MemberError>) -> Problem {
    Problem::new(ProblemKind::RefusedValue, "one or more values are invalid, see errors")
        .with_errors(errors)
}

/// The user as a response body: exactly these members.
pub(super) fn representation(user: &User) -> UserRepresentation {
    UserRepresentation { id: user.id, username: user.username.clone() }
}

/// The entity tag of the user's current state.
pub(super) fn etag(user: &User) -> (header::HeaderName, String) {
    (header::ETAG, ["\"", &user.tag(), "\""].concat())
}

/// The response to a write that leaves the user: that of [`written`], with the entity tag.
pub(super) fn left(mut builder: HttpResponseBuilder, change: &Written) -> HttpResponse {
    builder.insert_header(etag(&change.user));
    written(builder, change)
}

/// The response to a write: the user, and a token by which later requests can wait for the write.
pub(super) fn written(mut builder: HttpResponseBuilder, written: &Written) -> HttpResponse {
    builder
        .insert_header((CONSISTENCY_TOKEN, written.position.encode()))
        .json(representation(&written.user))
}
