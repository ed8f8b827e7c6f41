//! Formats fields as `name=value`. tracing-subscriber's formatter handles colours even when there
//! are none, which takes half of the time of a line.

use std::error::Error;
use std::fmt::{self, Debug, Write};

use tracing::field::{Field, Visit};
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::FormatFields;
use tracing_subscriber::fmt::format::Writer;

use super::error_chain::ErrorChain;

/// Writes the message as it is, texts in quotes, and errors with all their causes.
pub(super) struct PlainFields;

impl<'w> FormatFields<'w> for PlainFields {
    fn format_fields<R: RecordFields>(&self, writer: Writer<'w>, fields: R) -> fmt::Result {
        let mut line = Line { to: Printable(writer), is_empty: true, outcome: Ok(()) };
        fields.record(&mut line);
        line.outcome
    }
}

struct Line<'w> {
    to: Printable<Writer<'w>>,
    is_empty: bool,
    outcome: fmt::Result,
}

impl<'w> Line<'w> {
    fn add(
        &mut self,
        field: &Field,
        write_value: impl FnOnce(&mut Printable<Writer<'w>>) -> fmt::Result,
    ) {
        let separator = if std::mem::take(&mut self.is_empty) { "" } else { " " };
        self.outcome = self.outcome.and_then(|()| {
            // Field names are ours and therefore printable.
            let Printable(to) = &mut self.to;
            to.write_str(separator)?;
            if field.name() != "message" {
                to.write_str(field.name())?;
                to.write_char('=')?;
            }
            write_value(&mut self.to)
        });
    }
}

impl Visit for Line<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.add(field, |to| write!(to, "{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, |to| {
            // The same output as `Debug` for most texts, in a fraction of the time.
            let is_plain = |byte: u8| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\');
            if !value.bytes().all(is_plain) {
                return write!(to, "{value:?}");
            }
            for part in ["\"", value, "\""] {
                to.0.write_str(part)?;
            }
            Ok(())
        });
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        self.record_str(field, &ErrorChain(value).to_string());
    }
}

/// Any text stays on its line and cannot move the terminal's cursor.
struct Printable<W>(W);

impl<W: Write> Write for Printable<W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if !text.contains(char::is_control) {
            return self.0.write_str(text);
        }
        text.chars().try_for_each(|c| {
            if c.is_control() {
                write!(self.0, "{}", c.escape_default())
            } else {
                self.0.write_char(c)
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::test_log::logged_by;
    use std::io;

    #[derive(Debug, thiserror::Error)]
    #[error("outside")]
    struct Outer(#[source] io::Error);

    #[tokio::test]
    async fn a_line_has_all_that_was_behind_an_error_and_nothing_that_moves_a_cursor() {
        let line = logged_by(async {
            let error = Outer(io::Error::other("in\u{1b}[2Jside"));
            let error = &error as &dyn Error;
            tracing::info!(target: "t", n = 7_u64, path = "/a b\n", plain = "c d", absent = None::<u64>, error, "it\nis");
        })
        .await;
        assert_eq!(
            line,
            " INFO t: it\\nis n=7 path=\"/a b\\n\" plain=\"c d\" error=\"outside: in\\u{1b}[2Jside\"\n"
        );
    }
}
