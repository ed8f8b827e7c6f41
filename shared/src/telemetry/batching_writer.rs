//! Writes many log lines with one system call.

use std::io::{self, BufWriter, Write};
use std::thread;
use std::time::Duration;

/// How long the writing thread sleeps after a flush: the longest that a line waits to be written.
const PAUSE: Duration = Duration::from_millis(20);
/// How many bytes are written at once.
const BUFFER: usize = 64 * 1024;

/// A buffer that sleeps after each flush. The writing thread flushes when no line waits. While it
/// sleeps, a thread that logs need not wake it, which would cost more than the line itself: without
/// the pause, a read of a user took a fifth longer (docs/performance.md).
pub(super) struct BatchingWriter<W: Write>(BufWriter<W>);

impl<W: Write> BatchingWriter<W> {
    pub(super) fn new(output: W) -> Self {
        Self(BufWriter::with_capacity(BUFFER, output))
    }
}

impl<W: Write> Write for BatchingWriter<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.write(line)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()?;
        thread::sleep(PAUSE);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Counts the writes that would be system calls.
    #[derive(Default)]
    struct Output {
        writes: usize,
        bytes: Vec<u8>,
    }

    impl Write for &mut Output {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.writes += 1;
            self.bytes.extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lines_between_two_flushes_are_written_together() {
        let mut output = Output::default();
        let mut writer = BatchingWriter::new(&mut output);
        for _ in 0..100 {
            writer.write_all(b"a line\n").unwrap();
        }
        writer.flush().unwrap();
        drop(writer);
        assert_eq!((output.writes, output.bytes), (1, b"a line\n".repeat(100)));
    }
}
