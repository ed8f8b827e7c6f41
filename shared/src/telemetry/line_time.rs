//! The time at the start of a log line.

use std::fmt;

use jiff::Timestamp;
use jiff::fmt::StdFmtWrite;
use jiff::fmt::temporal::DateTimePrinter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;

use crate::clock::Clock;

/// RFC 3339 in UTC with milliseconds, the same as in events. (tracing-subscriber's own formatter
/// takes a fifth of the time of a line.)
const FORMAT: DateTimePrinter = DateTimePrinter::new().precision(Some(3));

/// Writes the time before each line.
pub(super) struct LineTime(pub(super) Clock);

impl FormatTime for LineTime {
    fn format_time(&self, writer: &mut Writer<'_>) -> fmt::Result {
        let time = Timestamp::from_millisecond(self.0.unix_ms()).unwrap_or_default();
        FORMAT.print_timestamp(&time, StdFmtWrite(writer)).map_err(|_| fmt::Error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_has_its_milliseconds_even_if_they_are_zero() {
        let mut text = String::new();
        LineTime(Clock::manual(1_700_000_000_000))
            .format_time(&mut Writer::new(&mut text))
            .unwrap();
        assert_eq!(text, "2023-11-14T22:13:20.000Z");
    }
}
