//! Databases that were put back: what clients have of the lost history is never taken for the new one.

use std::path::Path;

use awc::http::Method;

use crate::client::Client;
use crate::journeys::until_login_gives;
use crate::system::System;

const PASSWORD: &str = "testpassword";

/// What a client has of a user who is lost by the restore.
struct Lost {
    id: i64,
    etag: String,
    consistency_token: String,
    token: String,
}

impl Lost {
    async fn create(client: Client) -> Self {
        let created = client.create("lost", PASSWORD).await;
        let etag = client.read(created.id).await.etag.unwrap();
        until_login_gives(client, "lost", PASSWORD, 200).await;
        let token = client.token("lost", PASSWORD).await;
        Self { id: created.id, etag, consistency_token: created.consistency_token, token }
    }

    /// The new user with the id of the lost one is nobody but themselves.
    async fn expect_another(&self, client: Client) {
        let created = client.create("lost", PASSWORD).await;
        assert_eq!(created.id, self.id, "the database does not know that the id was given");
        assert_ne!(created.consistency_token, self.consistency_token);
        let login = client.login_after("lost", PASSWORD, Some(&created.consistency_token)).await;
        assert_eq!(login.status, 200, "{:?}", login.body);
        assert!(!client.is_alive(&self.token).await, "it would be the wrong person");
        assert!(client.is_alive(login.body["token"].as_str().unwrap()).await);
        let lost = client.login_after("lost", PASSWORD, Some(&self.consistency_token)).await;
        assert_eq!(lost.status, 503, "that write is not there: {:?}", lost.body);
        let path = format!("/users/{}", self.id);
        let unless = ("if-none-match", &*self.etag);
        assert_eq!(client.call_with(Method::GET, &path, unless).await.status, 200);
        let only_if = ("if-match", &*self.etag);
        assert_eq!(client.call_with(Method::DELETE, &path, only_if).await.status, 412);
        assert_eq!(client.read(self.id).await.status, 200);
    }
}

fn copy(files: &[&str], data: &Path, from: &str, to: &str) {
    for name in files {
        let path = |suffix: &str| data.join(format!("{name}{suffix}"));
        std::fs::copy(path(from), path(to)).unwrap();
    }
}

#[actix_web::test]
async fn a_lost_user_is_never_taken_for_the_new_one_of_the_same_id_and_name() {
    let all: &[&str] = &["users.db", "projection.db", "tokens.db"];
    for files in [&all[..1], all] {
        let mut system = System::in_one_process();
        system.client.create("kept", PASSWORD).await;
        until_login_gives(system.client, "kept", PASSWORD, 200).await;
        system.restart_after(|data| copy(files, data, "", ".copy"));
        let kept = system.client.token("kept", PASSWORD).await;
        let lost = Lost::create(system.client).await;
        system.restart_after(|data| copy(files, data, ".copy", ""));
        lost.expect_another(system.client).await;
        // A token set that was put back does not tell who has logged out since.
        let is_set_kept = files.len() == 1;
        assert_eq!(system.client.is_alive(&kept).await, is_set_kept, "of a password in the copy");
        system.stop();
    }
}
