//! Captures the log of a test.

use std::future::Future;
use std::io;
use std::sync::mpsc::{Sender, channel};

use super::plain_fields::PlainFields;

struct Sink(Sender<Vec<u8>>);

impl io::Write for Sink {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let _ = self.0.send(line.to_vec());
        Ok(line.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The lines that `work` logs, in the format of a service's log, without their times.
pub(crate) async fn logged_by(work: impl Future) -> String {
    let (lines, written) = channel();
    let subscriber = tracing_subscriber::fmt()
        .with_writer(move || Sink(lines.clone()))
        .fmt_fields(PlainFields)
        .without_time()
        .with_ansi(false)
        .finish();
    // Only for this thread: tasks that `work` has started log here, too.
    let logging = tracing::subscriber::set_default(subscriber);
    work.await;
    drop(logging);
    written.try_iter().map(|line| String::from_utf8(line).unwrap()).collect()
}
