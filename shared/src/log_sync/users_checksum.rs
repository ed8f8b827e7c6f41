//! The checksum over all users: comparing it shows whether two services have the same users.

use aws_lc_rs::digest::{Context, SHA256};

use contract::{UserId, UsersChecksum};

/// What one user adds to the checksum over all users.
///
/// The checksum is a sum and not an exclusive or, so that two equal mistakes do not cancel each
/// other out. It is updated in the transaction of each change, and does not depend on the order of
/// the users.
pub fn user_checksum(id: UserId, version: i64, username: &str) -> UsersChecksum {
    let mut context = Context::new(&SHA256);
    context.update(&id.0.to_be_bytes());
    context.update(&version.to_be_bytes());
    context.update(username.as_bytes());
    let mut checksum = UsersChecksum::default();
    checksum.0.copy_from_slice(&context.finish().as_ref()[..16]);
    checksum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_of_a_user_changes_the_checksum_and_the_order_of_users_does_not() {
        let user = |id, version, name| user_checksum(UserId(id), version, name);
        let anna = user(1, 1, "anna");
        for other in [user(2, 1, "anna"), user(1, 2, "anna"), user(1, 1, "Anna")] {
            assert_ne!(anna, other);
            let both = UsersChecksum::default().plus(anna).plus(other);
            assert_eq!(both, UsersChecksum::default().plus(other).plus(anna));
            assert_eq!(both.minus(anna), other);
        }
        assert_ne!(anna.plus(anna), UsersChecksum::default());
    }

    #[test]
    fn the_checksum_of_a_known_user_never_changes() {
        // Printed by `sha256sum` over the same bytes: databases store sums of this hash.
        let checksum = user_checksum(UserId(1), 1, "anna");
        assert_eq!(checksum.to_string(), "6f7e2a5879ec3ef3399b0f686fc7d50f");
    }
}
