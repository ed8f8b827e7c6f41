//! The entity tags that a client sends in `If-Match` and `If-None-Match` (RFC 9110 section 13.1).
//! The service decides what they are compared with, and when.

use actix_web::http::header::{EntityTag, HeaderMap, HeaderName};

use super::problem::{Problem, ProblemKind};

/// The value of `If-Match` or `If-None-Match`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EntityTags {
    /// `*`: any state of something that exists.
    Any,
    /// A list of tags; an empty list matches nothing.
    List(Vec<EntityTag>),
}

impl EntityTags {
    /// Reads a header that may be split over several lines, which then count as one list. `None` if
    /// the request does not have it.
    ///
    /// # Errors
    /// 400 for a value that is neither `*` nor a list of tags: it must not be treated as an absent
    /// header.
    pub fn from_headers(headers: &HeaderMap, name: &HeaderName) -> Result<Option<Self>, Problem> {
        let mut lines = headers.get_all(name).map(|value| value.as_bytes().trim_ascii());
        let Some(first) = lines.next() else { return Ok(None) };
        let tags = match lines.next() {
            None if first == b"*" => Some(Self::Any),
            second => [Some(first), second]
                .into_iter()
                .flatten()
                .chain(lines)
                .try_fold(Vec::new(), append_list)
                .map(Self::List),
        };
        tags.map(Some).ok_or_else(|| {
            let detail = format!("{name} must be * or a list of entity tags in double quotes");
            Problem::new(ProblemKind::Malformed, detail)
        })
    }
}

/// Appends a line's tags: a list of RFC 9110 section 5.6.1, in which empty elements are ignored.
/// Commas inside a tag belong to the tag.
fn append_list(mut tags: Vec<EntityTag>, mut rest: &[u8]) -> Option<Vec<EntityTag>> {
    loop {
        rest = rest.trim_ascii_start();
        match rest {
            [] => return Some(tags),
            [b',', after @ ..] => rest = after,
            _ => {
                let (tag, after) = split_tag(rest)?;
                tags.push(tag);
                rest = after.trim_ascii_start();
                if !matches!(rest, [] | [b',', ..]) {
                    return None;
                }
            }
        }
    }
}

/// The tag that the bytes begin with, and what follows it (RFC 9110 section 8.8.3).
fn split_tag(bytes: &[u8]) -> Option<(EntityTag, &[u8])> {
    let (is_weak, bytes) = match bytes {
        [b'W', b'/', after @ ..] => (true, after),
        _ => (false, bytes),
    };
    let bytes = bytes.strip_prefix(b"\"")?;
    let end = bytes.iter().position(|byte| *byte == b'"')?;
    let (opaque, after) = (&bytes[..end], &bytes[end + 1..]);
    if !opaque.iter().all(|byte| matches!(byte, 0x21 | 0x23..=0x7e | 0x80..)) {
        return None;
    }
    // Bytes above ASCII are allowed, and no tag of ours contains any, so their meaning does not
    // matter.
    Some((EntityTag::new(is_weak, String::from_utf8_lossy(opaque).into_owned()), after))
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::http::header::IF_MATCH;
    use actix_web::test::TestRequest;

    fn parsed(lines: &[&[u8]]) -> Result<Option<EntityTags>, ProblemKind> {
        let mut request = TestRequest::default();
        for line in lines {
            request = request.append_header((IF_MATCH, *line));
        }
        EntityTags::from_headers(request.to_http_request().headers(), &IF_MATCH)
            .map_err(|problem| problem.kind())
    }

    fn list(tags: &[&str]) -> EntityTags {
        let strong = |tag: &&str| EntityTag::new_strong((*tag).to_owned());
        EntityTags::List(tags.iter().map(strong).collect())
    }

    #[test]
    fn empty_elements_of_a_list_are_ignored() {
        for value in ["\"1.1\",", ",\"1.1\"", ", ,\t\"1.1\" , ,", " \"1.1\" "] {
            assert_eq!(parsed(&[value.as_bytes()]), Ok(Some(list(&["1.1"]))), "{value:?}");
        }
        assert_eq!(parsed(&[b"\"x\", ,\"1.1\""]), Ok(Some(list(&["x", "1.1"]))));
        assert_eq!(parsed(&[b","]), Ok(Some(list(&[]))));
        assert_eq!(parsed(&[b""]), Ok(Some(list(&[]))));
    }

    #[test]
    fn several_lines_are_one_list() {
        assert_eq!(parsed(&[b"\"a\"", b"", b"\"b\",\"c\""]), Ok(Some(list(&["a", "b", "c"]))));
        assert_eq!(parsed(&[]), Ok(None));
    }

    #[test]
    fn commas_stars_and_backslashes_inside_a_tag_belong_to_it() {
        assert_eq!(parsed(&[br#""a,b","*","c\d""#]), Ok(Some(list(&["a,b", "*", r"c\d"]))));
        assert_eq!(parsed(&[b"\"\""]), Ok(Some(list(&[""]))));
        assert!(parsed(&[b"\"\xff\""]).is_ok());
    }

    #[test]
    fn a_weak_tag_is_told_from_a_strong_one() {
        let weak = EntityTag::new_weak("1.1".to_owned());
        assert_eq!(parsed(&[b"W/\"1.1\""]), Ok(Some(EntityTags::List(vec![weak]))));
    }

    #[test]
    fn the_star_stands_alone() {
        assert_eq!(parsed(&[b" * "]), Ok(Some(EntityTags::Any)));
        let twice: &[&[u8]] = &[b"*", b"*"];
        for lines in [twice, &[b"*, \"a\""], &[b"\"a\", *"], &[b"*,"]] {
            assert_eq!(parsed(lines), Err(ProblemKind::Malformed), "{lines:?}");
        }
    }

    #[test]
    fn what_is_no_list_of_tags_is_malformed_and_not_absent() {
        for bad in ["1.2", "\"a", "a\"", "\"a\" \"b\"", "\"a\";\"b\"", "w/\"a\"", "W/a", "\"a b\""]
        {
            assert_eq!(parsed(&[bad.as_bytes()]), Err(ProblemKind::Malformed), "{bad:?}");
        }
    }
}
