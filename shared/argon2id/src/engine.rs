//! Separates the computation from the processor instructions that carry it out.

use std::fmt;

#[cfg(target_arch = "x86_64")]
use pulp::x86::{V3, V4};

use super::block::{self, Block};

/// How blocks are compressed. All engines give the same result.
#[derive(Clone, Copy, Debug)]
pub enum Engine {
    /// AVX-512: a block stays in registers.
    #[cfg(target_arch = "x86_64")]
    Avx512(V4),
    /// AVX2.
    #[cfg(target_arch = "x86_64")]
    Avx2(V3),
    /// Any processor.
    Portable,
}

impl Engine {
    /// The fastest engine that this processor supports, detected at run time: one binary serves
    /// all.
    pub fn detect() -> Self {
        Self::available().first().copied().unwrap_or(Self::Portable)
    }

    /// All engines that this processor supports, the fastest first.
    pub fn available() -> Vec<Self> {
        #[cfg(target_arch = "x86_64")]
        let wide = [V4::try_new().map(Self::Avx512), V3::try_new().map(Self::Avx2)];
        #[cfg(not(target_arch = "x86_64"))]
        let wide = [];
        wide.into_iter().flatten().chain([Self::Portable]).collect()
    }

    /// Compresses two blocks into a third, which is overwritten or, from the second pass on, XORed
    /// into.
    ///
    /// Choosing the engine for each block has no measurable cost. So all other code is ordinary
    /// code that exists only once.
    #[inline]
    pub(super) fn compress(
        self,
        previous: &Block,
        reference: &Block,
        target: &mut Block,
        adds: bool,
    ) {
        #[cfg(target_arch = "x86_64")]
        use super::avx::Compress;
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(lanes) => {
                lanes.vectorize(Compress { lanes, previous, reference, target, adds });
            }
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(lanes) => {
                lanes.vectorize(Compress { lanes, previous, reference, target, adds });
            }
            Self::Portable => block::compress(previous, reference, target, adds),
        }
    }
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(_) => "AVX-512",
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(_) => "AVX2",
            Self::Portable => "portable",
        })
    }
}
