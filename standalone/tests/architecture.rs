//! The directions of dependency that Cargo cannot hold: between the modules of one crate, and the
//! wall around the databases. And the links between the documents.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a panic here is a failed test")]

#[path = "architecture/links.rs"]
mod links;
#[path = "architecture/source.rs"]
mod source;

use std::fs;
use std::path::{Path, PathBuf};

use source::Source;

/// In the room, no line of code may name any of these.
type Rule = (&'static str, &'static [&'static str]);

const RULES: &[Rule] = &[
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
    ("http", &["rusqlite", "r2d2"]),
    ("actors", &["crate::http", "actix_web"]),
];

/// Rooms of the shared crate that must not know what is named.
const SHARED_RULES: &[Rule] = &[
    (
        "log_sync",
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
    // The codec gives what log_sync takes, and dead letters are sent by a task on a given thread.
    ("bus", &["rusqlite", "actix_web", "crate::sqlite", "crate::http"]),
    ("sqlite", &["actix", "crate::bus", "crate::http"]),
    ("postgres", &["actix", "rusqlite", "crate::bus", "crate::http"]),
    ("backup", &["actix", "rusqlite", "crate::bus", "crate::http"]),
    ("tokens", &["actix", "rusqlite", "crate::bus", "crate::http"]),
];

/// Words that name an engine, also in parts of paths: `shared::{clock, sqlite}`.
const ENGINES: &[&str] = &[
    "rusqlite",
    "rusqlite_migration",
    "r2d2",
    "r2d2_sqlite",
    "sqlite",
    "tokio_postgres",
    "postgres",
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

/// Lines of code that name something forbidden; comments may, and so may tests.
fn breaches(source: &Path, rules: &[Rule]) -> Vec<String> {
    let mut found = Vec::new();
    for (room, forbidden) in rules {
        for file in rust_files(&source.join(room)) {
            if source::is_test_only(&file) {
                continue;
            }
            for line in Source::read(&file).without_tests().code.lines() {
                for word in forbidden.iter().filter(|word| line.contains(**word)) {
                    found.push(format!("{}: {word}: {}", file.display(), line.trim()));
                }
            }
        }
    }
    found
}

/// Where something outside `store/` names an engine or holds SQL, tests not excepted, and where
/// `store/` hands an engine out.
fn leaks(source: &Path) -> Vec<String> {
    let (inside, outside): (Vec<_>, Vec<_>) = rust_files(source).into_iter().partition(|file| {
        file.starts_with(source.join("store")) || *file == source.join("store.rs")
    });
    let mut found = Vec::new();
    for file in outside {
        let source = Source::read(&file);
        for word in source.words().filter(|word| ENGINES.contains(word)) {
            found.push(format!("{}: names {word}", file.display()));
        }
        for text in source.texts.iter().filter(|text| source::is_sql(text)) {
            found.push(format!("{}: SQL: {text}", file.display()));
        }
    }
    for file in inside.iter().filter(|file| file.parent() == Some(&source.join("store"))) {
        for item in Source::read(file).public_items() {
            let hands_out = source::words(&item).any(|word| ENGINES.contains(&word));
            if hands_out {
                found.push(format!("{}: hands out an engine: {item}", file.display()));
            }
        }
    }
    found
}

#[test]
fn the_modules_of_a_service_know_only_those_below_them() {
    for service in ["user_service", "auth_service"] {
        let found = breaches(&workspace().join(service).join("src"), RULES);
        assert!(found.is_empty(), "{found:#?}");
    }
}

#[test]
fn the_modules_of_the_kit_do_not_know_each_other_upwards() {
    let found = breaches(&workspace().join("shared/src"), SHARED_RULES);
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn nothing_of_a_service_but_its_store_names_an_engine_or_speaks_sql() {
    for service in ["user_service", "auth_service"] {
        let found = leaks(&workspace().join(service).join("src"));
        assert!(found.is_empty(), "{found:#?}");
    }
}

#[test]
fn the_services_do_not_depend_on_each_other() {
    for (service, other) in [("user_service", "auth_service"), ("auth_service", "user_service")] {
        let manifest = fs::read_to_string(workspace().join(service).join("Cargo.toml")).unwrap();
        let dependencies = manifest.split("[dependencies]").nth(1).unwrap();
        assert!(!dependencies.contains(other), "{service} depends on {other}");
    }
}

/// A service of these files.
fn service(files: &[(&str, &str)]) -> tempfile::TempDir {
    let source = tempfile::tempdir().unwrap();
    for room in ["domain", "store", "http", "actors"] {
        fs::create_dir(source.path().join(room)).unwrap();
    }
    for (file, text) in files {
        fs::write(source.path().join(file), text).unwrap();
    }
    source
}

#[test]
fn a_breach_is_found_and_comments_and_tests_are_none() {
    let source = service(&[
        ("http/x.rs", "use rusqlite::Connection;\n"),
        ("domain/y.rs", "// crate::store in a comment\n"),
        ("actors/mod.rs", "#[cfg(test)]\nmod helper;\nuse crate::http::Api;\n"),
        ("actors/helper.rs", "use actix_web::test;\n"),
        ("store/mod.rs", "fn f() {}\n#[cfg(test)]\nmod tests {\n    use actix::test;\n}\n"),
    ]);
    let found = breaches(source.path(), RULES);
    assert_eq!(found.len(), 2, "{found:#?}");
    assert!(found.iter().any(|breach| breach.contains("crate::http::Api")), "{found:#?}");
}

#[test]
fn a_leak_of_each_kind_is_found() {
    for (file, text) in [
        ("actors/x.rs", "use rusqlite::Connection;"),
        ("actors/x.rs", "use rusqlite as database;"),
        ("actors/x.rs", "extern crate rusqlite as database;"),
        ("http/x.rs", "use shared::sqlite::StoreError;"),
        ("http/x.rs", "use shared::{clock::Clock, sqlite as files};"),
        ("domain/x.rs", "fn f(c: &r2d2::Pool<()>) {}"),
        ("service.rs", "use crate::store::sqlite::SqliteStore;"),
        ("metrics.rs", "#[cfg(test)]\nmod tests {\n    use rusqlite::Connection;\n}"),
        ("actors/x.rs", r#"const Q: &str = "SELECT 1 FROM users";"#),
        ("actors/x.rs", r#"fn f() { run("delete from users") }"#),
        ("actors/x.rs", "const Q: &str = \"UPDATE users\n    SET version = 1\";"),
        ("http/x.rs", "const Q: &str = r#\"insert  into users values (\"x\")\"#;"),
        ("cli.rs", r#"run(concat!("CREATE TABLE t ", "(x)"))"#),
        ("main.rs", r#"run("WITH n AS (SELECT 1) SELECT * FROM n")"#),
        ("main.rs", r#"run(include_str!("../migrations/0001_users.sql"))"#),
        ("config.rs", r#"run("PRAGMA user_version")"#),
        ("store/mod.rs", "pub use rusqlite;"),
        ("store/mod.rs", "pub use rusqlite as database;"),
        ("store/mod.rs", "pub(crate) use shared::{\n    clock,\n    sqlite::StoreError,\n};"),
        ("store/mod.rs", "pub mod sqlite;"),
        ("config.rs", "use shared::postgres::check_url;"),
        ("actors/x.rs", "fn f(row: &tokio_postgres::Row) {}"),
        ("store/mod.rs", "pub use sqlite::SqliteStore;"),
        ("store/x.rs", "pub type Connection = rusqlite::Connection;"),
        ("store/x.rs", "pub fn open() -> rusqlite::Connection { todo() }"),
    ] {
        let source = service(&[(file, text)]);
        assert_eq!(leaks(source.path()).len(), 1, "{file}: {text}");
    }
}

#[test]
fn what_is_no_leak_is_not_taken_for_one() {
    for (file, text) in [
        ("actors/x.rs", "// rusqlite, SELECT * FROM users\nuse crate::store::Change;"),
        ("actors/x.rs", "/* shared::sqlite */ fn f<'a>(x: &'a str) -> char { '\"' }"),
        ("http/x.rs", r#"const DETAIL: &str = "update the settings before you select a user";"#),
        ("http/x.rs", r#"const DETAIL: &str = "a value from the set";"#),
        ("store/mod.rs", "mod sqlite;\nuse rusqlite::Connection;\nfn f(c: Connection) {}"),
        ("store/mod.rs", "pub fn in_file() -> Arc<dyn Store> { sqlite::open() }"),
        ("store/sqlite.rs", "use rusqlite::Connection;"),
    ] {
        let source = service(&[(file, text)]);
        let found = leaks(source.path());
        assert!(found.is_empty(), "{found:#?}");
    }
}

/// Lines that log an error without its causes.
fn bare_errors(source: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for file in rust_files(source) {
        for line in Source::read(&file).code.lines().filter(|line| line.contains("%error")) {
            found.push(format!("{}: {}", file.display(), line.trim()));
        }
    }
    found
}

#[test]
fn every_error_is_logged_with_its_causes() {
    for source in ["shared/src", "user_service/src", "auth_service/src", "standalone/src"] {
        let found = bare_errors(&workspace().join(source));
        assert!(found.is_empty(), "log `error = &error as &dyn Error`: {found:#?}");
    }
    let source = service(&[("http/x.rs", "tracing::warn!(%error, \"it failed\");")]);
    assert_eq!(bare_errors(source.path()).len(), 1);
}

/// The files and tests that a page names as evidence, in backticks, and that are not there.
fn missing_evidence(page: &str, files: &[(String, String)]) -> Vec<String> {
    let quoted = page.split('`').skip(1).step_by(2);
    let is_there = |name: &str| {
        let (file, test) = (format!("/{name}"), format!("fn {name}("));
        files.iter().any(|(path, text)| path.ends_with(&file) || text.contains(&test))
    };
    let is_file =
        |name: &str| Path::new(name).extension().is_some_and(|extension| extension == "rs");
    let is_evidence = |name: &&str| is_file(name) || name.matches('_').count() > 4;
    quoted.filter(is_evidence).filter(|name| !is_there(name)).map(str::to_owned).collect()
}

#[test]
fn what_the_security_page_names_as_evidence_is_there() {
    let rooms = ["shared", "user_service", "auth_service", "standalone"];
    let paths = rooms.iter().flat_map(|room| rust_files(&workspace().join(room)));
    let files: Vec<_> = paths
        .map(|path| (path.display().to_string(), fs::read_to_string(&path).unwrap()))
        .collect();
    let page = fs::read_to_string(workspace().join("docs/security.md")).unwrap();
    assert!(page.contains("`auth_service/tests/api/tokens.rs`"), "it names evidence");
    assert_eq!(missing_evidence(&page, &files), [] as [&str; 0]);
    let invented = "see `api/no_such.rs` and `a_test_that_nobody_has_written`";
    assert_eq!(missing_evidence(invented, &files).len(), 2);
}
