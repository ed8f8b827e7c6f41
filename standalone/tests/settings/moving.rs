//! `move`: what it refuses, in one line.

use super::*;

#[test]
fn a_move_that_cannot_begin_says_why_in_one_line_without_a_password() {
    let directory = tempfile::tempdir().unwrap();
    let refused = |from: &str, to: &str, code: i32, why: &str| {
        let mut command = binary();
        command.current_dir(directory.path()).args(["move", "--from", from, "--to", to]);
        let output = command.output().unwrap();
        let told = stderr_without_trail(&output);
        assert_eq!((output.status.code(), told.lines().count()), (Some(code), 1), "{told}");
        assert!(told.contains(why) && !stderr(&output).contains("canary"), "{told}");
    };
    refused("users.db", "users.db", 78, "the same database");
    refused("users.db", "mysql://root:canary@127.0.0.1/x", 78, "--to");
    refused("postgres://", "users.db", 78, "--from");
    refused("missing/users.db", "there/users.db", 66, "there is no such file");
    let nobody = "postgres://root:canary@127.0.0.1:1/x";
    std::fs::write(directory.path().join("other.txt"), "not a database, and no users").unwrap();
    refused("other.txt", "there/users.db", 78, "other.txt");
    refused(nobody, "there/users.db", 75, "PostgreSQL");
    assert!(!directory.path().join("missing").exists());
}
