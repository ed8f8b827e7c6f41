//! The parts of a hash's text.

use data_encoding::BASE64_NOPAD;

/// The fewest bytes of a hash: PHC's. With less, other passwords would match by chance.
const OUTPUT_MIN: usize = 10;
/// The most bytes of a hash: PHC's. More make no hash stronger, and some schemes slower.
const OUTPUT_MAX: usize = 64;

/// Decodes base64 with or without padding, and as Passlib and Firebase write it: with `.` or `-` in
/// place of `+`, and `_` of `/`.
pub(super) fn decode(text: &str) -> Option<Vec<u8>> {
    let standard = |character| match character {
        '.' | '-' => '+',
        '_' => '/',
        other => other,
    };
    let text: String = text.trim_end_matches('=').chars().map(standard).collect();
    BASE64_NOPAD.decode(text.as_bytes()).ok()
}

/// The same for the hash itself.
pub(super) fn decode_output(text: &str) -> Option<Vec<u8>> {
    decode(text).filter(|output| (OUTPUT_MIN..=OUTPUT_MAX).contains(&output.len()))
}

/// Encodes as PHC does.
pub(super) fn encode(bytes: &[u8]) -> String {
    BASE64_NOPAD.encode(bytes)
}

/// The values of `a=1,b=2`, which must have these names, in this order.
pub(super) fn numbers<const N: usize>(text: &str, names: [&str; N]) -> Option<[u32; N]> {
    let mut values = [0; N];
    let mut parts = text.split(',');
    for (value, name) in values.iter_mut().zip(names) {
        *value = parts.next()?.strip_prefix(name)?.strip_prefix('=')?.parse().ok()?;
    }
    parts.next().is_none().then_some(values)
}
