//! The row that tells where the log begins and ends, and who vouches for it.

use contract::{Head, Incarnation, LogName, Position, RecordHash, UsersChecksum};
use shared::postgres::{Row, Session, Type};

use super::super::rewound::Seen;
use super::StoreError;
use super::place::Place;

/// The row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LogState {
    /// The log's own name, for life.
    pub(super) name: LogName,
    /// Who vouches for the log.
    pub(super) incarnation: Incarnation,
    /// The last record that was pruned.
    pub(super) start: Position,
    /// The last record.
    pub(super) end: Position,
    /// The checksum over all users.
    pub(super) checksum: UsersChecksum,
    /// No user had a higher id.
    pub(super) highest_id: i64,
    /// The last `log.rewound`; the position before the first record if there was none.
    pub(super) rewound: Position,
    /// The incarnation that it began.
    pub(super) rewound_by: Incarnation,
    /// Where the log was when this was written.
    pub(super) place: Place,
    /// By which rules the compared names were made.
    pub(super) name_rules: String,
}

/// The columns of [`LogState::head`], in the order of [`to_head`].
macro_rules! head_columns {
    () => {
        "incarnation, \"end\", checksum, name"
    };
}
pub(super) use head_columns;

/// How many columns a head has: what comes after them begins here.
pub(super) const HEAD_COLUMNS: usize = 4;

/// From a row that begins with the columns of a head.
pub(super) fn to_head(row: &Row) -> Result<Head, StoreError> {
    Ok(Head {
        incarnation: Incarnation(bytes(row, 0)?),
        position: position(row, 1)?,
        checksum: Some(UsersChecksum(bytes(row, 2)?)),
        log: Some(LogName(bytes(row, 3)?)),
    })
}

impl LogState {
    /// Reads the row.
    pub(super) async fn read(session: &Session) -> Result<Self, StoreError> {
        const SQL: &str = concat!(
            "SELECT ",
            head_columns!(),
            ", start, highest_id, rewound, rewound_by, place, timeline, name_rules FROM log_state"
        );
        let row = session.query_one(SQL, &[]).await?;
        let Head { incarnation, position: end, .. } = to_head(&row)?;
        Ok(Self {
            name: LogName(bytes(&row, 3)?),
            incarnation,
            start: position(&row, 4)?,
            end,
            checksum: UsersChecksum(bytes(&row, 2)?),
            highest_id: row.try_get(5)?,
            rewound: position(&row, 6)?,
            rewound_by: Incarnation(bytes(&row, 7)?),
            place: Place { database: row.try_get(8)?, timeline: row.try_get(9)? },
            name_rules: row.try_get(10)?,
        })
    }

    /// Writes the row, except its name.
    pub(super) async fn write(&self, session: &Session) -> Result<(), StoreError> {
        let sql = "UPDATE log_state SET incarnation = $1, start = $2, \"end\" = $3, checksum = $4,
                   highest_id = $5, rewound = $6, rewound_by = $7, place = $8, timeline = $9, name_rules = $10";
        let (start, end) = (self.start.to_bytes(), self.end.to_bytes());
        let rewound = self.rewound.to_bytes();
        session
            .execute(
                sql,
                &[
                    (&&self.incarnation.0[..], Type::BYTEA),
                    (&&start[..], Type::BYTEA),
                    (&&end[..], Type::BYTEA),
                    (&&self.checksum.0[..], Type::BYTEA),
                    (&self.highest_id, Type::INT8),
                    (&&rewound[..], Type::BYTEA),
                    (&&self.rewound_by.0[..], Type::BYTEA),
                    (&self.place.database, Type::TEXT),
                    (&self.place.timeline, Type::TEXT),
                    (&self.name_rules, Type::TEXT),
                ],
            )
            .await
            .map(drop)
    }

    /// The end of the log, as others are told.
    pub(super) fn head(&self) -> Head {
        let (incarnation, position) = (self.incarnation, self.end);
        let (checksum, log) = (Some(self.checksum), Some(self.name));
        Head { incarnation, position, checksum, log }
    }

    /// How far this process has seen the log once this state is committed.
    pub(super) fn seen(&self) -> Seen {
        Seen { end: self.head().cursor(), highest_id: self.highest_id }
    }

    /// The position of the last `log.rewound`, if there was one.
    pub(super) fn last_rewound(&self) -> Option<i64> {
        (self.rewound.seq > 0).then_some(self.rewound.seq)
    }
}

/// The hash of the record `seq`, as far as the table has it.
pub(super) async fn stored_hash(
    session: &Session,
    seq: i64,
) -> Result<Option<RecordHash>, StoreError> {
    let sql = "SELECT hash FROM user_log WHERE seq = $1";
    let rows = session.query(sql, &[(&seq, Type::INT8)]).await?;
    rows.first().map(|row| bytes(row, 0).map(RecordHash)).transpose()
}

/// The position in this column.
pub(super) fn position(row: &Row, column: usize) -> Result<Position, StoreError> {
    bytes(row, column).map(Position::from_bytes)
}

/// The bytes in this column, of which the schema checks the number.
pub(super) fn bytes<const N: usize>(row: &Row, column: usize) -> Result<[u8; N], StoreError> {
    let found: &[u8] = row.try_get(column)?;
    let mut bytes = [0; N];
    if found.len() == N {
        bytes.copy_from_slice(found);
    }
    Ok(bytes)
}
