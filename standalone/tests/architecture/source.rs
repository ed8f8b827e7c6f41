//! Rust source as far as the rules of architecture need it: code without comments, and the texts in
//! it.

use std::fs;
use std::path::Path;

/// A source file, taken apart.
#[derive(Default)]
pub(crate) struct Source {
    /// Without comments; each text is an empty one.
    pub(crate) code: String,
    /// The contents of string literals.
    pub(crate) texts: Vec<String>,
}

impl Source {
    pub(crate) fn read(path: &Path) -> Self {
        Self::parse(&fs::read_to_string(path).unwrap())
    }

    fn parse(text: &str) -> Self {
        let mut source = Self::default();
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            rest = if let Some(comment) = rest.strip_prefix("//") {
                comment.find('\n').map_or("", |end| &comment[end..])
            } else if let Some(comment) = rest.strip_prefix("/*") {
                comment.split_once("*/").map_or("", |(_, after)| after)
            } else if let Some((text, after)) = raw_text(rest).or_else(|| plain_text(rest)) {
                source.texts.push(text.to_owned());
                source.code.push_str("\"\"");
                after
            } else {
                // A quote as a character begins no text.
                let length = ["'\"'", "'\\\"'"].iter().find(|quote| rest.starts_with(**quote));
                let length = length.map_or(first.len_utf8(), |quote| quote.len());
                source.code.push_str(&rest[..length]);
                &rest[length..]
            };
        }
        source
    }

    /// Up to the module of tests at the end, and without declarations of modules of tests.
    pub(crate) fn without_tests(mut self) -> Self {
        const TESTS: &str = "#[cfg(test)]\nmod tests {";
        if let Some(end) = self.code.find(TESTS) {
            self.code.truncate(end);
        }
        self
    }

    /// Identifiers and keywords.
    pub(crate) fn words(&self) -> impl Iterator<Item = &str> {
        words(&self.code)
    }

    /// What others can name: public items up to their bodies.
    pub(crate) fn public_items(&self) -> Vec<String> {
        let starts = self.code.match_indices("pub").filter(|(at, _)| {
            let is_word = |c: char| c.is_alphanumeric() || c == '_';
            !self.code[..*at].ends_with(is_word) && !self.code[at + 3..].starts_with(is_word)
        });
        starts.map(|(at, _)| item_at(&self.code[at..])).collect()
    }
}

/// Identifiers and keywords.
pub(crate) fn words(code: &str) -> impl Iterator<Item = &str> {
    code.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty())
}

/// A `use` reaches to its semicolon, braces and all; anything else to its body, if it has one.
fn item_at(code: &str) -> String {
    let is_use = words(code).take(4).any(|word| word == "use");
    let end = if is_use { code.find(';') } else { code.find([';', '{']) };
    code[..end.unwrap_or(code.len())].split_whitespace().collect::<Vec<_>>().join(" ")
}

fn plain_text(code: &str) -> Option<(&str, &str)> {
    let inside = code.strip_prefix('"')?;
    let mut is_escaped = false;
    let end = inside.find(|c| {
        let is_end = c == '"' && !is_escaped;
        is_escaped = c == '\\' && !is_escaped;
        is_end
    })?;
    Some((&inside[..end], &inside[end + 1..]))
}

fn raw_text(code: &str) -> Option<(&str, &str)> {
    let hashes = code.strip_prefix('r')?;
    let inside = hashes.trim_start_matches('#');
    let end = format!("\"{}", "#".repeat(hashes.len() - inside.len()));
    inside.strip_prefix('"')?.split_once(end.as_str())
}

/// Whether a text is a statement of SQL, begins one, or names a file of them.
pub(crate) fn is_sql(text: &str) -> bool {
    let text = text.to_lowercase();
    let words: Vec<&str> = words(&text).collect();
    let is_followed_by = |next: &str| words.get(1).is_some_and(|second| *second == next);
    match words.first() {
        Some(&"select") => words.contains(&"from"),
        Some(&"with") => words.contains(&"select"),
        Some(&"insert") => words.contains(&"into"),
        Some(&"update") => words.get(2).is_some_and(|third| *third == "set"),
        Some(&"delete") => is_followed_by("from"),
        Some(&("create" | "alter" | "drop")) => {
            ["table", "index", "trigger"].into_iter().any(is_followed_by)
        }
        Some(&("pragma" | "savepoint" | "vacuum")) => true,
        _ => words.last() == Some(&"sql"),
    }
}

/// Whether the file is a module that is declared for tests alone.
pub(crate) fn is_test_only(file: &Path) -> bool {
    let (directory, name) = (file.parent().unwrap(), file.file_stem().unwrap().to_str().unwrap());
    let declaration = format!("#[cfg(test)]\nmod {name};");
    let parents = [directory.join("mod.rs"), directory.with_extension("rs")];
    let mut declared = parents.iter().filter_map(|parent| fs::read_to_string(parent).ok());
    declared.any(|parent| parent.contains(&declaration))
}
