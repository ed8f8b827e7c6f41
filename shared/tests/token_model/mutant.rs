//! Ways to get it wrong, each of which other systems have tried.

/// What is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mutant {
    /// Tokens carry a counted password version instead of a place in the log.
    CounterForStamp,
    /// What is forgotten leaves nothing behind.
    NoHorizon,
    /// The horizon is what the clock says when something is forgotten.
    HorizonFromClock,
    /// Records are kept for as long as tokens live by today's setting.
    TodaysLifetime,
    /// After a restore the next user's id is the one that the copy says.
    IdsGivenAgain,
    /// A replica is ready when it has started, and trusts what it finds.
    ReadyWithoutAsking,
    /// Killed keys are forgotten in time.
    KilledKeysForgotten,
    /// A replica that is cut off trades tokens.
    RefreshWhileNotFresh,
    /// The set of another replica takes the place of one's own.
    SnapshotEmptiesOthers,
}
