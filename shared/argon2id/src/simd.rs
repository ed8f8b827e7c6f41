//! The compression function on vectors of any width.
//!
//! Everything is inlined into the one function of `avx` that enables the processor's instructions.
//! Code that is not inlined (a closure, say) would be compiled without them, and every addition
//! would become a call. Hence `#[inline(always)]`, and loops by index.

/// The operations of a set of vector instructions. A vector consists of one or more pairs of word
/// pairs.
pub(super) trait Lanes: Copy {
    /// A vector of four or eight words.
    type Vector: Copy;

    /// Adds word by word.
    fn add(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// Multiplies the low halves of the words.
    fn multiply(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// Exclusive or.
    fn xor(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
    /// Rotates each word to the right, by 32, 24, 16 or 63 bits.
    fn rotate<const BITS: i32>(self, a: Self::Vector) -> Self::Vector;
    /// Reorders each group of four words: two bits select the source of the first word, and so on.
    fn reorder<const ORDER: i32>(self, a: Self::Vector) -> Self::Vector;
    /// From each pair, the second word of `a` and the first word of `b`.
    fn straddle(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;
}

/// The four quarters of sixteen words, of as many lines as fit in `N` vectors: the first mix takes
/// a word of each.
pub(super) struct Quarters<S: Lanes, const N: usize> {
    pub(super) a: [S::Vector; N],
    pub(super) b: [S::Vector; N],
    pub(super) c: [S::Vector; N],
    pub(super) d: [S::Vector; N],
}

impl<S: Lanes, const N: usize> Quarters<S, N> {
    /// The permutation of rows: each vector contains four neighbouring words.
    #[inline(always)]
    pub(super) fn permute_rows(&mut self, s: S) {
        self.mix(s);
        reorder::<S, N, BY_ONE>(s, &mut self.b);
        reorder::<S, N, BY_TWO>(s, &mut self.c);
        reorder::<S, N, BY_THREE>(s, &mut self.d);
        self.mix(s);
        reorder::<S, N, BY_THREE>(s, &mut self.b);
        reorder::<S, N, BY_TWO>(s, &mut self.c);
        reorder::<S, N, BY_ONE>(s, &mut self.d);
    }

    /// The permutation of columns: a vector contains a pair of each column, and the quarter's other
    /// pair is in the next vector.
    #[inline(always)]
    pub(super) fn permute_columns(&mut self, s: S) {
        self.mix(s);
        turn_left(s, &mut self.b);
        swap(&mut self.c);
        turn_right(s, &mut self.d);
        self.mix(s);
        turn_right(s, &mut self.b);
        swap(&mut self.c);
        turn_left(s, &mut self.d);
    }

    #[inline(always)]
    fn mix(&mut self, s: S) {
        self.half_mix::<32, 24>(s);
        self.half_mix::<16, 63>(s);
    }

    /// Each step is applied to all vectors before the next: steps depend on each other, the vectors
    /// do not.
    #[inline(always)]
    fn half_mix<const D: i32, const B: i32>(&mut self, s: S) {
        add(s, &mut self.a, &self.b);
        xor_rotate::<S, N, D>(s, &mut self.d, &self.a);
        add(s, &mut self.c, &self.d);
        xor_rotate::<S, N, B>(s, &mut self.b, &self.c);
    }
}

/// The orders that rotate four words to the left.
const BY_ONE: i32 = 0b00_11_10_01;
const BY_TWO: i32 = 0b01_00_11_10;
const BY_THREE: i32 = 0b10_01_00_11;

/// The sum of both, and twice the product of their low halves.
#[inline(always)]
fn add<S: Lanes, const N: usize>(s: S, x: &mut [S::Vector; N], y: &[S::Vector; N]) {
    for i in 0..N {
        let product = s.multiply(x[i], y[i]);
        x[i] = s.add(s.add(x[i], y[i]), s.add(product, product));
    }
}

#[inline(always)]
fn xor_rotate<S: Lanes, const N: usize, const BITS: i32>(
    s: S,
    x: &mut [S::Vector; N],
    y: &[S::Vector; N],
) {
    for i in 0..N {
        x[i] = s.rotate::<BITS>(s.xor(x[i], y[i]));
    }
}

#[inline(always)]
fn reorder<S: Lanes, const N: usize, const ORDER: i32>(s: S, x: &mut [S::Vector; N]) {
    for vector in x {
        *vector = s.reorder::<ORDER>(*vector);
    }
}

/// Two neighbouring vectors contain a quarter: its four words are rotated by one.
#[inline(always)]
fn turn_left<S: Lanes, const N: usize>(s: S, x: &mut [S::Vector; N]) {
    let old = *x;
    for i in 0..N {
        x[i] = s.straddle(old[i], old[i ^ 1]);
    }
}

#[inline(always)]
fn turn_right<S: Lanes, const N: usize>(s: S, x: &mut [S::Vector; N]) {
    let old = *x;
    for i in 0..N {
        x[i] = s.straddle(old[i ^ 1], old[i]);
    }
}

#[inline(always)]
fn swap<V: Copy, const N: usize>(x: &mut [V; N]) {
    let old = *x;
    for i in 0..N {
        x[i] = old[i ^ 1];
    }
}
