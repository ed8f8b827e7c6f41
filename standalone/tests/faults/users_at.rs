//! user_service's database, wherever it is, as the checker reads it.

use std::error::Error;
use std::path::{Path, PathBuf};

use contract::RecordHash;
use rusqlite::{Connection, OpenFlags};
use serde_json::Value;
use testkit::postgres::Postgres;

use crate::history::{User, Users};

/// Reading fails while the database is away.
pub(crate) type Reading<T> = Result<T, Box<dyn Error>>;

/// Where it is.
#[derive(Clone, Copy)]
pub(crate) enum UsersAt<'a> {
    File(&'a Path),
    Server(&'a Postgres),
}

impl<'a> From<&'a PathBuf> for UsersAt<'a> {
    fn from(path: &'a PathBuf) -> Self {
        Self::File(path)
    }
}

impl<'a> From<&'a Postgres> for UsersAt<'a> {
    fn from(server: &'a Postgres) -> Self {
        Self::Server(server)
    }
}

/// What it has.
pub(crate) struct Found {
    pub(crate) users: Users,
    /// Numbers that the log lacks between its first and its last.
    pub(crate) log_gaps: i64,
    /// Names whose creation is in the log more than once.
    pub(crate) created_twice: Vec<String>,
}

/// The number and the hash of a record.
pub(crate) type End = (i64, String);

impl UsersAt<'_> {
    /// The log's last record.
    pub(crate) fn end(self) -> Reading<End> {
        match self {
            Self::File(path) => {
                let sql = "SELECT seq, lower(hex(hash)) FROM user_log ORDER BY seq DESC LIMIT 1";
                Ok(read_end(&open(path)?, sql, (0, RecordHash::default().to_string()))?)
            }
            Self::Server(server) => {
                let sql = "SELECT seq || ' ' || encode(hash, 'hex') FROM user_log
                           ORDER BY seq DESC LIMIT 1";
                let told = server.try_sql(sql)?;
                let Some((seq, hash)) = told.split_once(' ') else {
                    return Ok((0, RecordHash::default().to_string()));
                };
                Ok((seq.parse()?, hash.to_owned()))
            }
        }
    }

    /// Everything.
    pub(crate) fn read(self) -> Reading<Found> {
        match self {
            Self::File(path) => Ok(read_file(&open(path)?)?),
            Self::Server(server) => read_server(server),
        }
    }
}

/// Opens a file to read it.
pub(crate) fn open(path: &Path) -> rusqlite::Result<Connection> {
    Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)
}

/// What the statement tells, or the default.
pub(crate) fn read_end(connection: &Connection, sql: &str, default: End) -> rusqlite::Result<End> {
    match connection.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?))) {
        Err(rusqlite::Error::QueryReturnedNoRows) => Ok(default),
        other => other,
    }
}

/// The users that the statement lists.
pub(crate) fn list(connection: &Connection, sql: &str) -> rusqlite::Result<Users> {
    let mut statement = connection.prepare(sql)?;
    let rows = statement.query_map([], |row| {
        let (username, version, password_version) = (row.get(1)?, row.get(2)?, row.get(3)?);
        Ok((row.get(0)?, User { username, version, password_version }))
    })?;
    rows.collect()
}

fn read_file(users: &Connection) -> rusqlite::Result<Found> {
    let log_gaps = users.query_row(
        "SELECT coalesce(max(seq) - min(seq) + 1, 0) - count(*) FROM user_log",
        [],
        |row| row.get(0),
    )?;
    let mut twice = users.prepare(
        "SELECT data ->> '$.user.username' AS name FROM user_log WHERE kind = 'user.created.v1'
         GROUP BY name HAVING count(*) > 1",
    )?;
    let created_twice = twice.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    let users = list(users, "SELECT id, username, version, password_version FROM users")?;
    Ok(Found { users, log_gaps, created_twice })
}

fn read_server(server: &Postgres) -> Reading<Found> {
    let sql = "SELECT json_build_object(
        'users', (SELECT json_agg(json_build_array(id, username, version, password_version))
                  FROM users),
        'gaps', (SELECT coalesce(max(seq) - min(seq) + 1, 0) - count(*) FROM user_log),
        'twice', (SELECT json_agg(name) FROM (
            SELECT data::json -> 'user' ->> 'username' AS name FROM user_log
            WHERE kind = 'user.created.v1' GROUP BY 1 HAVING count(*) > 1) AS twice))";
    let told: Value = serde_json::from_str(&server.try_sql(sql)?)?;
    let rows = told["users"].as_array().cloned().unwrap_or_default();
    let users = rows.iter().map(to_user).collect::<Option<Users>>().ok_or("a row is strange")?;
    let names = told["twice"].as_array().cloned().unwrap_or_default();
    let created_twice = names.iter().map(|name| name.as_str().unwrap_or("?").to_owned()).collect();
    Ok(Found { users, log_gaps: told["gaps"].as_i64().ok_or("no gaps")?, created_twice })
}

fn to_user(row: &Value) -> Option<(i64, User)> {
    let number = |column: usize| row[column].as_i64();
    let (username, version) = (row[1].as_str()?.to_owned(), number(2)?);
    Some((number(0)?, User { username, version, password_version: number(3)? }))
}
