//! Whose hash is verified for a name that nobody has.

use contract::UserId;
use shared::secrets::SealingKeys;

/// Sets these fingerprints apart from those of requests.
const PURPOSE: &[u8] = b"stand-in for a name";

/// The lot of a name: it falls on the user whose stored hash is verified if nobody has the name, so
/// that the work is that of a stored hash (decision 0011).
///
/// It is always the same for a name. Nobody without the sealing key can compute it.
#[derive(Clone, Copy, Debug)]
pub struct Lot(u64);

impl Lot {
    /// The lot of a name in the form in which it is compared.
    pub fn of(username_key: &str, keys: &SealingKeys) -> Self {
        Self(keys.fingerprint_number(&[PURPOSE, username_key.as_bytes()]))
    }

    /// Where it falls among the users up to the highest id; every id is equally likely.
    ///
    /// This is the jump consistent hash of Lamping and Veach, in integers. A new user takes over
    /// only their share of the names, and no other name gets another stand-in. With a remainder of
    /// a division, anybody who creates a user would give nearly all unknown names another cost, and
    /// no known name.
    pub fn among(self, highest: UserId) -> UserId {
        let users = i128::from(highest.0);
        let (mut state, mut id, mut next) = (self.0, 1, 1);
        while next <= users {
            id = next;
            // The multiplier of the paper's linear congruential generator.
            state = state.wrapping_mul(2_862_933_555_777_941_757).wrapping_add(1);
            next = (id << 31) / i128::from((state >> 33) + 1) + 1;
        }
        UserId(i64::try_from(id).unwrap_or(highest.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lots() -> Vec<Lot> {
        let keys = SealingKeys::parse(&SealingKeys::generate()).unwrap();
        (0..8_000).map(|n| Lot::of(&format!("name{n}"), &keys)).collect()
    }

    #[test]
    fn all_users_stand_in_for_about_as_many_names() {
        let mut counts = [0; 8];
        for lot in lots() {
            counts[usize::try_from(lot.among(UserId(8)).0 - 1).unwrap()] += 1;
        }
        assert!(counts.iter().all(|count| (800..=1_200).contains(count)), "{counts:?}");
    }

    #[test]
    fn a_new_user_takes_over_a_share_and_all_other_names_keep_their_stand_in() {
        let mut taken = 0;
        for lot in lots() {
            let (before, after) = (lot.among(UserId(99)), lot.among(UserId(100)));
            assert!(after == before || after == UserId(100), "{before} {after}");
            taken += usize::from(after != before);
        }
        assert!((30..=150).contains(&taken), "{taken} of 8000");
    }

    #[test]
    fn it_falls_on_an_id_whatever_the_highest_is() {
        for lot in lots() {
            assert_eq!(lot.among(UserId(1)), UserId(1));
            for highest in [2, 1_000_000, i64::MAX] {
                assert!((1..=highest).contains(&lot.among(UserId(highest)).0));
            }
        }
    }
}
