//! The compared forms of names, rebuilt when the rules or the Unicode tables that produce them have
//! changed.

use contract::EventKind;
use rusqlite::{Connection, OptionalExtension, TransactionBehavior};
use shared::identity::{NAME_RULES, Username};

use super::super::ChangeError;
use super::{StoreError, log, users};
use crate::domain::{Credentials, User};

/// How many users are read at once.
const PAGE: u32 = 1_000;

/// Rebuilds the key of each user whose key differs under today's rules, with a record at `now_ms`,
/// all in one transaction. A user whose new key belongs to another user keeps the old key. Does
/// nothing if the database was written under today's rules.
pub(super) fn renew(connection: &mut Connection, now_ms: i64) -> Result<(), StoreError> {
    if rules(connection)?.as_deref() == Some(NAME_RULES) {
        return Ok(());
    }
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut after = 0;
    loop {
        let page = users::list(&transaction, after, PAGE)?;
        let Some(last) = page.last() else { break };
        after = last.id.0;
        for user in &page {
            renew_key(&transaction, user, now_ms)?;
        }
    }
    transaction.execute("INSERT OR REPLACE INTO name_rules VALUES (1, ?1)", [NAME_RULES])?;
    Ok(transaction.commit()?)
}

fn rules(connection: &Connection) -> Result<Option<String>, StoreError> {
    Ok(connection.query_row("SELECT rules FROM name_rules", [], |row| row.get(0)).optional()?)
}

fn renew_key(connection: &Connection, user: &User, now_ms: i64) -> Result<(), StoreError> {
    let username_key = Username::key_today(&user.username);
    if username_key == user.username_key {
        return Ok(());
    }
    let Some(Credentials { user, password_hash }) = users::find_credentials(connection, user.id)?
    else {
        return Ok(());
    };
    let user = User { username_key, ..user };
    match users::write(connection, &user, &password_hash) {
        // Neither the shown name nor the password has changed, so versions and positions stay.
        Ok(()) => log::append(connection, &EventKind::UPDATED, user.left(), now_ms, None).map(drop),
        Err(ChangeError::Store(error)) => Err(error),
        Err(_) => {
            tracing::warn!(
                id = %user.id,
                "under the current rules another user has the same name: rename one of them"
            );
            Ok(())
        }
    }
}
