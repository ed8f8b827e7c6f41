//! Randomness for secrets.

/// Random bytes of the system's generator.
///
/// # Panics
/// If the system has no random generator: continuing would not be safe.
#[expect(clippy::expect_used, reason = "without randomness no secret can be made")]
pub fn random_bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    aws_lc_rs::rand::fill(&mut bytes).expect("the system's random generator works");
    bytes
}
