//! Captures the log of a test.

use std::future::Future;
use std::io;
use std::sync::mpsc::{Sender, channel};

use tracing::subscriber::NoSubscriber;
use tracing::{Dispatch, Subscriber};
use tracing_subscriber::fmt::format::JsonFields;

use super::json_lines::JsonLines;
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

/// The lines that `work` logs, in the text form of a service's log, without their times.
pub(crate) async fn logged_by(work: impl Future) -> String {
    captured(work, |lines| {
        let builder = tracing_subscriber::fmt().with_writer(move || Sink(lines.clone()));
        builder.fmt_fields(PlainFields).without_time().with_ansi(false).finish()
    })
    .await
}

/// The lines that `work` logs, in the JSON form of a service's log, with empty times.
pub(super) async fn json_logged_by(work: impl Future) -> String {
    captured(work, |lines| {
        let builder = tracing_subscriber::fmt().with_writer(move || Sink(lines.clone()));
        builder.fmt_fields(JsonFields::new()).event_format(JsonLines(())).finish()
    })
    .await
}

async fn captured<S>(work: impl Future, subscriber: impl FnOnce(Sender<Vec<u8>>) -> S) -> String
where
    S: Subscriber + Send + Sync + 'static,
{
    let (lines, written) = channel();
    // Only for this thread: tasks that `work` has started log here, too.
    let logging = tracing::subscriber::set_default(subscriber(lines));
    // With one subscriber in the process, tracing asks only the thread that meets a line first whether
    // anybody wants it, for good: another test's thread wants nothing. With two, it asks both.
    let _second = Dispatch::new(NoSubscriber::default());
    work.await;
    drop(logging);
    written.try_iter().map(|line| String::from_utf8(line).unwrap()).collect()
}
