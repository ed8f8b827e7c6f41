//! pgbench: renames of users without a service in between, each in a transaction of its own.

use std::fs;
use std::time::Duration;

use tempfile::TempDir;
use testkit::postgres::Postgres;

use crate::figures::cores;

/// Where it writes: users that nobody follows.
const DATABASE: &str = "floor";
/// What is left of the user, as long as in a real record.
const DATA: &str = r#"{"id":1000,"user":{"username":"name1000","username_key":"name1000","version":1,"password_version":1,"stamp":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}}"#;

/// pgbench with a copy of the users.
pub(crate) struct Pgbench {
    users: i64,
    scripts: TempDir,
}

impl Pgbench {
    /// Copies the database; nobody may be connected to it.
    pub(crate) fn prepare(server: &Postgres, users: i64) -> Self {
        server.copy_database("lockstep", DATABASE);
        server.sql_in(DATABASE, "CREATE SEQUENCE records");
        Self { users, scripts: tempfile::tempdir().unwrap() }
    }

    /// Renames per second of a transactional outbox: the user and the record, in any order of
    /// records.
    pub(crate) fn outbox_per_s(&self, server: &Postgres, clients: u32, time: Duration) -> f64 {
        let write = write();
        let script = format!("\\startpipeline\nBEGIN;\n{write}COMMIT;\n\\endpipeline\n");
        self.per_s(server, &script, clients, time)
    }

    /// Renames per second in groups of one: all that user_service asks for one change, in its three
    /// round trips.
    pub(crate) fn groups_of_one_per_s(
        &self,
        server: &Postgres,
        clients: u32,
        time: Duration,
    ) -> f64 {
        let write = write();
        let script = format!(
            "\\startpipeline\nBEGIN;\nSELECT pg_advisory_xact_lock(1);\n\\endpipeline\n\
             \\startpipeline\n\
             SELECT * FROM log_state;\n\
             SELECT * FROM users WHERE id = :id;\n\
             SELECT id FROM users WHERE username_key = 'name' || :name;\n\
             \\endpipeline\n\
             \\startpipeline\n{write}\
             NOTIFY lockstep_log;\n\
             UPDATE log_state SET highest_id = highest_id;\n\
             COMMIT;\n\\endpipeline\n"
        );
        self.per_s(server, &script, clients, time)
    }

    /// Statements are prepared once, which is the fastest way.
    fn per_s(&self, server: &Postgres, script: &str, clients: u32, time: Duration) -> f64 {
        let path = self.scripts.path().join("script.sql");
        let users = self.users;
        let variables =
            format!("\\set id random(1, {users})\n\\set name random(1, 1000000000000000)\n");
        fs::write(&path, variables + script).unwrap();
        let output = server
            .command("pgbench")
            .args(["--no-vacuum", "--protocol=prepared", "-c", &clients.to_string()])
            .args(["-j", &cores().to_string(), "-T", &time.as_secs().max(1).to_string(), "-f"])
            .arg(&path)
            .arg(server.url_of(DATABASE))
            .output()
            .expect("pgbench can be started");
        let (text, errors) =
            (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        let line = text.lines().find_map(|line| line.strip_prefix("tps = "));
        let rate = line.and_then(|rest| rest.split(' ').next()?.parse().ok());
        rate.filter(|_| output.status.success()).unwrap_or_else(|| panic!("{text}{errors}"))
    }
}

/// The statements that change a user, and note it.
fn write() -> String {
    format!(
        "UPDATE users SET username = 'name' || :name, username_key = 'name' || :name, \
             version = version + 1, changed = decode(repeat('00', 24), 'hex') WHERE id = :id;\n\
         INSERT INTO user_log (seq, hash, recorded_at_ms, kind, data, user_id, password_version) \
             VALUES (nextval('records'), decode(repeat('00', 16), 'hex'), 1700000000000, \
                     'user.renamed.v1', '{DATA}', :id, 1);\n"
    )
}
