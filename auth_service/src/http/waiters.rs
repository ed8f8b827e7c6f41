//! Requests of one worker that wait for news of the users.

use std::cell::RefCell;
use std::collections::HashMap;
use std::time::Duration;

use contract::token_record::TokenId;
use tokio::sync::watch;
use tokio::time::sleep;

use crate::actors::Applied;

/// How long a request waits at most: longer than it takes to know that user_service is out of reach,
/// and less than the 3 s for which proxies wait (docs/proxies.md).
pub(super) const WAIT_MAX: Duration = Duration::from_millis(2_800);
/// How many requests of one worker may wait; beyond that they are answered with 503 at once.
const WAITERS_MAX: usize = 512;
/// How many of one session may: nobody takes all the seats with one token.
const WAITERS_OF_SESSION_MAX: usize = 16;

/// How often a request that waits for a record looks by itself: the record counts a moment before the
/// projection shows it, and is forgotten elsewhere a moment after.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

/// Waits until the projection has moved, or it is time to look all the same.
pub(super) async fn until_next_look(applied: &mut watch::Receiver<Applied>) {
    tokio::select! {
        Ok(()) = applied.changed() => {}
        () = sleep(LOOK_INTERVAL) => {}
    }
}

/// Limits how many requests wait.
#[derive(Debug, Default)]
pub(super) struct Waiters(RefCell<HashMap<Option<TokenId>, usize>>);

/// A request that waits; dropping it frees its seat.
#[derive(Debug)]
pub(super) struct Seat<'a> {
    waiters: &'a Waiters,
    session: Option<TokenId>,
}

impl Waiters {
    /// A seat for a request, with a token of this session if it has one; `None` if all are taken.
    pub(super) fn enter(&self, session: Option<TokenId>) -> Option<Seat<'_>> {
        let mut seats = self.0.borrow_mut();
        let of_session = seats.get(&session).copied().unwrap_or_default();
        let is_full = seats.values().sum::<usize>() >= WAITERS_MAX
            || (session.is_some() && of_session >= WAITERS_OF_SESSION_MAX);
        if is_full {
            return None;
        }
        seats.insert(session, of_session + 1);
        Some(Seat { waiters: self, session })
    }
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        let mut seats = self.waiters.0.borrow_mut();
        if let Some(count) = seats.get_mut(&self.session) {
            *count -= 1;
            if *count == 0 {
                seats.remove(&self.session);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(number: usize) -> TokenId {
        TokenId(u128::try_from(number).unwrap().to_be_bytes())
    }

    #[test]
    fn only_so_many_requests_wait() {
        let waiters = Waiters::default();
        let mut seats: Vec<_> = (0..WAITERS_MAX).map(|n| waiters.enter(Some(session(n)))).collect();
        assert!(seats.iter().all(Option::is_some));
        assert!(
            waiters.enter(Some(session(WAITERS_MAX))).is_none() && waiters.enter(None).is_none()
        );
        seats.truncate(1);
        assert!(waiters.enter(None).is_some());
    }

    #[test]
    fn one_session_leaves_seats_for_the_others() {
        let waiters = Waiters::default();
        let seats: Vec<_> = (0..100).filter_map(|_| waiters.enter(Some(session(1)))).collect();
        assert_eq!(seats.len(), WAITERS_OF_SESSION_MAX);
        assert!(waiters.enter(Some(session(2))).is_some());
        drop(seats);
        assert!(waiters.enter(Some(session(1))).is_some());
        assert!(waiters.0.borrow().is_empty(), "nothing is left of those who went");
    }
}
