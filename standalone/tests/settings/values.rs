//! Values of single settings: blank, no text, beyond their bounds, with a password in them.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStringExt;

use crate::{binary, stderr};

/// Exit code and errors of `config` with these flags and variables.
fn config<V: AsRef<OsStr>>(flags: &[&str], variables: &[(&str, V)]) -> (Option<i32>, String) {
    let mut command = binary();
    command.args(flags).arg("config").env("DATA_DIR", "/no/such/directory");
    for (name, value) in variables {
        command.env(name, value);
    }
    let output = command.output().unwrap();
    (output.status.code(), stderr(&output))
}

const NONE: [(&str, &str); 0] = [];

#[test]
fn a_variable_that_is_no_text_is_told_by_its_name() {
    let no_text = OsString::from_vec(vec![b'a', 0xff]);
    for name in ["TOKEN_ISSUER", "HASH_THREADS", "AMQP_URL", "REQUIRE_IF_MATCH"] {
        let (code, told) = config(&[], &[(name, &no_text), ("HASH_QUEUE", &"-1".into())]);
        assert_eq!(code, Some(78), "{told}");
        assert!(told.contains(name) && told.contains("--hash-queue"), "{told}");
    }
    // The name of a file is no text.
    let (code, told) = config(&[], &[("DATA_DIR", &no_text)]);
    assert_eq!(code, Some(0), "{told}");
}

#[test]
fn a_blank_variable_is_unset_and_a_blank_flag_is_refused() {
    for name in ["TOKEN_ISSUER", "TOKEN_AUDIENCE", "DATA_DIR", "HASH_THREADS"] {
        let (code, told) = config(&[], &[(name, " \t")]);
        assert_eq!(code, Some(0), "{told}");
    }
    for flag in ["--token-issuer=", "--token-audience= ", "--data-dir=", "--data-dir= "] {
        let (code, told) = config(&[flag], &NONE);
        assert_eq!(code, Some(78), "{flag}: {told}");
        assert!(told.contains(flag.split('=').next().unwrap()), "{told}");
    }
}

#[test]
fn what_would_turn_protection_off_or_never_end_is_refused() {
    for (name, value, expected) in [
        ("LOGIN_FAILURES_WINDOW", "0s", "LOGIN_FAILURES_PER_NAME=0"),
        ("ARGON2_ITERATIONS", "4294967295", "1..=1024"),
        ("REQUIRE_IF_MATCH", "x", "true or false"),
    ] {
        let (code, told) = config(&[], &[(name, value)]);
        assert_eq!(code, Some(78), "{told}");
        assert!(told.contains(expected), "{told}");
    }
}

#[test]
fn a_password_in_a_url_is_never_repeated() {
    for url in ["http://user:very-secret@host", "http://user:very/se@cret@host", "very-secret@host"]
    {
        let (code, told) = config(&[], &[("USER_SERVICE_URL", url)]);
        assert_eq!(code, Some(78), "{told}");
        assert!(told.contains("--user-service-url") && !told.contains("very"), "{told}");
        let help = binary().arg("--help").env("USER_SERVICE_URL", url).output().unwrap();
        assert!(!String::from_utf8_lossy(&help.stdout).contains(url));
    }
}

#[test]
fn wrong_settings_of_traces_are_told_together_and_without_secrets() {
    let wrong = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://collector:4318"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "10s"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "very-secret"),
        ("OTEL_RESOURCE_ATTRIBUTES", "no pair"),
        ("OTEL_TRACES_SAMPLER", "sometimes"),
        ("OTEL_TRACES_SAMPLER_ARG", "2"),
        ("OTEL_BSP_SCHEDULE_DELAY", "5s"),
    ];
    let (code, told) = config(&[], &wrong);
    assert_eq!((code, told.lines().count()), (Some(78), wrong.len()), "{told}");
    assert!(told.contains("OTEL_EXPORTER_OTLP_HEADERS: must be KEY=VALUE"), "{told}");
    assert!(told.contains("run a local proxy") && !told.contains("very-secret"), "{told}");
    let right = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20very-secret"),
        ("OTEL_TRACES_SAMPLER", "parentbased_traceidratio"),
        ("OTEL_TRACES_SAMPLER_ARG", "0.1"),
    ];
    let output = binary().arg("config").envs(right).output().unwrap();
    let shown = String::from_utf8_lossy(&output.stdout);
    assert!(shown.contains("parentbased_traceidratio") && !shown.contains("very"), "{shown}");
}

#[test]
fn a_switch_may_have_a_value_and_a_list_may_have_spaces() {
    for (flags, value) in [
        (vec![], "false"),
        (vec!["--require-if-match"], "true"),
        (vec!["--require-if-match=true"], "true"),
        (vec!["--require-if-match=off"], "off"),
    ] {
        let output = binary().args(&flags).arg("config").output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        let text = String::from_utf8(output.stdout).unwrap();
        let line = text.lines().find(|line| line.starts_with("REQUIRE_IF_MATCH ")).unwrap();
        assert_eq!(line.split_whitespace().nth(1), Some(value), "{flags:?}");
    }
    let (code, told) = config(&[], &[("TRUSTED_PROXIES", "10.0.0.0/8, ::1 ,192.168.0.0/16")]);
    assert_eq!(code, Some(0), "{told}");
}
