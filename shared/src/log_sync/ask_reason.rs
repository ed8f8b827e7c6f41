//! Why a follower asks, for logs, metrics and the pause between two repairs.

/// Why the follower asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AskReason {
    /// The subscription is new.
    Connected,
    /// A record or head of an incarnation other than the cursor's.
    Incarnation,
    /// Records between the cursor and the one that arrived are missing.
    Gap,
    /// A record or head contradicts the hash of the cursor.
    RecordHash,
    /// A head is ahead of the cursor, and no record has arrived since the last head.
    LostTail,
    /// The answer was the first part of a longer one.
    More,
    /// The last question was long ago: the log may have gone on.
    Due,
    /// The last question was not answered in time.
    Unanswered,
    /// What comes next cannot be read or applied.
    Unappliable,
    /// The users here differ from those of user_service at the same position.
    Difference,
    /// The hashes here cannot be opened with the keys that the services share now.
    UnopenableHashes,
}

impl AskReason {
    /// All reasons.
    pub const ALL: [Self; 11] = [
        Self::Connected,
        Self::Incarnation,
        Self::Gap,
        Self::RecordHash,
        Self::LostTail,
        Self::More,
        Self::Due,
        Self::Unanswered,
        Self::Unappliable,
        Self::Difference,
        Self::UnopenableHashes,
    ];

    /// Records cannot repair this.
    pub fn needs_snapshot(self) -> bool {
        matches!(self, Self::Unappliable | Self::Difference | Self::UnopenableHashes)
    }

    /// The reason as a metric's label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connected => "connected",
            Self::Incarnation => "incarnation",
            Self::Gap => "gap",
            Self::RecordHash => "record_hash",
            Self::LostTail => "lost_tail",
            Self::More => "more",
            Self::Due => "due",
            Self::Unanswered => "unanswered",
            Self::Unappliable => "unappliable",
            Self::Difference => "difference",
            Self::UnopenableHashes => "unopenable_hashes",
        }
    }
}
