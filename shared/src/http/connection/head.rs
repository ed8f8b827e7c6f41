//! Looks at a head before it is passed on.

use actix_web::http::uri::Authority;
use httparse::Request;

/// Whether the target and the Host header are those of RFC 9112 section 3.2. That there is one Host
/// header, actix checks.
pub(super) fn is_addressed_well(request: &Request<'_, '_>) -> bool {
    let is_host = |value: &[u8]| {
        value.is_empty() || (!value.contains(&b'@') && Authority::try_from(value).is_ok())
    };
    let mut hosts = request.headers.iter().filter(|h| h.name.eq_ignore_ascii_case("host"));
    request.path.is_some_and(|path| !path.contains('#')) && hosts.all(|host| is_host(host.value))
}

/// What actix must not see of a head.
pub(super) struct Ignored {
    pub(super) ranges: Vec<(usize, usize)>,
    pub(super) expects_continue: bool,
}

/// Where a head asks for another protocol, which RFC 9110 section 7.8 lets a server ignore. actix
/// does not ignore it: it would close the connection after the answer, or treat what follows as
/// WebSocket. And where it asks for "100 Continue": actix would send that at once, also to a client
/// whose body nobody wants.
pub(super) fn ignored(request: &Request<'_, '_>, buffer: &[u8]) -> Ignored {
    let mut ranges = Vec::new();
    let mut expects_continue = false;
    let start = buffer.as_ptr() as usize;
    for header in &*request.headers {
        let at = header.value.as_ptr() as usize - start;
        if header.name.eq_ignore_ascii_case("upgrade") {
            ranges.push((at, at + header.value.len()));
        } else if header.name.eq_ignore_ascii_case("expect")
            && header.value.trim_ascii().eq_ignore_ascii_case(b"100-continue")
        {
            ranges.push((at, at + header.value.len()));
            // HTTP/1.0 has no interim answers.
            expects_continue = request.version == Some(1);
        } else if header.name.eq_ignore_ascii_case("connection") {
            let mut begin = 0;
            for option in header.value.split(|byte| *byte == b',') {
                if option.trim_ascii().eq_ignore_ascii_case(b"upgrade") {
                    ranges.push((at + begin, at + begin + option.len()));
                }
                begin += option.len() + 1;
            }
        }
    }
    Ignored { ranges, expects_continue }
}
