//! The seam between what is computed and the processor that does it.

use std::fmt;

#[cfg(target_arch = "x86_64")]
use pulp::x86::{V3, V4};

use super::block::{self, Block};

/// How blocks are compressed. All ways give the same.
#[derive(Clone, Copy, Debug)]
pub enum Engine {
    /// AVX-512: a block in registers.
    #[cfg(target_arch = "x86_64")]
    Avx512(V4),
    /// AVX2.
    #[cfg(target_arch = "x86_64")]
    Avx2(V3),
    /// Any processor.
    Portable,
}

impl Engine {
    /// The fastest that this processor has, found when running: one binary for all.
    pub fn detect() -> Self {
        Self::available().first().copied().unwrap_or(Self::Portable)
    }

    /// All that this processor has, the fastest first.
    pub fn available() -> Vec<Self> {
        #[cfg(target_arch = "x86_64")]
        let wide = [V4::try_new().map(Self::Avx512), V3::try_new().map(Self::Avx2)];
        #[cfg(not(target_arch = "x86_64"))]
        let wide = [];
        wide.into_iter().flatten().chain([Self::Portable]).collect()
    }

    /// Compresses two blocks into a third, which is replaced or, from the second pass on, added to.
    ///
    /// To choose for each block costs nothing that could be measured, and so all else is ordinary
    /// code that exists once.
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
