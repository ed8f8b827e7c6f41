//! CSV (RFC 4180). A user is one line: neither names nor hashes contain line breaks.

use std::io::BufRead;

use super::{Found, Place, ReadError, Sink, lines};

const COLUMNS: [&str; 2] = ["username", "password_hash"];

/// Which columns are read.
struct Header {
    width: usize,
    username: usize,
    password_hash: usize,
}

pub(super) fn read<E: From<ReadError>>(
    input: &mut dyn BufRead,
    sink: &mut Sink<'_, E>,
) -> Result<(), E> {
    let mut header = None;
    lines::each(input, |line, text| match (&header, text) {
        (None, text) => {
            header = Some(text.ok().and_then(Header::read).ok_or_else(|| {
                let [username, hash] = COLUMNS;
                ReadError::Form(format!(
                    "its first line must name the columns {username} and {hash}"
                ))
            })?);
            Ok(())
        }
        (Some(header), Ok(text)) => sink(Place::Line(line), header.user(text)),
        (Some(_), Err(reason)) => sink(Place::Line(line), Found::refused(None, reason)),
    })
}

impl Header {
    fn read(line: &str) -> Option<Self> {
        let fields = fields(line)?;
        let column = |name| fields.iter().position(|field| field.trim() == name);
        let [username, password_hash] = COLUMNS.map(column);
        Some(Self { width: fields.len(), username: username?, password_hash: password_hash? })
    }

    fn user(&self, line: &str) -> Found {
        let Some(mut fields) = fields(line) else {
            return Found::refused(None, "has a quote that is not closed, or text behind one");
        };
        if fields.len() != self.width {
            let (given, wanted) = (fields.len(), self.width);
            return Found::refused(
                None,
                format!("has {given} fields, and the first line {wanted}"),
            );
        }
        let hash = std::mem::take(&mut fields[self.password_hash]);
        Found::user(std::mem::take(&mut fields[self.username]), hash)
    }
}

/// `None` if a quote is not closed, or not around the whole field.
fn fields(line: &str) -> Option<Vec<String>> {
    let (mut fields, mut rest) = (Vec::new(), line);
    loop {
        let (field, behind) = if let Some(quoted) = rest.strip_prefix('"') {
            quoted_field(quoted)?
        } else {
            let end = rest.find(',').unwrap_or(rest.len());
            let (field, behind) = rest.split_at(end);
            (field.to_owned(), behind)
        };
        fields.push(field);
        match behind.strip_prefix(',') {
            Some(next) => rest = next,
            None if behind.is_empty() => return Some(fields),
            None => return None,
        }
    }
}

/// The field after its first quote, and what is behind its last one. Two quotes stand for one.
fn quoted_field(text: &str) -> Option<(String, &str)> {
    let (mut field, mut rest) = (String::new(), text);
    loop {
        let (part, behind) = rest.split_once('"')?;
        field.push_str(part);
        match behind.strip_prefix('"') {
            Some(next) => {
                field.push('"');
                rest = next;
            }
            None => return Some((field, behind)),
        }
    }
}
