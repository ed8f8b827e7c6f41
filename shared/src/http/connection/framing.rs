//! Finds the end of a request. Only one request at a time is passed on to actix. What it means,
//! and whether it is allowed, actix decides.
//!
//! Chunks are passed on in the simplest form, without extensions and trailers: two readings of the
//! same bytes could differ.

use bytes::{Buf, Bytes, BytesMut};
use httparse::{EMPTY_HEADER, Error, Request, Status};

use super::head::{Ignored, ignored, is_addressed_well};
use crate::http::problem::ProblemKind;

/// The most bytes of a request line with its headers.
pub(super) const HEAD_LIMIT: usize = 32 * 1024;
/// The most headers, as in actix.
const MAX_HEADERS: usize = 96;
/// The most bytes of a line between chunks.
const MAX_CHUNK_LINE: usize = 1024;

/// Splits what a client sends into requests.
#[derive(Debug, Default)]
pub(super) struct Framing {
    phase: Phase,
    /// How much of an incomplete head was already searched.
    seen: usize,
    /// The client waits for "100 Continue" before it sends the body.
    expects_continue: bool,
    /// actix may close the connection after the answer although nobody has asked for it.
    may_close: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Phase {
    /// Before or inside a head.
    #[default]
    Head,
    /// In a body, or in a chunk's data, with this many bytes left.
    Body { left: u64, is_chunk: bool },
    /// Before the line with a chunk's size.
    ChunkSize,
    /// After a chunk's data, before the end of its line.
    ChunkEnd,
    /// After the last chunk, in the trailers.
    Trailers,
    /// The request is complete.
    Complete,
}

/// Why nothing more of this request is passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Broken {
    /// The head is malformed: the client gets this problem.
    Head(ProblemKind),
    /// The chunks of the body are malformed: its reader sees an early end.
    Body,
}

impl Framing {
    /// Whether all of the current request was passed on.
    pub(super) fn is_complete(&self) -> bool {
        self.phase == Phase::Complete
    }

    /// Whether the next byte begins or continues a head.
    pub(super) fn is_in_head(&self) -> bool {
        self.phase == Phase::Head
    }

    /// Whether the client of the current request waits for "100 Continue".
    pub(super) fn expects_continue(&self) -> bool {
        self.expects_continue
    }

    /// Whether actix may close the connection after the answer on its own account.
    pub(super) fn may_close(&self) -> bool {
        self.may_close
    }

    /// Removes empty lines before a head (RFC 9112 section 2.2). Whether a head has begun.
    pub(super) fn skip_empty_lines(&self, buffer: &mut BytesMut) -> bool {
        if self.seen == 0 {
            while let [b'\n', ..] | [b'\r', b'\n', ..] = buffer[..] {
                buffer.advance(if buffer[0] == b'\n' { 1 } else { 2 });
            }
        }
        !matches!(buffer[..], [] | [b'\r'])
    }

    /// Lets the next request begin.
    pub(super) fn begin(&mut self) {
        *self = Self::default();
    }

    /// Takes the bytes that belong to the current request. Empty if more bytes must arrive first,
    /// or if the request is complete.
    pub(super) fn take(&mut self, buffer: &mut BytesMut) -> Result<Bytes, Broken> {
        if self.phase == Phase::Head {
            return self.take_head(buffer);
        }
        if let Phase::Body { left, is_chunk: false } = self.phase {
            let taken = self.take_body(left, false, buffer.len());
            return Ok(buffer.split_to(taken).freeze());
        }
        let mut passed = BytesMut::new();
        while let Some(length) = self.step(buffer, &mut passed)? {
            buffer.advance(length);
        }
        Ok(passed.freeze())
    }

    fn take_head(&mut self, buffer: &mut BytesMut) -> Result<Bytes, Broken> {
        let is_new = self.seen == 0;
        let has_line = buffer[self.seen.min(buffer.len())..].contains(&b'\n');
        self.seen = buffer.len();
        // A head that arrives byte by byte should not be parsed again for each byte.
        if buffer.is_empty() || !(is_new || has_line || buffer.len() > HEAD_LIMIT) {
            return Ok(Bytes::new());
        }
        let mut headers = [EMPTY_HEADER; MAX_HEADERS];
        let mut request = Request::new(&mut headers);
        match request.parse(buffer) {
            Ok(Status::Complete(length)) if length <= HEAD_LIMIT => {
                if !is_addressed_well(&request) {
                    return Err(Broken::Head(ProblemKind::Malformed));
                }
                let Ignored { ranges, expects_continue } = ignored(&request, buffer);
                self.phase = body_of(request.headers);
                self.expects_continue = expects_continue;
                self.may_close = !self.is_complete() || request.method == Some("CONNECT");
                let mut head = buffer.split_to(length);
                for (start, end) in ranges {
                    head[start..end].fill(b' ');
                }
                Ok(head.freeze())
            }
            Ok(Status::Partial) if buffer.len() <= HEAD_LIMIT => Ok(Bytes::new()),
            Ok(_) | Err(Error::TooManyHeaders) => {
                let has_line = buffer.iter().take(HEAD_LIMIT).any(|byte| *byte == b'\n');
                let too_large =
                    if has_line { ProblemKind::HeadTooLarge } else { ProblemKind::TargetTooLong };
                Err(Broken::Head(too_large))
            }
            Err(Error::Version) if names_a_version(buffer) => {
                Err(Broken::Head(ProblemKind::VersionNotSupported))
            }
            Err(_) => Err(Broken::Head(ProblemKind::Malformed)),
        }
    }

    /// Takes what is there of a body, or of a chunk's data; returns its length.
    fn take_body(&mut self, left: u64, is_chunk: bool, there: usize) -> usize {
        let taken = usize::try_from(left).unwrap_or(usize::MAX).min(there);
        self.phase = match left - taken as u64 {
            0 if is_chunk => Phase::ChunkEnd,
            0 => Phase::Complete,
            left => Phase::Body { left, is_chunk },
        };
        taken
    }

    /// Appends the next part of a chunked body to what is passed on. Returns how many of these bytes
    /// it takes; `None` if it has not arrived yet.
    fn step(&mut self, bytes: &[u8], passed: &mut BytesMut) -> Result<Option<usize>, Broken> {
        match self.phase {
            Phase::Head | Phase::Complete => Ok(None),
            _ if bytes.is_empty() => Ok(None),
            Phase::Body { left, is_chunk } => {
                let taken = self.take_body(left, is_chunk, bytes.len());
                passed.extend_from_slice(&bytes[..taken]);
                Ok(Some(taken))
            }
            Phase::ChunkSize => self.step_line(bytes, |line| {
                let size = chunk_size(line)?;
                passed.extend_from_slice(format!("{size:x}\r\n").as_bytes());
                Some(match size {
                    0 => Phase::Trailers,
                    left => Phase::Body { left, is_chunk: true },
                })
            }),
            Phase::ChunkEnd => self.step_line(bytes, |line| {
                passed.extend_from_slice(b"\r\n");
                line.is_empty().then_some(Phase::ChunkSize)
            }),
            Phase::Trailers => self.step_line(bytes, |line| {
                if !line.is_empty() {
                    return Some(Phase::Trailers);
                }
                passed.extend_from_slice(b"\r\n");
                Some(Phase::Complete)
            }),
        }
    }

    fn step_line(
        &mut self,
        bytes: &[u8],
        next: impl FnOnce(&[u8]) -> Option<Phase>,
    ) -> Result<Option<usize>, Broken> {
        let Some(end) = bytes.iter().take(MAX_CHUNK_LINE).position(|byte| *byte == b'\n') else {
            return if bytes.len() < MAX_CHUNK_LINE { Ok(None) } else { Err(Broken::Body) };
        };
        let line = bytes[..end].strip_suffix(b"\r").filter(|line| !line.contains(&b'\r'));
        self.phase = line.and_then(next).ok_or(Broken::Body)?;
        Ok(Some(end + 1))
    }
}

/// Whether the request line ends with a version of HTTP, or with the part of one that has arrived.
fn names_a_version(head: &[u8]) -> bool {
    let line = head.split(|byte| *byte == b'\n').next().unwrap_or_default().trim_ascii_end();
    let last = line.rsplit(|byte| *byte == b' ').next().unwrap_or_default();
    let is_version = |byte: &u8| byte.is_ascii_digit() || *byte == b'.';
    last.strip_prefix(b"HTTP/").is_some_and(|version| version.iter().all(is_version))
}

/// What follows a head. Invalid combinations that actix refuses, such as both lengths at once, do
/// not matter here.
fn body_of(headers: &[httparse::Header<'_>]) -> Phase {
    let named = |name: &str| headers.iter().find(|header| header.name.eq_ignore_ascii_case(name));
    if named("transfer-encoding").is_some() {
        return Phase::ChunkSize;
    }
    let length = named("content-length").and_then(|header| str::from_utf8(header.value).ok());
    match length.and_then(|text| text.trim().parse().ok()) {
        None | Some(0) => Phase::Complete,
        Some(left) => Phase::Body { left, is_chunk: false },
    }
}

/// RFC 9112 section 7.1: hexadecimal digits, perhaps followed by extensions.
fn chunk_size(line: &[u8]) -> Option<u64> {
    let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    let (size, rest) = line.split_at(digits);
    let is_extension = match rest.iter().find(|byte| !matches!(byte, b' ' | b'\t')) {
        None | Some(b';') => true,
        Some(_) => false,
    };
    let is_text = rest.iter().all(|byte| !byte.is_ascii_control() || *byte == b'\t');
    if !is_extension || !is_text {
        return None;
    }
    // An error if there is no digit, or if it is too large; zeros in front do no harm.
    u64::from_str_radix(str::from_utf8(size).ok()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bytes of one request that are passed on when they arrive in pieces of this size, and the
    /// rest.
    fn first(bytes: &[u8], piece: usize) -> Result<(Vec<u8>, Vec<u8>), Broken> {
        let (mut framing, mut buffer, mut passed) =
            (Framing::default(), BytesMut::new(), Vec::new());
        for part in bytes.chunks(piece) {
            buffer.extend_from_slice(part);
            loop {
                let taken = framing.take(&mut buffer)?;
                if taken.is_empty() {
                    break;
                }
                passed.extend_from_slice(&taken);
            }
        }
        assert!(framing.is_complete() || passed.is_empty() || !framing.is_in_head());
        Ok((passed, buffer.to_vec()))
    }

    const NEXT: &[u8] = b"GET /next HTTP/1.1\r\nHost: x\r\n\r\n";

    #[test]
    fn a_request_ends_where_its_body_ends_however_it_arrives() {
        for request in [
            "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
            "GET / HTTP/1.1\nHost: x\n\n",
            "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n{\r\n}\r",
            "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        ] {
            let bytes = [request.as_bytes(), NEXT].concat();
            for piece in [1, 2, 7, 1000] {
                let (passed, left) = first(&bytes, piece).unwrap();
                assert_eq!(String::from_utf8_lossy(&passed), request, "{piece}");
                assert_eq!(left, NEXT, "{piece}");
            }
        }
    }

    #[test]
    fn chunks_are_passed_on_in_the_simplest_form() {
        let head = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
        for chunks in [
            "2\r\n\n\r\r\n0\r\n\r\n",
            "2 ; a=\"b\"\r\n\n\r\r\n00\r\nT: 1\r\n\r\n",
            "00000000000000000002\t;\r\n\n\r\r\n0;x\r\nT: 1\r\nU: 2\r\n\r\n",
        ] {
            let bytes = [head.as_bytes(), chunks.as_bytes(), NEXT].concat();
            let (passed, left) = first(&bytes, 1000).unwrap();
            let wanted = format!("{head}2\r\n\n\r\r\n0\r\n\r\n");
            assert_eq!((&*String::from_utf8_lossy(&passed), &left[..]), (&*wanted, NEXT));
            for piece in [1, 2, 7] {
                let (passed, left) = first(&bytes, piece).unwrap();
                assert!(String::from_utf8_lossy(&passed).ends_with("0\r\n\r\n"), "{passed:?}");
                assert_eq!(left, NEXT, "{piece}");
            }
        }
    }

    #[test]
    fn malformed_heads_are_refused_at_once() {
        for head in [
            "\0",
            "\u{feff}GET",
            "GET / HTTP/1.1\r\nHost x\r\n\r\n",
            "GET / HTTP/one\r\n",
            "GET /users#1 HTTP/1.1\r\nHost: x\r\n\r\n",
        ] {
            let refused = first(head.as_bytes(), 1000);
            assert_eq!(refused, Err(Broken::Head(ProblemKind::Malformed)), "{head:?}");
        }
    }

    #[test]
    fn a_version_that_nobody_here_speaks_is_named() {
        for version in ["0.9", "1.2", "2.0", "9.9"] {
            let head = format!("PRI * HTTP/{version}\r\n\r\nSM\r\n\r\n");
            for piece in [1, 1000] {
                let refused = first(head.as_bytes(), piece);
                assert_eq!(
                    refused,
                    Err(Broken::Head(ProblemKind::VersionNotSupported)),
                    "{head:?}"
                );
            }
        }
    }

    #[test]
    fn a_host_is_a_host_and_perhaps_a_port() {
        let with =
            |host: &str| first(format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes(), 1000);
        for good in ["", "x", "x:80", "127.0.0.1:8001", "[::1]", "[::1]:8001", "user_service:8001"]
        {
            assert!(with(good).is_ok(), "{good}");
        }
        for bad in ["a b", "x/y", "u@x", "[::1", "x:y:z", "<x>", "x\u{ff}"] {
            assert_eq!(with(bad), Err(Broken::Head(ProblemKind::Malformed)), "{bad}");
        }
    }

    #[test]
    fn empty_lines_before_a_head_are_skipped_and_begin_none() {
        let framing = Framing::default();
        for (bytes, left) in
            [("", ""), ("\r\n\r\n", ""), ("\n\r\nG", "G"), ("\r\n\r", "\r"), ("\rG", "\rG")]
        {
            let mut buffer = BytesMut::from(bytes);
            let has_begun = framing.skip_empty_lines(&mut buffer);
            assert_eq!(
                (has_begun, &buffer[..]),
                (left.contains('G'), left.as_bytes()),
                "{bytes:?}"
            );
        }
    }

    #[test]
    fn a_head_above_the_limit_is_refused_whether_it_ends_or_not() {
        let path = "x".repeat(HEAD_LIMIT);
        let headers = "a: b\r\n".repeat(MAX_HEADERS + 1);
        for head in [
            format!("GET /{path} HTTP/1.1\r\n\r\n"),
            format!("GET /{path}"),
            format!("GET / HTTP/1.1\r\n{headers}\r\n"),
        ] {
            for piece in [900, 100_000] {
                let refused = first(head.as_bytes(), piece);
                let is_target = head.starts_with("GET /x");
                let kind =
                    if is_target { ProblemKind::TargetTooLong } else { ProblemKind::HeadTooLarge };
                assert_eq!(refused, Err(Broken::Head(kind)));
            }
        }
    }

    #[test]
    fn malformed_chunks_are_told_from_those_that_have_not_arrived() {
        let head = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
        for bad in [
            "\r\n",
            "x\r\n",
            "-1\r\n",
            "+1\r\n",
            "1\n",
            "1\r\nab",
            "1 2\r\n",
            "1\u{c}\r\n",
            "1\u{b}\r\n",
            "1;\u{c}\r\n",
            "11111111111111111\r\n",
        ] {
            let bad = format!("{head}{bad}\r\n\r\n");
            assert_eq!(first(bad.as_bytes(), 1000), Err(Broken::Body), "{bad:?}");
        }
        let endless = format!("{head}1;{}", "x".repeat(MAX_CHUNK_LINE));
        assert_eq!(first(endless.as_bytes(), 1000), Err(Broken::Body));
        assert!(first(format!("{head}5\r\nhe").as_bytes(), 1).is_ok());
    }

    #[test]
    fn an_upgrade_is_blanked_out_and_nothing_else() {
        let head = "GET / HTTP/1.1\r\nHost: upgrade\r\nConnection: Upgrade, HTTP2-Settings\r\n\
            Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n\r\n";
        let (passed, _) = first(head.as_bytes(), 1000).unwrap();
        let wanted = head.replace("Connection: Upgrade,", "Connection:        ,");
        assert_eq!(String::from_utf8_lossy(&passed), wanted.replace("h2c", "   "));
    }
}
