//! The memory of hashing: mapped once, touched by the first hash, on huge pages where there are.

use std::io;

use memmap2::MmapMut;

use super::block::Block;

/// Of a huge page, as x86-64 and most others have them.
const HUGE_PAGE: usize = 2 << 20;

/// Blocks of one thread. Hashing reads all over them: with pages of 4 KiB, nearly every
/// block that is read costs a walk through the page tables too.
pub struct Memory {
    mapping: MmapMut,
    /// Where the first huge page starts.
    start: usize,
    /// Bytes from there.
    len: usize,
}

impl Memory {
    /// Reserves memory. It takes none before it is written to.
    ///
    /// # Errors
    /// The system has no such room.
    pub fn new(blocks: usize) -> io::Result<Self> {
        let len = blocks * size_of::<Block>();
        // The kernel gives huge pages to whole ones alone, and maps without regard to them.
        let mapping = MmapMut::map_anon(len.next_multiple_of(HUGE_PAGE) + HUGE_PAGE)?;
        #[cfg(target_os = "linux")]
        // Without huge pages hashing is a little slower, and nothing else.
        let _ = mapping.advise(memmap2::Advice::HugePage);
        let start = mapping.as_ptr().align_offset(HUGE_PAGE);
        Ok(Self { mapping, start, len })
    }

    /// All blocks, with whatever is in them.
    pub fn blocks(&mut self) -> &mut [Block] {
        bytemuck::cast_slice_mut(&mut self.mapping[self.start..self.start + self.len])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_start_at_a_huge_page_and_are_zero_at_first() {
        let mut memory = Memory::new(5).unwrap();
        assert_eq!(memory.blocks().len(), 5);
        assert_eq!(memory.blocks().as_ptr().align_offset(HUGE_PAGE), 0);
        assert!(memory.blocks().iter().flatten().all(|word| *word == 0));
    }
}
