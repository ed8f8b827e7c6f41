//! Formats fields as `name=value`. tracing-subscriber's formatter handles colours even when there
//! are none, which takes half of the time of a line.

use std::cell::Cell;
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
    fn format_fields<R: RecordFields>(&self, mut writer: Writer<'w>, fields: R) -> fmt::Result {
        thread_local! {
            // The memory of the last line. The writer is asked once for a line, not for each part.
            static TEXT: Cell<String> = const { Cell::new(String::new()) };
        }
        let mut line = Line { text: TEXT.take(), outcome: Ok(()) };
        line.text.clear();
        fields.record(&mut line);
        let outcome = line.outcome.and_then(|()| writer.write_str(&line.text));
        TEXT.set(line.text);
        outcome
    }
}

struct Line {
    text: String,
    outcome: fmt::Result,
}

impl Line {
    fn add(&mut self, field: &Field, write_value: impl FnOnce(&mut String) -> fmt::Result) {
        let text = &mut self.text;
        if !text.is_empty() {
            text.push(' ');
        }
        if field.name() != "message" {
            text.push_str(field.name());
            text.push('=');
        }
        self.outcome = self.outcome.and_then(|()| write_value(text));
    }

    fn add_number(&mut self, field: &Field, number: impl itoa::Integer) {
        self.add(field, |text| {
            text.push_str(itoa::Buffer::new().format(number));
            Ok(())
        });
    }
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.add(field, |text| {
            let start = text.len();
            write!(text, "{value:?}")?;
            escape_controls(text, start);
            Ok(())
        });
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, |text| {
            // The same output as `Debug` for most texts, in a fraction of the time.
            if !all_bytes(value, |byte| is_printable(byte) && !matches!(byte, b'"' | b'\\')) {
                return write!(text, "{value:?}");
            }
            text.push('"');
            text.push_str(value);
            text.push('"');
            Ok(())
        });
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add_number(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add_number(field, value);
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        self.record_str(field, &ErrorChain(value).to_string());
    }
}

/// Any text stays on its line and cannot move the terminal's cursor.
fn escape_controls(text: &mut String, from: usize) {
    if all_bytes(&text[from..], is_printable) {
        return;
    }
    for c in text.split_off(from).chars() {
        if c.is_control() { text.extend(c.escape_default()) } else { text.push(c) }
    }
}

fn is_printable(byte: u8) -> bool {
    matches!(byte, b' '..=b'~')
}

/// Looks at every byte, because a loop without an early end is compiled to vector instructions.
fn all_bytes(text: &str, is_good: impl Fn(u8) -> bool) -> bool {
    text.bytes().fold(true, |good, byte| good & is_good(byte))
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
            tracing::info!(target: "t", n = 7_u64, below = -7, path = "/a b\n", plain = "c d", absent = None::<u64>, error, "it\nis");
        })
        .await;
        assert_eq!(
            line,
            " INFO t: it\\nis n=7 below=-7 path=\"/a b\\n\" plain=\"c d\" error=\"outside: in\\u{1b}[2Jside\"\n"
        );
    }
}
