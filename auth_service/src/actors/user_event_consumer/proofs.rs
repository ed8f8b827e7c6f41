//! Answers of user_service as proofs that the projection is on the log, and at its end.

use std::collections::VecDeque;

use contract::{Cursor, Incarnation};
use shared::tokens::token_set::BootTime;

/// Answers whose end of the log is not reached yet. Beyond that the later ones are left out: under
/// load the end of the newest is never reached.
const AWAITED_MAX: usize = 64;

/// What an answer proves once the projection has reached the end that it tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Proof {
    /// When its question was asked.
    pub(super) asked_at: BootTime,
    /// The run of user_service that vouches for the log.
    pub(super) incarnation: Incarnation,
    /// Where the log ended.
    pub(super) log_end_seq: i64,
}

/// The answers that will be proofs. An answer whose records were applied proves nothing before all of
/// the log that it tells of is applied: what is still missing may be a deletion.
#[derive(Debug, Default)]
pub(super) struct Proofs(VecDeque<Proof>);

impl Proofs {
    /// Notes an answer.
    pub(super) fn hear(&mut self, proof: Proof) {
        if self.0.len() < AWAITED_MAX {
            self.0.push_back(proof);
        }
    }

    /// The last of them whose end is reached with this cursor. What another run of user_service has
    /// said proves nothing any more.
    pub(super) fn take_reached(&mut self, applied: Cursor) -> Option<Proof> {
        self.0.retain(|proof| proof.incarnation == applied.incarnation);
        let mut reached = None;
        while let Some(proof) = self.0.pop_front_if(|proof| is_reached(proof, applied)) {
            reached = Some(proof);
        }
        reached
    }
}

fn is_reached(proof: &Proof, applied: Cursor) -> bool {
    proof.log_end_seq <= applied.position.seq
}

#[cfg(test)]
mod tests {
    use super::*;
    use contract::Position;

    fn cursor(run: u8, seq: i64) -> Cursor {
        let position = Position { seq, ..Position::default() };
        Cursor { incarnation: Incarnation([run; 16]), position }
    }

    fn proof(asked_at: i64, run: u8, log_end_seq: i64) -> Proof {
        let (asked_at, incarnation) = (BootTime(asked_at), Incarnation([run; 16]));
        Proof { asked_at, incarnation, log_end_seq }
    }

    #[test]
    fn an_answer_is_a_proof_when_its_end_of_the_log_is_applied() {
        let mut proofs = Proofs::default();
        proofs.hear(proof(1, 1, 5));
        assert_eq!(proofs.take_reached(cursor(1, 4)), None);
        proofs.hear(proof(2, 1, 5));
        proofs.hear(proof(3, 1, 9));
        assert_eq!(proofs.take_reached(cursor(1, 8)), Some(proof(2, 1, 5)));
        assert_eq!(proofs.take_reached(cursor(1, 8)), None, "no news");
        assert_eq!(proofs.take_reached(cursor(1, 9)), Some(proof(3, 1, 9)));
    }

    #[test]
    fn an_answer_of_another_run_proves_nothing() {
        let mut proofs = Proofs::default();
        proofs.hear(proof(1, 1, 5));
        proofs.hear(proof(2, 2, 3));
        assert_eq!(proofs.take_reached(cursor(2, 6)), Some(proof(2, 2, 3)));
        assert_eq!(proofs.take_reached(cursor(1, 6)), None, "forgotten");
    }

    #[test]
    fn a_projection_that_lags_keeps_the_earlier_ones() {
        let mut proofs = Proofs::default();
        (0..1_000).for_each(|n| proofs.hear(proof(n, 1, n)));
        let last = i64::try_from(AWAITED_MAX).unwrap() - 1;
        assert_eq!(proofs.take_reached(cursor(1, 2_000)), Some(proof(last, 1, last)));
    }
}
