//! What a client requires of a user's state before it changes the user.

use super::user::User;

/// A condition on the user's current state, as plain data, so that it can be evaluated in the
/// transaction of the change. Its terms are those of RFC 9110 section 13.1.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Precondition {
    /// Change the user whatever their state is.
    #[default]
    None,
    /// Change the user only if one of these tags is theirs, compared strongly.
    IfMatch(Tags),
    /// Change the user only if none of these tags is theirs, compared weakly.
    IfNoneMatch(Tags),
    /// Change the user only if both hold.
    Both {
        /// See [`Precondition::IfMatch`].
        if_match: Tags,
        /// See [`Precondition::IfNoneMatch`].
        if_none_match: Tags,
    },
}

/// Entity tags that a client names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tags {
    /// `*`: any state of a user who exists.
    Any,
    /// One of these.
    List(Vec<Tag>),
}

/// One entity tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tag {
    /// The text between the quotes, compared with [`User::tag`].
    pub opaque: String,
    /// The client marked it as weak: it never matches in a strong comparison.
    pub is_weak: bool,
}

impl Precondition {
    /// Whether this user may be changed. Not called for a user who does not exist: the response is
    /// 404 then, whatever the precondition says.
    pub fn holds(&self, user: &User) -> bool {
        match self {
            Self::None => true,
            Self::IfMatch(tags) => tags.match_strongly(user),
            Self::IfNoneMatch(tags) => !tags.match_weakly(user),
            Self::Both { if_match, if_none_match } => {
                if_match.match_strongly(user) && !if_none_match.match_weakly(user)
            }
        }
    }
}

impl Tags {
    /// Whether one of them is the user's, by the strong comparison of RFC 9110 section 8.8.3.2.
    pub fn match_strongly(&self, user: &User) -> bool {
        self.include(user, |tag| !tag.is_weak)
    }

    /// Whether one of them is the user's, by the weak comparison: weak tags count as well.
    pub fn match_weakly(&self, user: &User) -> bool {
        self.include(user, |_| true)
    }

    fn include(&self, user: &User, counts: impl Fn(&Tag) -> bool) -> bool {
        match self {
            Self::Any => true,
            Self::List(tags) => {
                let present = user.tag();
                tags.iter().any(|tag| counts(tag) && tag.opaque == present)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use contract::{Position, RecordHash, UserId};

    fn user() -> User {
        User {
            id: UserId(1),
            username: "anna".into(),
            username_key: "anna".into(),
            version: 2,
            password_version: 1,
            changed: position(2),
            stamp: position(1),
            is_admin: false,
        }
    }

    fn position(seq: i64) -> Position {
        Position { seq, hash: RecordHash([0xab; 16]) }
    }

    fn present() -> String {
        position(2).encode()
    }

    fn former() -> String {
        position(1).encode()
    }

    fn list(tags: &[(&str, bool)]) -> Tags {
        let tags = tags
            .iter()
            .map(|(opaque, is_weak)| Tag { opaque: (*opaque).into(), is_weak: *is_weak });
        Tags::List(tags.collect())
    }

    #[test]
    fn if_match_compares_strongly_and_takes_lists_and_the_star() {
        for (tags, holds) in [
            (Tags::Any, true),
            (list(&[(&present(), false)]), true),
            (list(&[("x", false), (&present(), false)]), true),
            (list(&[(&present(), true)]), false),
            (list(&[(&former(), false)]), false),
            (list(&[]), false),
        ] {
            assert_eq!(Precondition::IfMatch(tags.clone()).holds(&user()), holds, "{tags:?}");
        }
    }

    #[test]
    fn if_none_match_compares_weakly_and_the_star_refuses_every_user_who_exists() {
        for (tags, holds) in [
            (Tags::Any, false),
            (list(&[(&present(), false)]), false),
            (list(&[(&present(), true)]), false),
            (list(&[(&former(), false)]), true),
            (list(&[]), true),
        ] {
            assert_eq!(Precondition::IfNoneMatch(tags.clone()).holds(&user()), holds, "{tags:?}");
        }
    }

    #[test]
    fn both_headers_must_be_content() {
        let both = |if_none_match| Precondition::Both {
            if_match: list(&[(&present(), false)]),
            if_none_match,
        };
        assert!(both(list(&[(&former(), false)])).holds(&user()));
        assert!(!both(Tags::Any).holds(&user()));
        assert!(Precondition::None.holds(&user()));
    }
}
