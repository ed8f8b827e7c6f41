//! The compared forms of names, rebuilt when the rules or the Unicode tables that produce them have
//! changed.

use contract::EventKind;
use shared::identity::{NAME_RULES, Username};
use shared::postgres::Session;

use super::StoreError;
use super::group::Group;
use super::users;
use crate::domain::{Credentials, User};

/// How many users are read at once.
const PAGE: u32 = 1_000;

/// Rebuilds the key of each user whose key differs under today's rules, with a record. A user whose
/// new key belongs to another user keeps the old key. Does nothing if the database was written under
/// today's rules.
pub(super) async fn renew(group: &mut Group, session: &Session) -> Result<(), StoreError> {
    if group.state.name_rules == NAME_RULES {
        return Ok(());
    }
    let mut after = 0;
    loop {
        let page = users::list_credentials(session, after, PAGE).await?;
        let Some(last) = page.last() else { break };
        after = last.user.id.0;
        for known in page {
            renew_key(group, session, known).await?;
        }
    }
    NAME_RULES.clone_into(&mut group.state.name_rules);
    Ok(())
}

async fn renew_key(
    group: &mut Group,
    session: &Session,
    Credentials { user, password_hash }: Credentials,
) -> Result<(), StoreError> {
    let username_key = Username::key_today(&user.username);
    if username_key == user.username_key {
        return Ok(());
    }
    // Written at once: the next user may have the key that this one gives up.
    if !users::owners(session, std::slice::from_ref(&username_key)).await?.is_empty() {
        tracing::warn!(
            id = %user.id,
            "under the current rules another user has the same name: rename one of them"
        );
        return Ok(());
    }
    // A `log.rewound` of this transaction is not seen by its readers.
    let stamp = std::cmp::max_by_key(user.stamp, group.state.rewound, |place| place.seq);
    let user = User { username_key, stamp, ..user };
    // Neither the shown name nor the password has changed, so versions and positions stay.
    group.append(&EventKind::UPDATED, user.left().into(), None)?;
    users::update(session, &[&Credentials { user, password_hash }]).await
}
