//! The wire types: everything that another process may see, and nothing else.
//!
//! A type with `Serialize` is a promise to other processes, so only types of this crate derive it.

pub mod cursor;
pub mod event;
pub mod problem;
pub mod sync;
pub mod token;
pub mod token_exchange;
pub mod token_record;
pub mod topology;
pub mod user;

pub use cursor::{Cursor, Incarnation, LogName, Position, RecordHash, UsersChecksum};
pub use event::{
    EventKind, LogRecord, LogRewound, RecordData, SealedHash, SentRecord, UserChange, UserState,
};
pub use problem::{MemberError, ProblemDocument};
pub use sync::{
    Continue, Credit, EndSessions, Head, PasswordRehashed, SnapshotPart, SnapshotUser, SyncAnswer,
    SyncRequest,
};
pub use token::{Claims, SessionRevoked, TokenAnswer, TokenQuestion, TokenResponse, TokenVerdict};
pub use token_exchange::{
    Gaps, PartsAnswer, PartsQuestion, RecordWithAge, ReplicaId, TokenMarker, TokenRecords,
    TokenSetHead,
};
pub use token_record::TokenRecord;
pub use user::{UserId, UserRepresentation};
