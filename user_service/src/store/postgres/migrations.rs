//! The schema of the tables, and its migrations: each once, in order, by one process at a time.

use std::sync::Arc;

use shared::checking::CheckFailed;
use shared::postgres::{Session, Type};

use super::StoreError;
use super::transaction::commit_repeatable;

/// All migrations, in order.
const ALL: &[&str] = &[
    include_str!("../../../migrations/postgres/0001_users.sql"),
    include_str!("../../../migrations/postgres/0002_lease.sql"),
    include_str!("../../../migrations/postgres/0003_timeline.sql"),
    include_str!("../../../migrations/postgres/0004_moving.sql"),
    include_str!("../../../migrations/postgres/0005_administrators.sql"),
];

/// The oldest server that the statements here are tested with.
const OLDEST_SERVER: i32 = 15;

/// The lock is another than the log's: processes of the version before go on writing while a new one
/// waits here. The table of versions is made under it as well: `IF NOT EXISTS` fails when two
/// processes make it at once.
const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED;
    SELECT pg_advisory_xact_lock(7309475598860087662)";

/// The database cannot be used.
#[derive(Debug, thiserror::Error)]
enum Unusable {
    #[error("the server is PostgreSQL {0}: {OLDEST_SERVER} or later is needed")]
    OldServer(i32),
    #[error(
        "DATABASE_URL names a database of another application, which has a table {0}: give \
         Lockstep a database, or a schema, of its own"
    )]
    OtherApplication(String),
    #[error("a newer version of the program wrote the database (schema {0}): use that version")]
    NewerSchema(i32),
    #[error(
        "the role of DATABASE_URL may not create tables in this database, and Lockstep's are not \
         there: make it the owner of the database, or GRANT CREATE ON SCHEMA public"
    )]
    NoRights(#[source] StoreError),
    #[error("the tables of Lockstep are not there")]
    NoTables,
    #[error("an earlier version of the program wrote the database (schema {0})")]
    EarlierSchema(i32),
}

impl From<Unusable> for StoreError {
    fn from(unusable: Unusable) -> Self {
        Self::Failed(Arc::new(unusable))
    }
}

/// Brings the schema up to date.
pub(super) async fn run(session: &Session) -> Result<(), StoreError> {
    check_server(session).await?;
    // Without the lock first: a role that may not create tables can use those that are there.
    if version(session).await? == Some(latest()) {
        return Ok(());
    }
    session.run(BEGIN).await?;
    let present = if let Some(version) = version(session).await? {
        version
    } else {
        check_empty(session).await?;
        let create = "CREATE TABLE lockstep_schema (version integer NOT NULL);
                      INSERT INTO lockstep_schema VALUES (0)";
        session.run(create).await.map_err(without_rights)?;
        0
    };
    if present > latest() {
        return Err(Unusable::NewerSchema(present).into());
    }
    for migration in ALL.iter().skip(usize::try_from(present).unwrap_or(0)) {
        session.run(migration).await.map_err(without_rights)?;
    }
    let note = "UPDATE lockstep_schema SET version = $1";
    session.execute(note, &[(&latest(), Type::INT4)]).await?;
    commit_repeatable(session).await
}

/// Whether the schema is up to date; changes nothing.
pub(super) async fn check_present(session: &Session) -> Result<(), CheckFailed> {
    check_server(session).await?;
    let (unusable, repair) = match version(session).await? {
        None => (Unusable::NoTables, "start the service, or run `migrate`"),
        Some(present) if present < latest() => {
            (Unusable::EarlierSchema(present), "start this version on it, or run `migrate`")
        }
        Some(present) if present > latest() => (Unusable::NewerSchema(present), "use that version"),
        Some(_) => return Ok(()),
    };
    Err(CheckFailed::Unusable { problem: unusable.to_string(), repair: Some(repair) })
}

fn latest() -> i32 {
    i32::try_from(ALL.len()).unwrap_or(i32::MAX)
}

async fn check_server(session: &Session) -> Result<(), StoreError> {
    let sql = "SELECT current_setting('server_version_num')::integer / 10000";
    let major: i32 = session.query_one(sql, &[]).await?.try_get(0)?;
    if major < OLDEST_SERVER { Err(Unusable::OldServer(major).into()) } else { Ok(()) }
}

/// Which migrations were made; `None` if the tables are not there.
async fn version(session: &Session) -> Result<Option<i32>, StoreError> {
    // Not `to_regclass`: within a transaction it may remember that there was none before another
    // process made it.
    let is_there = "SELECT EXISTS (SELECT 1 FROM pg_class
                    WHERE relname = 'lockstep_schema' AND pg_table_is_visible(oid))";
    if !session.query_one(is_there, &[]).await?.try_get::<_, bool>(0)? {
        return Ok(None);
    }
    let row = session.query_one("SELECT version FROM lockstep_schema", &[]).await?;
    Ok(Some(row.try_get(0)?))
}

/// Tables of others must not be mixed with ours, which have common names.
async fn check_empty(session: &Session) -> Result<(), StoreError> {
    let sql = "SELECT relname::text FROM pg_class
               WHERE relnamespace = to_regnamespace(current_schema()) AND relkind IN ('r', 'p', 'v')
               ORDER BY relname LIMIT 1";
    match session.query(sql, &[]).await?.first() {
        Some(row) => Err(Unusable::OtherApplication(row.try_get(0)?).into()),
        None => Ok(()),
    }
}

fn without_rights(error: StoreError) -> StoreError {
    use shared::postgres::PostgresError::Refused;
    let is_about_rights = matches!(
        error.cause().downcast_ref(),
        Some(Refused { code, .. }) if code == "42501" || code == "3F000"
    );
    if is_about_rights { Unusable::NoRights(error).into() } else { error }
}
