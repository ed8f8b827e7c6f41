//! `traceparent` of W3C Trace Context, version 00: `00-<32 hex>-<16 hex>-<2 hex>`, ids not all zeros.

use opentelemetry::trace::{SpanContext, SpanId, TraceFlags, TraceId, TraceState};

/// Whether the text has this form.
pub(crate) fn is_traceparent(text: &str) -> bool {
    parse(text).is_some()
}

/// Whose child a span with this parent is.
pub(super) fn parse(text: &str) -> Option<SpanContext> {
    let mut parts = text.split('-');
    let (version, trace) = (parts.next()?, hex(parts.next()?, 32)?);
    let (parent, flags) = (hex(parts.next()?, 16)?, hex(parts.next()?, 2)?);
    if version != "00" || parts.next().is_some() {
        return None;
    }
    let (trace, parent) = (TraceId::from_hex(trace).ok()?, SpanId::from_hex(parent).ok()?);
    let flags = TraceFlags::new(u8::from_str_radix(flags, 16).ok()?);
    let context = SpanContext::new(trace, parent, flags, true, TraceState::NONE);
    context.is_valid().then_some(context)
}

/// The text for what comes after this span.
pub(super) fn text_of(context: &SpanContext) -> String {
    let (trace, span) = (context.trace_id(), context.span_id());
    format!("00-{trace}-{span}-{:02x}", context.trace_flags())
}

/// The part, if it has so many hexadecimal digits in lower case.
fn hex(part: &str, length: usize) -> Option<&str> {
    let is_hex =
        part.len() == length && part.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    is_hex.then_some(part)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn only_what_is_well_formed_is_read() {
        assert!(is_traceparent(GOOD));
        let no_trace = format!("00-{}-00f067aa0ba902b7-01", "0".repeat(32));
        let no_parent = format!("00-4bf92f3577b34da6a3ce929d0e0e4736-{}-01", "0".repeat(16));
        let upper = GOOD.to_uppercase();
        let (longer, later) = (format!("{GOOD}-x"), GOOD.replacen("00", "01", 1));
        for bad in ["", "00-1-2-3", &upper, &no_trace, &no_parent, &longer, &later] {
            assert!(!is_traceparent(bad), "{bad:?}");
        }
    }

    #[test]
    fn what_is_read_is_written_alike() {
        for flags in ["00", "01", "03"] {
            let text = format!("{}{flags}", GOOD.strip_suffix("01").unwrap());
            assert_eq!(text_of(&parse(&text).unwrap()), text);
        }
    }
}
