//! The users in their current state.

use contract::UserId;
use shared::hashing::PasswordHash;
use shared::postgres::{Link, Parameter, Row, Session, Type};

use super::StoreError;
use super::log_state::position;
use crate::domain::{Credentials, User};

/// The columns of a user, in the order of [`to_user`]. After a `log.rewound` it is everybody's stamp;
/// that is found when reading, because writing it to all rows would take long with many users.
macro_rules! columns {
    () => {
        "id, username, username_key, version, password_version, changed,
         greatest(stamp, (SELECT rewound FROM log_state)) AS stamp, is_admin"
    };
}

/// The same with the hash, in the order of [`to_credentials`].
macro_rules! columns_with_hash {
    () => {
        concat!(columns!(), ", password_hash")
    };
}

/// From a row of `columns!`.
pub(super) fn to_user(row: &Row) -> Result<User, StoreError> {
    Ok(User {
        id: UserId(row.try_get(0)?),
        username: row.try_get(1)?,
        username_key: row.try_get(2)?,
        version: row.try_get(3)?,
        password_version: row.try_get(4)?,
        changed: position(row, 5)?,
        stamp: position(row, 6)?,
        is_admin: row.try_get(7)?,
    })
}

/// From a row of `columns_with_hash!`.
pub(super) fn to_credentials(row: &Row) -> Result<Credentials, StoreError> {
    let password_hash = PasswordHash::from_phc(row.try_get::<_, String>(8)?);
    Ok(Credentials { user: to_user(row)?, password_hash })
}

/// The user with this id.
pub(super) async fn find(link: &Link, id: UserId) -> Result<Option<User>, StoreError> {
    const SQL: &str = concat!("SELECT ", columns!(), " FROM users WHERE id = $1");
    let rows = link.query(SQL, &[(&id.0, Type::INT8)]).await?;
    rows.first().map(to_user).transpose()
}

/// The user whose name has this key.
pub(super) async fn find_by_key(link: &Link, key: &str) -> Result<Option<User>, StoreError> {
    const SQL: &str = concat!("SELECT ", columns!(), " FROM users WHERE username_key = $1");
    // No text of PostgreSQL contains NUL, and asking for one is an error.
    if key.contains('\0') {
        return Ok(None);
    }
    let rows = link.query(SQL, &[(&key, Type::TEXT)]).await?;
    rows.first().map(to_user).transpose()
}

/// The user with this id, and their hash.
pub(super) async fn find_credentials(
    link: &Link,
    id: UserId,
) -> Result<Option<Credentials>, StoreError> {
    const SQL: &str = concat!("SELECT ", columns_with_hash!(), " FROM users WHERE id = $1");
    let rows = link.query(SQL, &[(&id.0, Type::INT8)]).await?;
    rows.first().map(to_credentials).transpose()
}

/// Up to `limit` users with ids above `after`, in order of their ids.
pub(super) async fn list(link: &Link, after: i64, limit: u32) -> Result<Vec<User>, StoreError> {
    const SQL: &str =
        concat!("SELECT ", columns!(), " FROM users WHERE id > $1 ORDER BY id LIMIT $2");
    link.query(SQL, &page(&after, &i64::from(limit))).await?.iter().map(to_user).collect()
}

/// The administrators, in order of their ids.
pub(super) async fn list_admins(link: &Link) -> Result<Vec<User>, StoreError> {
    const SQL: &str = concat!("SELECT ", columns!(), " FROM users WHERE is_admin ORDER BY id");
    link.query(SQL, &[]).await?.iter().map(to_user).collect()
}

/// Like [`list`], with their hashes.
pub(super) async fn list_credentials(
    session: &Session,
    after: i64,
    limit: u32,
) -> Result<Vec<Credentials>, StoreError> {
    const SQL: &str =
        concat!("SELECT ", columns_with_hash!(), " FROM users WHERE id > $1 ORDER BY id LIMIT $2");
    let rows = session.query(SQL, &page(&after, &i64::from(limit))).await?;
    rows.iter().map(to_credentials).collect()
}

fn page<'a>(after: &'a i64, limit: &'a i64) -> [Parameter<'a>; 2] {
    [(after, Type::INT8), (limit, Type::INT8)]
}

/// Those with these ids, and their hashes.
pub(super) async fn with_ids(
    session: &Session,
    ids: &[i64],
) -> Result<Vec<Credentials>, StoreError> {
    const SQL: &str = concat!("SELECT ", columns_with_hash!(), " FROM users WHERE id = ANY ($1)");
    let rows = session.query(SQL, &[(&ids, Type::INT8_ARRAY)]).await?;
    rows.iter().map(to_credentials).collect()
}

/// Who has names with these keys.
pub(super) async fn owners(
    session: &Session,
    keys: &[String],
) -> Result<Vec<(String, UserId)>, StoreError> {
    let sql = "SELECT username_key, id FROM users WHERE username_key = ANY ($1)";
    let rows = session.query(sql, &[(&keys, Type::TEXT_ARRAY)]).await?;
    rows.iter().map(|row| Ok((row.try_get(0)?, UserId(row.try_get(1)?)))).collect()
}

/// Removes these users.
pub(super) async fn delete(session: &Session, ids: &[i64]) -> Result<(), StoreError> {
    let sql = "DELETE FROM users WHERE id = ANY ($1)";
    session.execute(sql, &[(&ids, Type::INT8_ARRAY)]).await.map(drop)
}

/// Adds these users.
pub(super) async fn insert(session: &Session, users: &[&Credentials]) -> Result<(), StoreError> {
    let sql = "INSERT INTO users (id, version, password_version, username, username_key,
                                  password_hash, changed, stamp, is_admin)
               SELECT * FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9)";
    Columns::of(users).execute(session, sql).await
}

/// Writes the present state of these users, in one statement: they may have exchanged their names.
pub(super) async fn update(session: &Session, users: &[&Credentials]) -> Result<(), StoreError> {
    let sql = "UPDATE users SET version = new.version, password_version = new.password_version,
                   username = new.username, username_key = new.username_key,
                   password_hash = new.password_hash, changed = new.changed, stamp = new.stamp,
                   is_admin = new.is_admin
               FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9)
                   AS new (id, version, password_version, username, username_key,
                           password_hash, changed, stamp, is_admin)
               WHERE users.id = new.id";
    Columns::of(users).execute(session, sql).await
}

/// Many users as one parameter for each column.
struct Columns<'a> {
    numbers: [Vec<i64>; 3],
    texts: [Vec<&'a str>; 3],
    positions: [Vec<Vec<u8>>; 2],
    are_admins: Vec<bool>,
}

impl<'a> Columns<'a> {
    fn of(users: &[&'a Credentials]) -> Self {
        let each = || users.iter().map(|known| &known.user);
        Self {
            numbers: [
                each().map(|user| user.id.0).collect(),
                each().map(|user| user.version).collect(),
                each().map(|user| user.password_version).collect(),
            ],
            texts: [
                each().map(|user| user.username.as_str()).collect(),
                each().map(|user| user.username_key.as_str()).collect(),
                users.iter().map(|known| known.password_hash.expose_phc()).collect(),
            ],
            positions: [
                each().map(|user| user.changed.to_bytes().to_vec()).collect(),
                each().map(|user| user.stamp.to_bytes().to_vec()).collect(),
            ],
            are_admins: each().map(|user| user.is_admin).collect(),
        }
    }

    async fn execute(&self, session: &Session, sql: &str) -> Result<(), StoreError> {
        let Self { numbers, texts, positions, are_admins } = self;
        let numbers = numbers.iter().map(|column| -> Parameter<'_> { (column, Type::INT8_ARRAY) });
        let texts = texts.iter().map(|column| -> Parameter<'_> { (column, Type::TEXT_ARRAY) });
        let positions =
            positions.iter().map(|column| -> Parameter<'_> { (column, Type::BYTEA_ARRAY) });
        let are_admins: Parameter<'_> = (are_admins, Type::BOOL_ARRAY);
        let all: Vec<_> = numbers.chain(texts).chain(positions).chain([are_admins]).collect();
        session.execute(sql, &all).await.map(drop)
    }
}
