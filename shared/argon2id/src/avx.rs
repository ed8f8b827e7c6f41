//! The compression function on AVX-512 and on AVX2, through the safe tokens of `pulp`: a token
//! proves that the processor has the instructions.

use std::arch::x86_64::{__m256i, __m512i};

use bytemuck::{cast_mut, cast_ref};
use pulp::x86::{V3, V4};
use pulp::{NullaryFnOnce, cast};

use super::block::Block;
use super::simd::{Lanes, Quarters};

/// One call of the compression function; a struct, because `pulp` needs it to inline the call.
pub(super) struct Compress<'a, S> {
    pub(super) lanes: S,
    pub(super) previous: &'a Block,
    pub(super) reference: &'a Block,
    pub(super) target: &'a mut Block,
    pub(super) adds: bool,
}

impl NullaryFnOnce for Compress<'_, V4> {
    type Output = ();

    /// The whole block is in 16 of the 32 registers.
    #[inline(always)]
    fn call(self) {
        let s = self.lanes;
        let previous: &[[u64; 8]; 16] = cast_ref(self.previous);
        let reference: &[[u64; 8]; 16] = cast_ref(self.reference);
        let target: &mut [[u64; 8]; 16] = cast_mut(self.target);

        let mut v: [__m512i; 16] = cast([0_u64; 128]);
        for i in 0..16 {
            v[i] = s.xor(cast(previous[i]), cast(reference[i]));
        }
        permute_rows(s, &mut v);
        permute_columns(s, &mut v);
        for i in 0..16 {
            let mut output = s.xor(v[i], s.xor(cast(previous[i]), cast(reference[i])));
            if self.adds {
                output = s.xor(output, cast(target[i]));
            }
            target[i] = cast(output);
        }
    }
}

/// A row is two vectors. For the permutation, a vector contains a quarter of two rows.
#[inline(always)]
fn permute_rows(s: V4, v: &mut [__m512i; 16]) {
    let mut q = Quarters::<V4, 4> { a: [v[0]; 4], b: [v[0]; 4], c: [v[0]; 4], d: [v[0]; 4] };
    for i in 0..4 {
        (q.a[i], q.b[i]) = halves(s, v[4 * i], v[4 * i + 2]);
        (q.c[i], q.d[i]) = halves(s, v[4 * i + 1], v[4 * i + 3]);
    }
    q.permute_rows(s);
    for i in 0..4 {
        (v[4 * i], v[4 * i + 2]) = halves(s, q.a[i], q.b[i]);
        (v[4 * i + 1], v[4 * i + 3]) = halves(s, q.c[i], q.d[i]);
    }
}

/// The first halves of both, and the second halves.
#[inline(always)]
fn halves(s: V4, x: __m512i, y: __m512i) -> (__m512i, __m512i) {
    let f = s.avx512f;
    (f._mm512_shuffle_i64x2::<0b01_00_01_00>(x, y), f._mm512_shuffle_i64x2::<0b11_10_11_10>(x, y))
}

/// The first four columns are in the even vectors, the others in the odd ones.
#[inline(always)]
fn permute_columns(s: V4, v: &mut [__m512i; 16]) {
    let mut q = Quarters::<V4, 4> {
        a: [v[0], v[2], v[1], v[3]],
        b: [v[4], v[6], v[5], v[7]],
        c: [v[8], v[10], v[9], v[11]],
        d: [v[12], v[14], v[13], v[15]],
    };
    q.permute_columns(s);
    [v[0], v[2], v[1], v[3]] = q.a;
    [v[4], v[6], v[5], v[7]] = q.b;
    [v[8], v[10], v[9], v[11]] = q.c;
    [v[12], v[14], v[13], v[15]] = q.d;
}

impl NullaryFnOnce for Compress<'_, V3> {
    type Output = ();

    /// The block is twice as large as the 16 registers, so this works on two rows or two columns at
    /// a time.
    #[inline(always)]
    fn call(self) {
        let s = self.lanes;
        let previous: &[[u64; 4]; 32] = cast_ref(self.previous);
        let reference: &[[u64; 4]; 32] = cast_ref(self.reference);
        let target: &mut [[u64; 4]; 32] = cast_mut(self.target);

        let mut v: [__m256i; 32] = cast([0_u64; 128]);
        for i in 0..32 {
            v[i] = s.xor(cast(previous[i]), cast(reference[i]));
        }
        for rows in 0..4 {
            let mut q = gather(&v, [8 * rows, 8 * rows + 4], 1);
            q.permute_rows(s);
            scatter(&q, &mut v, [8 * rows, 8 * rows + 4], 1);
        }
        for columns in 0..4 {
            let mut q = gather(&v, [columns, columns + 4], 8);
            q.permute_columns(s);
            scatter(&q, &mut v, [columns, columns + 4], 8);
        }
        for i in 0..32 {
            let mut output = s.xor(v[i], s.xor(cast(previous[i]), cast(reference[i])));
            if self.adds {
                output = s.xor(output, cast(target[i]));
            }
            target[i] = cast(output);
        }
    }
}

/// Two vectors of each quarter; the quarters are `step` vectors apart.
#[inline(always)]
fn gather(v: &[__m256i; 32], [x, y]: [usize; 2], step: usize) -> Quarters<V3, 2> {
    Quarters {
        a: [v[x], v[y]],
        b: [v[x + step], v[y + step]],
        c: [v[x + 2 * step], v[y + 2 * step]],
        d: [v[x + 3 * step], v[y + 3 * step]],
    }
}

#[inline(always)]
fn scatter(q: &Quarters<V3, 2>, v: &mut [__m256i; 32], [x, y]: [usize; 2], step: usize) {
    [v[x], v[y]] = q.a;
    [v[x + step], v[y + step]] = q.b;
    [v[x + 2 * step], v[y + 2 * step]] = q.c;
    [v[x + 3 * step], v[y + 3 * step]] = q.d;
}

impl Lanes for V4 {
    type Vector = __m512i;

    #[inline(always)]
    fn add(self, a: __m512i, b: __m512i) -> __m512i {
        self.avx512f._mm512_add_epi64(a, b)
    }
    #[inline(always)]
    fn multiply(self, a: __m512i, b: __m512i) -> __m512i {
        self.avx512f._mm512_mul_epu32(a, b)
    }
    #[inline(always)]
    fn xor(self, a: __m512i, b: __m512i) -> __m512i {
        self.avx512f._mm512_xor_si512(a, b)
    }
    #[inline(always)]
    fn rotate<const BITS: i32>(self, a: __m512i) -> __m512i {
        self.avx512f._mm512_ror_epi64::<BITS>(a)
    }
    #[inline(always)]
    fn reorder<const ORDER: i32>(self, a: __m512i) -> __m512i {
        self.avx512f._mm512_permutex_epi64::<ORDER>(a)
    }
    #[inline(always)]
    fn straddle(self, a: __m512i, b: __m512i) -> __m512i {
        self.avx512bw._mm512_alignr_epi8::<8>(b, a)
    }
}

impl Lanes for V3 {
    type Vector = __m256i;

    #[inline(always)]
    fn add(self, a: __m256i, b: __m256i) -> __m256i {
        self.avx2._mm256_add_epi64(a, b)
    }
    #[inline(always)]
    fn multiply(self, a: __m256i, b: __m256i) -> __m256i {
        self.avx2._mm256_mul_epu32(a, b)
    }
    #[inline(always)]
    fn xor(self, a: __m256i, b: __m256i) -> __m256i {
        self.avx2._mm256_xor_si256(a, b)
    }
    /// AVX2 has no rotation of words, but it can permute bytes.
    #[inline(always)]
    fn rotate<const BITS: i32>(self, a: __m256i) -> __m256i {
        match BITS {
            32 => self.avx2._mm256_shuffle_epi32::<0b10_11_00_01>(a),
            24 => self.avx2._mm256_shuffle_epi8(a, cast(const { bytes_turned_by(3) })),
            16 => self.avx2._mm256_shuffle_epi8(a, cast(const { bytes_turned_by(2) })),
            _ => self.xor(self.avx2._mm256_srli_epi64::<63>(a), self.add(a, a)),
        }
    }
    #[inline(always)]
    fn reorder<const ORDER: i32>(self, a: __m256i) -> __m256i {
        self.avx2._mm256_permute4x64_epi64::<ORDER>(a)
    }
    #[inline(always)]
    fn straddle(self, a: __m256i, b: __m256i) -> __m256i {
        self.avx2._mm256_alignr_epi8::<8>(b, a)
    }
}

/// The source of each byte of a word when the word is rotated to the right by whole bytes. The
/// instruction counts from the start of each pair of words.
const fn bytes_turned_by(bytes: u8) -> [u8; 32] {
    let mut places = [0; 32];
    let mut n = 0;
    while n < 32 {
        places[n as usize] = n & 8 | (n + bytes) & 7;
        n += 1;
    }
    places
}
