//! Reads the settings. All wrong values are reported at once, and an empty variable counts as
//! unset.

use std::collections::BTreeSet;
use std::ffi::OsString;

use clap::builder::Resettable;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, Args, Command, CommandFactory, FromArgMatches};

use super::config::{InForce, in_force};
use super::{Application, Cli, Failure};

/// The parsed settings.
pub(super) struct Settings<C: Args> {
    pub(super) cli: Cli<C>,
    /// All of them, for `config`.
    pub(super) in_force: Vec<InForce>,
    /// The wrong values, one line each; the settings contain defaults in their place.
    problems: Vec<String>,
}

impl<C: Args> Settings<C> {
    /// The settings, if no value is wrong and `others` contains no problems.
    pub(super) fn into_config(self, others: Vec<String>) -> Result<C, Failure> {
        let Self { cli, mut problems, .. } = self;
        problems.extend(others);
        if problems.is_empty() { Ok(cli.config) } else { Err(Failure::Settings(problems)) }
    }
}

/// The command line of a binary, with empty environment variables ignored.
pub fn command<A: Application>() -> Command {
    let command = Cli::<A::Config>::command().name(A::NAME).about(A::ABOUT);
    command.mut_args(|arg| if is_empty_in_environment(&arg) { without_env(arg) } else { arg })
}

/// Reads flags and environment.
pub(super) fn parse<A: Application>(
    arguments: Vec<OsString>,
) -> Result<Settings<A::Config>, Failure> {
    parse_known_good(command::<A>(), arguments)
}

/// clap stops at the first wrong value. So each wrong value is noted and removed, until the rest is
/// valid.
fn parse_known_good<C: Args>(
    mut command: Command,
    mut arguments: Vec<OsString>,
) -> Result<Settings<C>, Failure> {
    let (mut problems, mut left_out) = (Vec::new(), BTreeSet::new());
    let matches = loop {
        let error = match command.clone().try_get_matches_from(&arguments) {
            Ok(matches) => break matches,
            Err(error) => error,
        };
        let wrong = arg_with_wrong_value(command.clone(), &error);
        let Some(arg) = wrong.filter(|arg| left_out.insert(arg.get_id().clone())) else {
            return Err(Failure::Usage(error));
        };
        problems.push(first_paragraph(&error));
        arguments = without_flag(arguments, &arg);
        command = command.mut_arg(arg.get_id().clone(), without_env);
    };
    let cli = Cli::from_arg_matches(&matches).map_err(Failure::Usage)?;
    Ok(Settings { cli, in_force: in_force(&command, &matches), problems })
}

fn is_empty_in_environment(arg: &Arg) -> bool {
    arg.get_env().and_then(std::env::var_os).is_some_and(|value| value.is_empty())
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
    lines.collect::<Vec<_>>().join(" ").trim_start_matches("error: ").to_owned()
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
            arguments.next();
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

    fn parse(arguments: &[&str]) -> Result<Settings<Config>, Failure> {
        let arguments = std::iter::once("test").chain(arguments.iter().copied());
        parse_known_good(Cli::<Config>::command(), arguments.map(Into::into).collect())
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
