//! Reads the settings. All wrong values are reported at once, an empty or blank variable counts as
//! unset, and what may be a password is never repeated.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};

use clap::builder::Resettable;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Args, Command, CommandFactory, FromArgMatches, Subcommand, ValueHint};

use super::config::{InForce, in_force};
use super::{Application, Cli, Failure};

/// The parsed settings.
pub(super) struct Settings<C: Args, S: Subcommand> {
    pub(super) cli: Cli<C, S>,
    /// All of them, for `config`.
    pub(super) in_force: Vec<InForce>,
    /// The wrong values, one line each; the settings contain defaults in their place.
    problems: Vec<String>,
}

impl<C: Args, S: Subcommand> Settings<C, S> {
    /// The settings, if no value is wrong and `others` contains no problems.
    pub(super) fn into_config(self, others: Vec<String>) -> Result<C, Failure> {
        let Self { cli, mut problems, .. } = self;
        problems.extend(others);
        if problems.is_empty() { Ok(cli.config) } else { Err(Failure::Settings(problems)) }
    }
}

/// The command line of a binary, with blank environment variables ignored.
pub fn command<A: Application>() -> Command {
    let command = Cli::<A::Config, A::Command>::command().name(A::NAME).about(A::ABOUT);
    command.mut_args(|arg| match in_environment(&arg) {
        Some(value) if is_blank(&value) => without_env(arg),
        // `--help` would show it.
        Some(value) if value.to_string_lossy().contains('@') => arg.hide_env_values(true),
        _ => arg,
    })
}

/// Reads flags and environment.
pub(super) fn parse<A: Application>(
    arguments: Vec<OsString>,
) -> Result<Settings<A::Config, A::Command>, Failure> {
    parse_known_good(command::<A>(), arguments)
}

/// clap stops at the first wrong value. So each wrong value is noted and removed, until the rest is
/// valid.
fn parse_known_good<C: Args, S: Subcommand>(
    mut command: Command,
    mut arguments: Vec<OsString>,
) -> Result<Settings<C, S>, Failure> {
    let (mut problems, mut left_out) = (Vec::new(), BTreeSet::new());
    let matches = loop {
        let error = match command.clone().try_get_matches_from(&arguments) {
            Ok(matches) => break matches,
            Err(error) => error,
        };
        let unreadable = unreadable_variable(&command, &error);
        let (arg, problem) = match (unreadable, arg_with_wrong_value(command.clone(), &error)) {
            (Some((arg, name)), _) => (arg, format!("the variable {name} is not valid UTF-8")),
            (None, Some(arg)) => (arg, first_paragraph(&error)),
            (None, None) => return Err(Failure::Usage(error)),
        };
        if !left_out.insert(arg.get_id().clone()) {
            return Err(Failure::Usage(error));
        }
        problems.push(problem);
        arguments = without_flag(arguments, &arg);
        command = command.mut_arg(arg.get_id().clone(), without_env);
    };
    problems.extend(blank_flags(&command, &matches));
    let cli = Cli::from_arg_matches(&matches).map_err(Failure::Usage)?;
    Ok(Settings { cli, in_force: in_force(&command, &matches), problems })
}

fn in_environment(arg: &Arg) -> Option<OsString> {
    arg.get_env().and_then(std::env::var_os)
}

fn is_blank(value: &OsStr) -> bool {
    value.to_str().is_some_and(|text| text.trim().is_empty())
}

/// The setting whose variable is no text, and the variable's name. A path need not be one.
fn unreadable_variable(command: &Command, error: &clap::Error) -> Option<(Arg, String)> {
    if error.kind() != ErrorKind::InvalidUtf8 {
        return None;
    }
    let is_unreadable = |arg: &&Arg| {
        arg.get_value_hint() != ValueHint::AnyPath
            && in_environment(arg).is_some_and(|value| value.to_str().is_none())
    };
    let arg = command.get_arguments().find(is_unreadable)?;
    Some((arg.clone(), arg.get_env()?.to_string_lossy().into_owned()))
}

/// A flag that is given without a value is a mistake of a script, for instance an unset variable.
/// An empty list is one.
fn blank_flags(command: &Command, matches: &ArgMatches) -> Vec<String> {
    let is_given = |arg: &&Arg| {
        let is_flag = matches.value_source(arg.get_id().as_str()) == Some(ValueSource::CommandLine);
        is_flag && arg.get_long().is_some() && arg.get_value_delimiter().is_none()
    };
    let is_blank = |arg: &&Arg| {
        let values = matches.get_raw(arg.get_id().as_str());
        values.is_some_and(|mut values| values.any(is_blank))
    };
    let blank = command.get_arguments().filter(is_given).filter(is_blank);
    let flags = blank.filter_map(Arg::get_long);
    flags.map(|flag| format!("'--{flag}' has no value: give it one, or leave it out")).collect()
}

fn without_env(arg: Arg) -> Arg {
    arg.env(Resettable::Reset)
}

fn arg_with_wrong_value(mut command: Command, error: &clap::Error) -> Option<Arg> {
    if !matches!(error.kind(), ErrorKind::InvalidValue | ErrorKind::ValueValidation) {
        return None;
    }
    let Some(ContextValue::String(shown)) = error.get(ContextKind::InvalidArg) else { return None };
    // clap can only print an argument that was built.
    command.build();
    command.get_arguments().find(|arg| arg.to_string() == *shown).cloned()
}

/// clap's message without its advice: `invalid value 'x' for '--hash-threads <N>': …`.
fn first_paragraph(error: &clap::Error) -> String {
    let text = error.to_string();
    let lines = text.lines().take_while(|line| !line.is_empty()).map(str::trim);
    let text = lines.collect::<Vec<_>>().join(" ").trim_start_matches("error: ").to_owned();
    match error.get(ContextKind::InvalidValue) {
        Some(ContextValue::String(value)) => text.replace(value, &without_credentials(value)),
        _ => text,
    }
}

/// Of `http://user:password@host`, the host.
fn without_credentials(value: &str) -> String {
    value.rsplit_once('@').map_or(value.to_owned(), |(_, host)| format!("(not shown)@{host}"))
}

/// The arguments without `--flag VALUE` and `--flag=VALUE`.
fn without_flag(arguments: Vec<OsString>, arg: &Arg) -> Vec<OsString> {
    let Some(flag) = arg.get_long().map(|long| format!("--{long}")) else { return arguments };
    let mut arguments = arguments.into_iter();
    let mut kept = Vec::new();
    while let Some(argument) = arguments.next() {
        let text = argument.to_string_lossy();
        if text == flag {
            // Its value is removed, too.
            if !arg.is_require_equals_set() {
                arguments.next();
            }
        } else if !text.starts_with(&format!("{flag}=")) {
            kept.push(argument);
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{CommonConfig, HashingArgs};

    #[derive(Args)]
    struct Config {
        #[command(flatten)]
        common: CommonConfig,
        #[command(flatten)]
        hashing: HashingArgs,
    }

    #[derive(Subcommand)]
    enum NoCommand {}

    fn parse(arguments: &[&str]) -> Result<Settings<Config, NoCommand>, Failure> {
        let arguments = std::iter::once("test").chain(arguments.iter().copied());
        parse_known_good(Cli::<Config, NoCommand>::command(), arguments.map(Into::into).collect())
    }

    #[test]
    fn all_wrong_values_are_told_and_the_rest_is_read() {
        let arguments =
            ["--hash-threads=0", "--log-format", "xml", "--log", "warn", "--hash-queue=-1"];
        let Ok(Settings { cli, problems, .. }) = parse(&arguments) else { panic!("not parsed") };
        let told = problems.join("\n");
        for flag in ["--hash-threads <N>", "--log-format <FORMAT>", "--hash-queue <N>"] {
            assert!(told.contains(flag), "{flag} is not in\n{told}");
        }
        assert!(told.contains("[possible values: text, json]"), "{told}");
        assert_eq!((problems.len(), cli.config.common.log.as_str()), (3, "warn"));
        assert_eq!(cli.config.hashing.hash_queue, 128);
    }

    #[test]
    fn a_flag_that_there_is_not_is_a_wrong_command_line() {
        assert!(matches!(parse(&["--no-such-flag"]), Err(Failure::Usage(_))));
        assert!(matches!(parse(&["--help"]), Err(Failure::Usage(_))));
    }
}
