//! Today's services on data directories of older versions: `fixtures/`.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use awc::http::Method;
use data_encoding::BASE64URL_NOPAD;
use rusqlite::Connection;
use serde_json::{Value, json};
use shared::clock::Clock;
use shared::file_mark::FileIdentity;
use tempfile::TempDir;
use testkit::faketime;
use testkit::wait::until;

use crate::client::Client;
use crate::journeys::until_login_gives;
use crate::system::{System, command_on};

/// Id, name and password of a user.
type User = (i64, &'static str, &'static str);

/// A data directory that an older version has left.
#[derive(Clone, Copy)]
struct Fixture {
    path: &'static str,
    users: &'static [User],
    /// Names and passwords that are good no more.
    refused: &'static [(&'static str, &'static str)],
    /// Every id up to this one was given.
    highest_id: i64,
}

/// What `make.sh` does in every version.
const STOPPED: Fixture = Fixture {
    path: "data-2574c51/stopped",
    users: &[
        (1, "Ada", "ada has a password"),
        (2, "José", "contraseña de José"),
        (3, "ΟΔΥΣΣΕΑΣ", "ταξίδι στην Ιθάκη"),
        (4, "Ｗｉｄｅ", "wide　as　full　width"),
        (5, "After", "renamed afterwards"),
        (6, "changed", "the second password"),
        (8, "ශ්‍රී", "sri with a joiner"),
    ],
    refused: &[
        ("before", "renamed afterwards"),
        ("changed", "the first password"),
        ("gone", "deleted afterwards"),
    ],
    highest_id: 8,
};

/// Nothing is checkpointed, and auth_service has not seen the end of the log.
const KILLED: Fixture = Fixture {
    path: "data-2574c51/killed",
    users: &[
        (1, "Ada", "ada has another"),
        (2, "JOSÉ", "contraseña de José"),
        (3, "ΟΔΥΣΣΕΑΣ", "ταξίδι στην Ιθάκη"),
        (4, "Ｗｉｄｅ", "wide　as　full　width"),
        (5, "After", "renamed afterwards"),
        (6, "changed", "the second password"),
        (8, "ශ්‍රී", "sri with a joiner"),
        (9, "unpublished", "nobody was told"),
        (10, "\u{1f88}", "accepted by mistake"),
    ],
    refused: &[("Ada", "ada has a password"), ("late", "deleted unseen")],
    highest_id: 11,
};

/// Those whose tokens name records of the log, as today's do.
const WITH_STAMPS: [Fixture; 1] = [Fixture { path: "data-88b52ff/stopped", ..STOPPED }];

/// How long auth_service may wait for an answer of user_service on a busy machine.
const BOUND: Duration = Duration::from_secs(30);
const DEAD: [&str; 3] = ["logged-out", "old-password", "deleted"];
/// Alive in those that have stamps, where they were made.
const ALIVE: &str = "alive";

/// Copies a directory of files, each private to its owner: git does not keep modes.
fn copy_privately(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    std::fs::set_permissions(to, Permissions::from_mode(0o700)).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let copy = to.join(entry.file_name());
        std::fs::copy(entry.path(), &copy).unwrap();
        std::fs::set_permissions(&copy, Permissions::from_mode(0o600)).unwrap();
    }
}

impl Fixture {
    fn path(&self) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(self.path)
    }

    /// A token that was issued then.
    fn token(&self, name: &str) -> String {
        let path = self.path().with_extension(format!("{name}.token"));
        std::fs::read_to_string(path).unwrap().trim_end().to_owned()
    }

    /// Today's services on a copy, a minute after it was made: its tokens have not expired.
    fn start(&self, prepare: impl FnOnce(&Path)) -> System {
        let directory = TempDir::new().unwrap();
        let data_dir = directory.path().join("data");
        copy_privately(&self.path(), &data_dir);
        prepare(&data_dir);
        let offset = self.made_at() + 60 - Clock::system().unix_s();
        let clock = [
            ("LD_PRELOAD", faketime::library().to_owned()),
            ("FAKETIME", format!("{offset:+}")),
            ("DONT_FAKE_MONOTONIC", "1".to_owned()),
        ];
        System::on(directory, clock.into())
    }

    /// By its last token, in seconds since 1970.
    fn made_at(&self) -> i64 {
        let token = self.token("logged-out");
        let claims = BASE64URL_NOPAD.decode(token.split('.').nth(1).unwrap().as_bytes()).unwrap();
        serde_json::from_slice::<Value>(&claims).unwrap()["iat"].as_i64().unwrap()
    }

    /// Whether the token of this name is good, as soon as auth_service can tell.
    async fn is_alive(&self, client: Client, name: &str) -> bool {
        let token = self.token(name);
        until("the token is judged", BOUND, async || match client.verify(&token).await.status {
            200 => Some(true),
            401 => Some(false),
            _ => None,
        })
        .await
    }

    /// These users and no others are listed, and each logs in with the name as it is listed.
    async fn expect_users(&self, client: Client) {
        let listed = client.list().await;
        let names = self.users.iter().map(|(id, name, _)| json!({"id": id, "username": name}));
        let names = Value::Array(names.collect());
        assert_eq!((listed.status, listed.body), (200, names), "{}", self.path);
        for (_, name, password) in self.users {
            until_login_gives(client, name, password, 200).await;
        }
        for (name, password) in self.refused {
            until_login_gives(client, name, password, 401).await;
        }
        for name in DEAD {
            assert!(!self.is_alive(client, name).await, "{name} of {}", self.path);
        }
    }
}

/// A copy is recognised by the numbers of its files. Writes those of the copy where the version
/// wrote its own.
fn pass_for_the_original(data_dir: &Path) {
    for (name, sql) in [
        ("users", "UPDATE file_identity SET inode = ?1, born_ns = ?2"),
        ("tokens", "UPDATE token_set SET file = ?1 || ' ' || ?2"),
    ] {
        let database = data_dir.join(name).with_extension("db");
        let FileIdentity { inode, born_ns } = FileIdentity::of(&database.metadata().unwrap());
        let written = Connection::open(&database).unwrap().execute(sql, (inode, born_ns)).unwrap();
        assert_eq!(written, 1, "{name}");
        let mark = data_dir.join(name).with_extension("mark");
        let mut noted: Value = serde_json::from_slice(&std::fs::read(&mark).unwrap()).unwrap();
        noted["file"] = json!(FileIdentity::of(&mark.metadata().unwrap()));
        std::fs::write(&mark, noted.to_string()).unwrap();
    }
}

/// `check` finds nothing in the data of services that are stopped.
fn expect_sound(data_dir: &Path) {
    let told = command_on(data_dir).arg("check").output().unwrap();
    assert!(told.status.success(), "{told:?}");
}

/// The data were copied, as if they had been restored: nothing is lost, and everybody logs in again.
#[actix_web::test]
async fn the_data_of_every_earlier_version_are_taken_over_whole() {
    for fixture in [&[STOPPED, KILLED], &WITH_STAMPS[..]].concat() {
        let mut system = fixture.start(|_| {});
        // Twice: what a migration writes must be good to start from as well.
        for _ in 0..2 {
            fixture.expect_users(system.client).await;
            assert!(!fixture.is_alive(system.client, ALIVE).await, "{}", fixture.path);
            system.restart();
        }
        let new = system.client.create("new", "a new password").await;
        assert!(new.id > fixture.highest_id, "{} of {}", new.id, fixture.path);
        until_login_gives(system.client, "new", "a new password", 200).await;
        system.stop();
        expect_sound(&system.data_dir());
    }
}

/// The files are those that the version has left: nothing is lost, and nobody logs in again.
#[actix_web::test]
async fn an_upgrade_in_place_keeps_sessions_and_answers() {
    for fixture in &WITH_STAMPS {
        let mut system = fixture.start(pass_for_the_original);
        for _ in 0..2 {
            let client = system.client;
            fixture.expect_users(client).await;
            assert!(fixture.is_alive(client, ALIVE).await, "{}", fixture.path);
            // The answer to the first request is remembered.
            let header = ("idempotency-key", "the-first-user");
            let body = json!({"username": "Ada", "password": "ada has a password"});
            let path = "/users";
            let answer = client.call_users_with(Method::POST, path, header, body).await;
            assert_eq!((answer.status, &answer.body["id"]), (201, &json!(1)), "{answer:?}");
            system.restart();
        }
        let client = system.client;
        assert_eq!(client.create("new", "a new password").await.id, fixture.highest_id + 1);
        // A session of then ends as one of today.
        assert_eq!(client.logout(&fixture.token(ALIVE)).await.status, 200);
        assert!(!fixture.is_alive(client, ALIVE).await, "{}", fixture.path);
        until_login_gives(client, "new", "a new password", 200).await;
        system.stop();
        expect_sound(&system.data_dir());
    }
}
