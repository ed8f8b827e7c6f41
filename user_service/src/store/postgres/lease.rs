//! The publisher's lease: one row, which also has the published position.
//!
//! Only the database's clock counts. A lease that ends later than any that can be given now was given
//! by a clock that was ahead, or in a database that has been restored since: it is void.

use std::time::Duration;

use shared::postgres::{Session, Type};
use shared::secrets::random_bytes;

use super::super::lease::{LEASE_LENGTH, Lease, LeaseClaim, own_name};
use super::StoreError;

/// A process that may have the lease.
pub(super) struct Claimant {
    /// Names this run of the writer: nobody else renews its lease.
    id: [u8; 16],
    /// For operators.
    name: String,
}

impl Claimant {
    /// A new one.
    pub(super) fn new() -> Self {
        Self { id: random_bytes(), name: own_name() }
    }

    /// Takes or renews the lease, in one statement; tells who has it.
    ///
    /// A position that the log does not have is not recorded: the log went back, and what it has
    /// there now was never published.
    pub(super) async fn claim(
        &self,
        session: &Session,
        LeaseClaim { confirmed, length }: LeaseClaim,
    ) -> Result<Lease, StoreError> {
        let sql = "WITH mine AS (
                UPDATE published SET holder = $1, holder_name = $2,
                    until = clock_timestamp() + $3 * interval '1 millisecond',
                    seq = greatest(seq, (SELECT log.seq FROM user_log AS log
                                         WHERE log.seq = $4 AND log.hash = $5))
                WHERE holder = $1 OR until <= clock_timestamp()
                   OR until > clock_timestamp() + $6 * interval '1 millisecond'
                RETURNING holder_name, true AS is_ours, seq, until
            ), known AS (
                SELECT * FROM mine UNION ALL
                SELECT holder_name, false, seq, until FROM published
                WHERE NOT EXISTS (SELECT FROM mine)
            )
            SELECT holder_name, is_ours, seq,
                (extract(epoch FROM until - clock_timestamp()) * 1000)::bigint FROM known";
        let (length, longest) = (milliseconds(length), milliseconds(LEASE_LENGTH));
        let seq = confirmed.map(|place| place.seq);
        let hash = confirmed.map(|place| place.hash.0.to_vec());
        let row = session
            .query_one(
                sql,
                &[
                    (&&self.id[..], Type::BYTEA),
                    (&self.name, Type::TEXT),
                    (&length, Type::INT8),
                    (&seq, Type::INT8),
                    (&hash, Type::BYTEA),
                    (&longest, Type::INT8),
                ],
            )
            .await?;
        Ok(Lease {
            holder: row.try_get(0)?,
            is_ours: row.try_get(1)?,
            published: row.try_get(2)?,
            left: Duration::from_millis(u64::try_from(row.try_get::<_, i64>(3)?).unwrap_or(0)),
        })
    }

    /// Whether it has the lease now.
    pub(super) async fn is_holder(&self, session: &Session) -> Result<bool, StoreError> {
        let sql = "SELECT EXISTS (SELECT FROM published
                   WHERE holder = $1 AND until > clock_timestamp())";
        Ok(session.query_one(sql, &[(&&self.id[..], Type::BYTEA)]).await?.try_get(0)?)
    }
}

fn milliseconds(length: Duration) -> i64 {
    i64::try_from(length.as_millis()).unwrap_or(i64::MAX)
}
