//! `migrate`: the tables without the service.

use std::fs;
use std::path::Path;

use testkit::postgres::{PASSWORD, Postgres};
use testkit::wait::until;

use super::*;

fn migrate(data_dir: &Path, url: Option<&str>) -> Command {
    let mut command = binary();
    command.arg("migrate").env("DATA_DIR", data_dir);
    command.envs(url.map(|url| ("DATABASE_URL", url)));
    command
}

fn assert_done(output: &Output) {
    let told = String::from_utf8_lossy(&output.stdout);
    assert_eq!((output.status.code(), &*told), (Some(0), "the tables are up to date\n"));
}

#[actix_web::test]
async fn the_tables_are_made_by_two_at_once_and_the_service_finds_them() {
    let (server, directory) = (Postgres::start().await, tempfile::tempdir().unwrap());
    let url = server.url();
    let run = |command: &mut Command| {
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let two = [(); 2].map(|()| run(&mut migrate(directory.path(), Some(&url))));
    for child in two {
        assert_done(&child.wait_with_output().unwrap());
    }
    assert_eq!(server.sql("SELECT count(*) FROM users"), "0");
    let nobody = server.sql("SELECT place FROM log_state");
    assert_eq!(nobody, "", "nobody has vouched for the log so far");
    // A role that may not change tables is enough for the service from here on.
    assert_done(&migrate(directory.path(), Some(&url)).output().unwrap());
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0, "DATA_DIR is not needed");
}

#[actix_web::test]
async fn a_file_is_migrated_while_no_service_uses_it() {
    let directory = tempfile::tempdir().unwrap();
    let data_dir = directory.path().join("data");
    assert_done(&migrate(&data_dir, None).output().unwrap());
    assert!(data_dir.join("users.db").exists());
    let [users, auth] = free_addresses();
    let mut serving = binary()
        .env("DATA_DIR", &data_dir)
        .env("USER_SERVICE_LISTEN", &users)
        .env("AUTH_SERVICE_LISTEN", &auth)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    until("the service is there", Duration::from_secs(20), async || {
        std::net::TcpStream::connect(&users).ok()
    })
    .await;
    let refused = migrate(&data_dir, None).output().unwrap();
    serving.kill().unwrap();
    serving.wait().unwrap();
    let told = stderr(&refused);
    assert_eq!((refused.status.code(), told.lines().count()), (Some(75), 1), "{told}");
    assert!(told.contains("another user_service process uses"), "{told}");
}

#[actix_web::test]
async fn what_cannot_be_migrated_is_told_in_one_line_without_the_password() {
    let mut server = Postgres::start().await;
    let directory = tempfile::tempdir().unwrap();
    let refused = |url: &str, code: i32, why: &str| {
        let output = migrate(directory.path(), Some(url)).output().unwrap();
        let told = stderr_without_trail(&output);
        assert_eq!((output.status.code(), told.lines().count()), (Some(code), 1), "{told}");
        assert!(told.contains(why) && !stderr(&output).contains("canary"), "{told}");
    };
    refused("mysql://root:canary@127.0.0.1/x", 78, "DATABASE_URL");
    let wrong = server.url().replace(PASSWORD, "another-canary");
    refused(&wrong, 78, "password authentication failed");
    server.sql("CREATE TABLE orders ()");
    refused(&server.url(), 78, "another application");
    server.sql("DROP TABLE orders");
    server.sql_as_superuser("ALTER DATABASE lockstep OWNER TO root");
    refused(&server.url(), 78, "may not create tables");
    server.stop().await;
    refused(&server.url(), 75, "PostgreSQL");
}
