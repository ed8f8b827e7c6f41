//! Secrets that can be told from everything else, and the search for them.

use std::fs;
use std::path::{Path, PathBuf};

use data_encoding::{BASE64_NOPAD, BASE64URL_NOPAD, HEXLOWER};

/// Each in another place; none of them is part of anything else.
pub(super) struct Canaries {
    pub(super) first: String,
    pub(super) second: String,
    pub(super) wrong: String,
    pub(super) unknown: String,
    pub(super) malformed: String,
    pub(super) broker: String,
    pub(super) sealing_key: String,
    pub(super) last: String,
    pub(super) in_target: String,
    pub(super) in_headers: String,
    pub(super) as_username: String,
}

impl Canaries {
    pub(super) fn new() -> Self {
        let canary = |n: u8| format!("kanarienvogel{n}zwitschert{n}");
        Self {
            first: canary(1),
            second: canary(2),
            wrong: canary(3),
            unknown: canary(4),
            malformed: canary(5),
            broker: canary(6),
            sealing_key: BASE64URL_NOPAD.encode(b"kanarienvogel7zwitschert7zwitsch"),
            last: canary(8),
            in_target: canary(9),
            in_headers: canary(10),
            as_username: canary(11),
        }
    }

    /// In every spelling in which one could leak.
    pub(super) fn spellings(&self) -> Vec<String> {
        let Self { first, second, wrong, unknown, malformed, broker, sealing_key, last, .. } = self;
        let Self { in_target, in_headers, as_username, .. } = self;
        let passwords = [first, second, wrong, unknown, malformed, last];
        let others = [broker, sealing_key, in_target, in_headers, as_username];
        passwords.into_iter().chain(others).flat_map(|canary| spellings_of(canary)).collect()
    }
}

/// Every spelling in which this one could leak.
pub(super) fn spellings_of(canary: &str) -> Vec<String> {
    // Without its first character, which a path may escape.
    let mut all = vec![canary[1..].to_owned(), HEXLOWER.encode(canary.as_bytes())];
    // At each of the three places where a byte can stand in base64; without the characters
    // that depend on what comes before and behind.
    for before in 0..3 {
        let text = [&b"\0\0"[..before], canary.as_bytes()].concat();
        let encoded = BASE64_NOPAD.encode(&text);
        all.push(encoded[4..encoded.len() - 4].to_owned());
    }
    all
}

/// All files below the directory.
pub(super) fn files(directory: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if let Ok(content) = fs::read(&path) {
            found.push((path, content));
        }
    }
    found
}

pub(super) fn contains(content: &[u8], text: &str) -> bool {
    content.windows(text.len()).any(|window| window == text.as_bytes())
}

/// The text, and the line of what was said that it is in.
pub(super) fn line_with(said: &str, text: &str) -> String {
    let line = said.lines().find(|line| line.contains(text)).unwrap_or_default();
    let shown: String = line.chars().take(2000).collect();
    format!("{text} is in: {shown}")
}
