//! Log lines go out many at a time.

use std::io::{self, BufWriter, Write};
use std::thread;
use std::time::Duration;

/// The longest that a line waits for those after it.
const REST: Duration = Duration::from_millis(20);

/// A buffer that rests after it was flushed. The thread that writes the log flushes when nothing
/// waits; while it rests, nobody who logs has to wake it, and what they log goes out in one write.
/// So a line costs no system call of its own, neither here nor there.
pub(super) struct Paced<W: Write>(BufWriter<W>);

impl<W: Write> Paced<W> {
    pub(super) fn new(to: W) -> Self {
        Self(BufWriter::with_capacity(64 * 1024, to))
    }
}

impl<W: Write> Write for Paced<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.write(line)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()?;
        thread::sleep(REST);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    /// Counts what would be system calls.
    struct Counting<'a>(&'a Cell<u32>);

    impl Write for Counting<'_> {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.set(self.0.get() + 1);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lines_that_come_together_go_out_in_one_write() {
        let writes = Cell::new(0);
        let mut paced = Paced::new(Counting(&writes));
        for _ in 0..100 {
            paced.write_all(b"a line of the access log\n").unwrap();
        }
        assert_eq!(writes.get(), 0);
        paced.flush().unwrap();
        assert_eq!(writes.get(), 1);
    }
}
