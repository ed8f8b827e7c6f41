//! Files of lines.

use std::io::{BufRead, Read};

use super::ReadError;

/// The longest line, in bytes.
const LINE_MAX: u64 = 64 * 1024;
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Gives each line that is not blank to `each`, with its number; the error says what is wrong with the line.
pub(super) fn each<E: From<ReadError>>(
    input: &mut dyn BufRead,
    mut each: impl FnMut(u64, Result<&str, &'static str>) -> Result<(), E>,
) -> Result<(), E> {
    let (mut line, mut number) = (Vec::new(), 0);
    loop {
        line.clear();
        let read = (&mut *input).take(LINE_MAX).read_until(b'\n', &mut line);
        if read.map_err(ReadError::Io)? == 0 {
            return Ok(());
        }
        number += 1;
        if !line.ends_with(b"\n") && line.len() as u64 == LINE_MAX {
            input.skip_until(b'\n').map_err(ReadError::Io)?;
            each(number, Err("has more than 64 KiB"))?;
            continue;
        }
        let bytes = if number == 1 { line.strip_prefix(BYTE_ORDER_MARK) } else { None };
        let Ok(text) = std::str::from_utf8(bytes.unwrap_or(&line)) else {
            each(number, Err("is not UTF-8"))?;
            continue;
        };
        let text = text.trim_end_matches(['\r', '\n']);
        if !text.trim().is_empty() {
            each(number, Ok(text))?;
        }
    }
}
