//! docs/settings.md lists the settings, made from the description of the command line.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::PathBuf;

use clap::{Arg, Args, Command};
use shared::cli::command;
use standalone::cli::StandaloneBinary;

const PAGE: &str = include_str!("../../../docs/settings.md");
/// The lines around the table in the page.
const MARKS: [&str; 2] = ["<!-- made by the test `page` -->\n", "<!-- end -->\n"];

/// The environment variable of a setting.
fn name_of(setting: &Arg) -> Option<String> {
    Some(setting.get_env()?.to_str().unwrap().to_owned())
}

fn names_of<C: Args>() -> BTreeSet<String> {
    C::augment_args(Command::new("service")).get_arguments().filter_map(name_of).collect()
}

fn default_of(setting: &Arg) -> String {
    let values = setting.get_default_values().iter();
    let values: Vec<_> = values.map(|value| format!("`{}`", value.to_str().unwrap())).collect();
    values.join(", ")
}

fn meaning_of(setting: &Arg) -> String {
    let help = setting.get_long_help().or(setting.get_help()).unwrap().to_string();
    let values = setting.get_possible_values();
    let choices: Vec<_> = values.iter().map(|value| format!("`{}`", value.get_name())).collect();
    let choices =
        if choices.is_empty() { String::new() } else { format!(" ({})", choices.join(", ")) };
    format!("{help}{choices}").replace('|', "\\|").replace(['\n', '<', '>'], " ")
}

fn table() -> String {
    let of_user_service = names_of::<user_service::config::Config>();
    let of_auth_service = names_of::<auth_service::config::Config>();
    let mut rows = BTreeSet::new();
    let command = command::<StandaloneBinary>();
    for setting in command.get_arguments() {
        let Some(name) = name_of(setting) else { continue };
        let of = match (of_user_service.contains(&name), of_auth_service.contains(&name)) {
            (true, false) => "user_service",
            (false, true) => "auth_service",
            _ => "both",
        };
        let (default, meaning) = (default_of(setting), meaning_of(setting));
        rows.insert(format!("| `{name}` | {of} | {default} | {meaning} |"));
    }
    let mut table = "| setting | of | default | meaning |\n|---|---|---|---|\n".to_owned();
    for row in rows {
        writeln!(table, "{row}").unwrap();
    }
    table
}

/// After a change of the settings, `UPDATE_DOCS=1` writes the table anew.
#[test]
fn the_page_of_settings_lists_them_all() {
    let (before, rest) = PAGE.split_once(MARKS[0]).unwrap();
    let (there, after) = rest.split_once(MARKS[1]).unwrap();
    let table = table();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        let page = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/settings.md");
        std::fs::write(page, [before, MARKS[0], &table, MARKS[1], after].concat()).unwrap();
    } else {
        assert_eq!(there, table, "docs/settings.md: see its test for how it is made");
    }
}
