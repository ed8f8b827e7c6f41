//! Totals over all users, updated with each change: nobody has to read all users to learn them.

use std::collections::BTreeMap;

use contract::{SealedHash, UserId, UsersChecksum};
use rusqlite::{Connection, OptionalExtension, Row};
use shared::log_sync::user_checksum;

use super::super::StoreError;

/// The columns that [`Share`] is read from.
const COLUMNS: &str = "user_id, version, username, sealed_hash";

/// Totals over all users.
#[derive(Debug, Default)]
pub(super) struct Totals {
    pub(super) checksum: UsersChecksum,
    /// How many more hashes than before were sealed with each key.
    hashes: BTreeMap<String, i64>,
}

/// What one user adds to the totals.
pub(super) struct Share {
    checksum: UsersChecksum,
    /// Missing if the user's hash is not known.
    sealed_with: Option<String>,
}

impl Totals {
    /// Totals that changes will be added to.
    pub(super) fn at(checksum: UsersChecksum) -> Self {
        Self { checksum, ..Self::default() }
    }

    /// The totals over all rows, computed from each of them.
    pub(super) fn sum(connection: &Connection) -> Result<Self, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM credentials");
        let mut statement = connection.prepare_cached(&sql)?;
        let mut totals = Self::default();
        for share in statement.query_map([], read_share)? {
            totals.add(share?);
        }
        Ok(totals)
    }

    /// How many hashes were sealed with each key, if these totals are over all rows.
    pub(super) fn hash_counts(&self) -> Vec<(String, u64)> {
        let counts = self.hashes.iter();
        counts.map(|(sealed_with, count)| (sealed_with.clone(), count.cast_unsigned())).collect()
    }

    pub(super) fn add(&mut self, Share { checksum, sealed_with }: Share) {
        self.checksum = self.checksum.plus(checksum);
        self.count(sealed_with, 1);
    }

    pub(super) fn subtract(&mut self, Share { checksum, sealed_with }: Share) {
        self.checksum = self.checksum.minus(checksum);
        self.count(sealed_with, -1);
    }

    fn count(&mut self, sealed_with: Option<String>, change: i64) {
        if let Some(sealed_with) = sealed_with {
            *self.hashes.entry(sealed_with).or_default() += change;
        }
    }

    /// Adds the counts of hashes to the stored ones.
    pub(super) fn write_hash_counts(&self, connection: &Connection) -> rusqlite::Result<()> {
        for (sealed_with, change) in self.hashes.iter().filter(|(_, change)| **change != 0) {
            connection
                .prepare_cached(
                    "INSERT INTO hash_counts VALUES (?1, ?2)
                     ON CONFLICT (sealed_with) DO UPDATE SET count = count + excluded.count",
                )?
                .execute((sealed_with, change))?;
        }
        Ok(())
    }
}

/// What the stored user adds to the totals; none if there is no such user.
pub(super) fn share_of(connection: &Connection, id: UserId) -> Result<Option<Share>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM credentials WHERE user_id = ?1");
    Ok(connection.prepare_cached(&sql)?.query_row([id.0], read_share).optional()?)
}

fn read_share(row: &Row<'_>) -> rusqlite::Result<Share> {
    let username = row.get_ref(2)?.as_str()?;
    let sealed_hash = row.get_ref(3)?.as_str_or_null()?;
    Ok(Share {
        checksum: user_checksum(UserId(row.get(0)?), row.get(1)?, username),
        sealed_with: sealed_hash.map(|text| SealedHash::sealed_with(text).to_owned()),
    })
}

/// How many stored hashes were sealed with which key.
pub(in crate::store) fn find_hash_counts(
    connection: &Connection,
) -> Result<Vec<(String, u64)>, StoreError> {
    let sql = "SELECT sealed_with, count FROM hash_counts WHERE count > 0";
    let mut statement = connection.prepare_cached(sql)?;
    let rows =
        statement.query_map([], |row| Ok((row.get(0)?, row.get::<_, i64>(1)?.cast_unsigned())))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}
