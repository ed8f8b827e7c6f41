//! The directions of dependency that Cargo cannot hold: between the rooms of one crate.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a panic here is a failed test")]

use std::fs;
use std::path::{Path, PathBuf};

/// In the room, no line of code may name any of these.
const RULES: &[(&str, &[&str])] = &[
    (
        "domain",
        &[
            "actix",
            "tokio",
            "rusqlite",
            "serde",
            "crate::store",
            "crate::http",
            "crate::actors",
            "std::fs",
            "std::net",
        ],
    ),
    ("store", &["actix", "tokio::", "crate::http", "crate::actors"]),
    ("http", &["crate::store", "rusqlite", "r2d2"]),
    ("actors", &["crate::http", "actix_web"]),
];

/// Rooms of the shared crate that must not know what is named.
const SHARED_RULES: &[(&str, &[&str])] = &[
    (
        "contract",
        &[
            "actix",
            "tokio",
            "rusqlite",
            "crate::bus",
            "crate::http",
            "crate::sqlite",
            "crate::log_sync",
        ],
    ),
    (
        "sync",
        &[
            "actix",
            "tokio",
            "rusqlite",
            "std::time",
            "crate::clock",
            "crate::bus",
            "crate::secrets",
        ],
    ),
    ("bus", &["rusqlite", "actix", "crate::sqlite", "crate::http", "crate::log_sync"]),
    ("sqlite", &["actix", "crate::bus", "crate::http"]),
    ("tokens", &["actix", "rusqlite", "crate::bus", "crate::http"]),
];

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn rust_files(room: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(room).unwrap_or_else(|error| panic!("{}: {error}", room.display())) {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}

/// Lines of code that name something forbidden; comments may, and so may tests at a file's end.
fn breaches(source: &Path, rules: &[(&str, &[&str])]) -> Vec<String> {
    let mut found = Vec::new();
    for (room, forbidden) in rules {
        for file in rust_files(&source.join(room)) {
            let text = fs::read_to_string(&file).unwrap();
            let code = text.split("#[cfg(test)]").next().unwrap_or_default();
            for line in code.lines().filter(|line| !line.trim_start().starts_with("//")) {
                for word in forbidden.iter().filter(|word| line.contains(**word)) {
                    found.push(format!("{}: {word}: {}", file.display(), line.trim()));
                }
            }
        }
    }
    found
}

#[test]
fn the_rooms_of_a_service_know_only_the_rooms_below_them() {
    for service in ["user_service", "auth_service"] {
        let found = breaches(&workspace().join(service).join("src"), RULES);
        assert!(found.is_empty(), "{found:#?}");
    }
}

#[test]
fn the_rooms_of_the_kit_do_not_know_each_other_upwards() {
    let found = breaches(&workspace().join("shared/src"), SHARED_RULES);
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn a_breach_is_found() {
    let source = tempfile::tempdir().unwrap();
    for room in ["domain", "store", "http", "actors"] {
        fs::create_dir(source.path().join(room)).unwrap();
    }
    fs::write(source.path().join("http/x.rs"), "use crate::store::users;\n").unwrap();
    fs::write(source.path().join("domain/y.rs"), "// crate::store in a comment\n").unwrap();
    assert_eq!(breaches(source.path(), RULES).len(), 1);
}

#[test]
fn the_services_do_not_depend_on_each_other() {
    for (service, other) in [("user_service", "auth_service"), ("auth_service", "user_service")] {
        let manifest = fs::read_to_string(workspace().join(service).join("Cargo.toml")).unwrap();
        let dependencies = manifest.split("[dependencies]").nth(1).unwrap();
        assert!(!dependencies.contains(other), "{service} depends on {other}");
    }
}
