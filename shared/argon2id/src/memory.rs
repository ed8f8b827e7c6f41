//! The memory of hashing: mapped once, allocated by the first hash, on huge pages if available.

use std::io;

use memmap2::MmapMut;

use super::block::Block;

/// The size of a huge page on x86-64 and most other processors.
const HUGE_PAGE: usize = 2 << 20;

/// The blocks of one thread. Hashing reads all over them: with pages of 4 KiB, nearly every block
/// that is read would also cost a walk through the page tables.
pub struct Memory {
    mapping: MmapMut,
    /// The offset of the first huge page.
    start: usize,
    /// The number of bytes from there.
    len: usize,
}

impl Memory {
    /// Reserves address space. Memory is allocated when it is first written.
    ///
    /// # Errors
    /// The system does not have that much memory.
    pub fn new(blocks: usize) -> io::Result<Self> {
        let len = blocks * size_of::<Block>();
        // The kernel only gives huge pages to aligned regions, and its mappings are not aligned to
        // them.
        let mapping = MmapMut::map_anon(len.next_multiple_of(HUGE_PAGE) + HUGE_PAGE)?;
        #[cfg(target_os = "linux")]
        // Without huge pages, hashing is a little slower but still correct.
        let _ = mapping.advise(memmap2::Advice::HugePage);
        let start = mapping.as_ptr().align_offset(HUGE_PAGE);
        Ok(Self { mapping, start, len })
    }

    /// All blocks, with their old content.
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
