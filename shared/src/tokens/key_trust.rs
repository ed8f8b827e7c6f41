//! Which keys a replica trusts after it started.
//!
//! A token set that was lost or put back lacks the logouts since. Its own keys that it names are
//! killed, for it signed with them since the copy was made. Tokens of other replicas' keys may
//! have been logged out here meanwhile, so no other key is trusted until the whole set of another
//! replica has been merged, which has those logouts. A replica that finds itself alone trusts none.
//! If several replicas have such gaps, they trust the keys that each of them has made since.

use std::collections::BTreeSet;

use contract::token_record::KeyId;

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum KeyTrust {
    /// The set is whole.
    All,
    /// The set may lack something.
    MadeSince {
        /// The keys that were made since, here and by replicas whose sets have gaps, too.
        made_since: BTreeSet<KeyId>,
        /// Nobody answered who could fill the gap.
        is_alone: bool,
    },
}

/// Whether one key is trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Trust {
    /// Yes.
    Yes,
    /// Another replica's set is awaited.
    NotYet,
    /// No: as if it had never been published.
    No,
}

impl KeyTrust {
    /// For a `tokens.db` that is as this replica left it.
    pub fn of_a_kept_set() -> Self {
        Self::All
    }

    /// For a `tokens.db` that is new, restored or put back.
    pub fn of_a_set_with_gaps() -> Self {
        Self::MadeSince { made_since: BTreeSet::new(), is_alone: false }
    }

    /// This replica made a key.
    pub fn made(&mut self, kid: KeyId) {
        if let Self::MadeSince { made_since, .. } = self {
            made_since.insert(kid);
        }
    }

    /// Every part of the set of a replica that has gaps, too, has been merged. What was logged out
    /// of tokens that are signed with the keys that it has made since, one of the two knows.
    pub fn merged_set_with_gaps(&mut self, theirs: &Self) {
        if let (Self::MadeSince { made_since, .. }, Self::MadeSince { made_since: more, .. }) =
            (self, theirs)
        {
            made_since.extend(more);
        }
    }

    /// Every part of another replica's set in which it differed has been merged, and that replica's
    /// set was whole.
    pub fn merged_whole_set(&mut self) {
        *self = Self::All;
    }

    /// No other replica answered in time.
    pub fn found_nobody(&mut self) {
        if let Self::MadeSince { is_alone, .. } = self {
            *is_alone = true;
        }
    }

    /// Whether this replica's set can make another one's whole.
    pub fn is_whole(&self) -> bool {
        *self == Self::All
    }

    /// Whether tokens of the key are taken.
    pub fn of(&self, kid: &KeyId) -> Trust {
        match self {
            Self::All => Trust::Yes,
            Self::MadeSince { made_since, .. } if made_since.contains(kid) => Trust::Yes,
            Self::MadeSince { is_alone: true, .. } => Trust::No,
            Self::MadeSince { is_alone: false, .. } => Trust::NotYet,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: KeyId = KeyId([1; 32]);
    const OTHER: KeyId = KeyId([2; 32]);

    #[test]
    fn a_set_with_gaps_trusts_only_the_keys_that_were_made_since() {
        let mut trust = KeyTrust::of_a_set_with_gaps();
        trust.made(OWN);
        assert_eq!((trust.of(&OWN), trust.of(&OTHER)), (Trust::Yes, Trust::NotYet));
        trust.found_nobody();
        assert_eq!((trust.of(&OWN), trust.of(&OTHER)), (Trust::Yes, Trust::No));
        assert!(!trust.is_whole());
        trust.merged_whole_set();
        assert_eq!(trust.of(&OTHER), Trust::Yes);
        assert!(trust.is_whole());
    }

    #[test]
    fn two_replicas_with_gaps_trust_what_each_has_made_since() {
        let (mut ours, mut theirs) =
            (KeyTrust::of_a_set_with_gaps(), KeyTrust::of_a_set_with_gaps());
        theirs.made(OTHER);
        ours.merged_set_with_gaps(&theirs);
        assert_eq!(ours.of(&OTHER), Trust::Yes);
        assert_eq!(ours.of(&OWN), Trust::NotYet);
        assert!(!ours.is_whole());
    }

    #[test]
    fn a_set_that_was_kept_trusts_what_it_names() {
        let mut trust = KeyTrust::of_a_kept_set();
        trust.found_nobody();
        assert_eq!(trust.of(&OTHER), Trust::Yes);
    }
}
