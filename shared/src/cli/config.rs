//! `config`: the settings that are in force, and where each comes from.

use std::io::{self, Write};

use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Command};
use serde::Serialize;

/// Stands for a secret.
const HIDDEN: &str = "(not shown)";

/// A setting.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct InForce {
    /// Its variable.
    name: String,
    /// Its value; `None` if it has none.
    value: Option<String>,
    source: Source,
}

/// Where a value comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Source {
    Default,
    Environment,
    Flag,
    /// There is none: what that means, `--help` says.
    Unset,
}

impl Source {
    fn name(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Environment => "environment",
            Self::Flag => "flag",
            Self::Unset => "unset",
        }
    }
}

/// All settings of this command line.
pub(super) fn in_force(command: &Command, matches: &ArgMatches) -> Vec<InForce> {
    let settings = command.get_arguments().filter(|arg| arg.get_long().is_some());
    let settings = settings.filter(|arg| !["help", "version"].contains(&arg.get_id().as_str()));
    settings.map(|arg| of(arg, matches)).collect()
}

fn of(arg: &Arg, matches: &ArgMatches) -> InForce {
    let id = arg.get_id().as_str();
    let values = matches.get_raw(id).map(|values| {
        let values: Vec<_> = values.map(|value| value.to_string_lossy()).collect();
        values.join(",")
    });
    let value =
        values.map(|value| if arg.is_hide_env_values_set() { HIDDEN.into() } else { value });
    let source = match matches.value_source(id) {
        Some(ValueSource::EnvVariable) => Source::Environment,
        Some(ValueSource::CommandLine) => Source::Flag,
        _ if value.is_some() => Source::Default,
        _ => Source::Unset,
    };
    InForce { name: id.to_uppercase(), value, source }
}

/// Prints them: a line each, or a JSON array.
///
/// # Errors
/// The output cannot be written.
pub(super) fn print(settings: &[InForce], is_json: bool) -> io::Result<()> {
    let text = if is_json {
        serde_json::to_string_pretty(settings)? + "\n"
    } else {
        let name_width = width(settings.iter().map(|setting| setting.name.as_str()));
        let value_width = width(settings.iter().filter_map(|setting| setting.value.as_deref()));
        let line = |InForce { name, value, source }: &InForce| {
            let value = value.as_deref().unwrap_or_default();
            format!("{name:<name_width$}  {value:<value_width$}  {}\n", source.name())
        };
        settings.iter().map(line).collect()
    };
    io::stdout().write_all(text.as_bytes())
}

fn width<'a>(texts: impl Iterator<Item = &'a str>) -> usize {
    texts.map(|text| text.chars().count()).max().unwrap_or_default()
}
