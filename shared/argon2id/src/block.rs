//! A block of memory, and the compression function G (RFC 9106 section 3.5) on any processor.

/// 1 KiB as words: eight rows of sixteen.
///
/// An array, not a separate type, so that mapped memory can be viewed as blocks without `unsafe`.
pub type Block = [u64; 128];

/// Words of a row and of a column.
const LINE: usize = 16;

/// Compresses two blocks into a third, which is overwritten or, from the second pass on, XORed
/// into.
pub(super) fn compress(previous: &Block, reference: &Block, target: &mut Block, adds: bool) {
    let mut words = *previous;
    xor_into(&mut words, reference);
    for row in words.as_chunks_mut::<LINE>().0 {
        permute(row);
    }
    for column in 0..8 {
        permute_column(&mut words, column);
    }
    xor_into(&mut words, previous);
    xor_into(&mut words, reference);
    if adds {
        xor_into(target, &words);
    } else {
        *target = words;
    }
}

pub(super) fn xor_into(target: &mut Block, other: &Block) {
    for (word, other) in target.iter_mut().zip(other) {
        *word ^= other;
    }
}

/// A column is two words wide: it contains a pair from each row.
fn permute_column(words: &mut Block, column: usize) {
    let place = |n: usize| n / 2 * LINE + column * 2 + n % 2;
    let mut line = [0; LINE];
    for (n, word) in line.iter_mut().enumerate() {
        *word = words[place(n)];
    }
    permute(&mut line);
    for (n, word) in line.into_iter().enumerate() {
        words[place(n)] = word;
    }
}

/// The permutation P (section 3.6): BLAKE2b's round with an added multiplication.
#[inline(always)]
fn permute(v: &mut [u64; LINE]) {
    mix(v, [0, 4, 8, 12]);
    mix(v, [1, 5, 9, 13]);
    mix(v, [2, 6, 10, 14]);
    mix(v, [3, 7, 11, 15]);
    mix(v, [0, 5, 10, 15]);
    mix(v, [1, 6, 11, 12]);
    mix(v, [2, 7, 8, 13]);
    mix(v, [3, 4, 9, 14]);
}

#[inline(always)]
fn mix(v: &mut [u64; LINE], [a, b, c, d]: [usize; 4]) {
    v[a] = add(v[a], v[b]);
    v[d] = (v[d] ^ v[a]).rotate_right(32);
    v[c] = add(v[c], v[d]);
    v[b] = (v[b] ^ v[c]).rotate_right(24);
    v[a] = add(v[a], v[b]);
    v[d] = (v[d] ^ v[a]).rotate_right(16);
    v[c] = add(v[c], v[d]);
    v[b] = (v[b] ^ v[c]).rotate_right(63);
}

/// The sum of both, and twice the product of their low halves.
#[inline(always)]
fn add(a: u64, b: u64) -> u64 {
    const LOW: u64 = 0xffff_ffff;
    let product = (a & LOW).wrapping_mul(b & LOW);
    a.wrapping_add(b).wrapping_add(product).wrapping_add(product)
}
