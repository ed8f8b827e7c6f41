//! The links between the documents: each leads to a file, and to a heading of it.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Directories with documents of others, or with none.
const LEFT_OUT: [&str; 5] = ["target", "node_modules", "venv", ".git", "data"];

/// All Markdown files below a directory.
fn documents(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()) {
        let name = entry.file_name().unwrap().to_string_lossy();
        if entry.is_dir() {
            if !LEFT_OUT.contains(&&*name) {
                found.extend(documents(&entry));
            }
        } else if name.ends_with(".md") {
            found.push(entry);
        }
    }
    found
}

/// The lines outside of fenced blocks.
fn prose(text: &str) -> String {
    let fenced = text.split("\n```").enumerate();
    fenced.filter(|(part, _)| part % 2 == 0).flat_map(|(_, text)| [text, "\n"]).collect()
}

/// The headings below the title.
fn headings(text: &str) -> Vec<String> {
    let prose = prose(text);
    let is_heading = |line: &&str| line.starts_with("##") && line.contains("# ");
    let headings = prose.lines().filter(is_heading);
    headings.map(|line| line.trim_start_matches('#').trim().to_owned()).collect()
}

/// What a heading is called in links, as GitHub makes it.
fn anchor(heading: &str) -> String {
    let kept = |c: &char| c.is_alphanumeric() || [' ', '-', '_'].contains(c);
    heading.to_lowercase().chars().filter(kept).collect::<String>().replace(' ', "-")
}

/// The targets of the links of a text.
fn targets(text: &str) -> Vec<String> {
    let prose = prose(text);
    let parts = prose.split("](").skip(1);
    parts.filter_map(|part| part.split_once(')')).map(|(target, _)| target.to_owned()).collect()
}

/// The links of a document that lead nowhere. Those to other hosts are not followed.
fn broken_links(document: &Path) -> Vec<String> {
    let text = fs::read_to_string(document).unwrap();
    let inside = targets(&text).into_iter().filter(|target| !target.contains("://"));
    let broken = inside.filter(|target| {
        let (path, heading) = target.split_once('#').unwrap_or((target, ""));
        let file = if path.is_empty() {
            document.to_owned()
        } else {
            document.parent().unwrap().join(path)
        };
        if heading.is_empty() {
            return !file.exists();
        }
        let there = fs::read_to_string(file).map(|text| headings(&text)).unwrap_or_default();
        !there.iter().any(|there| anchor(there) == heading)
    });
    broken.map(|target| format!("{}: {target}", document.display())).collect()
}

/// References such as `docs/events.md, "Dead letters"` that name no heading.
fn broken_references(repository: &Path, text: &str) -> BTreeSet<String> {
    let references = text.split("docs/").skip(1).filter_map(|rest| {
        let (page, rest) = rest.split_once(", \"")?;
        let (heading, _) = rest.split_once('"')?;
        (!page.contains(char::is_whitespace)).then(|| (page.to_owned(), heading.to_owned()))
    });
    let broken = references.filter(|(page, heading)| {
        let text = fs::read_to_string(repository.join("docs").join(page)).unwrap_or_default();
        !headings(&text).contains(heading)
    });
    broken.map(|(page, heading)| format!("{page}: {heading}")).collect()
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

#[test]
fn every_link_between_documents_leads_to_a_heading_or_a_file() {
    let documents = documents(&repository());
    assert!(documents.len() > 30, "{documents:?}");
    let broken: Vec<_> = documents.iter().flat_map(|path| broken_links(path)).collect();
    assert_eq!(broken, [] as [&str; 0]);
    let alerts = fs::read_to_string(repository().join("docs/observe/alerts.yml")).unwrap();
    assert_eq!(broken_references(&repository(), &alerts), BTreeSet::new());
}

#[test]
fn a_broken_link_is_found() {
    let directory = tempfile::tempdir().unwrap();
    let page = directory.path().join("page.md");
    let text = "# Page\n\n## Rotate a `key`, now\n[a](#rotate-a-key-now) [b](page.md) [c](https://x/y)\n\
        ```sh\n# [no](link.md)\n```\n[d](#rotate) [e](none.md) [f](none.md#x) [g](page.md#page)\n";
    fs::write(&page, text).unwrap();
    let broken: Vec<_> = broken_links(&page)
        .iter()
        .map(|link| link.rsplit(' ').next().unwrap().to_owned())
        .collect();
    assert_eq!(broken, ["#rotate", "none.md", "none.md#x", "page.md#page"]);
    let references = "see docs/events.md, \"Dead letters\", and docs/events.md, \"Live letters\"";
    let broken: Vec<_> = broken_references(&repository(), references).into_iter().collect();
    assert_eq!(broken, ["events.md: Live letters"]);
}

#[test]
fn the_list_on_top_of_operations_names_every_section() {
    let page = fs::read_to_string(repository().join("docs/operations.md")).unwrap();
    let (_, rest) = page.split_once("Each section is one thing to do:").unwrap();
    let (list, _) = rest.split_once("- elsewhere:").unwrap();
    let links = |heading: &String| format!("[{heading}](#{})", anchor(heading));
    let expected: Vec<_> = headings(&page).iter().map(links).collect();
    let listed: Vec<_> = list.lines().filter_map(|line| line.trim().strip_prefix("- ")).collect();
    assert_eq!(listed, expected);
}
