//! What becomes of logins when the sealing key is replaced or lost.

use shared::secrets::SealingKeys;

use crate::journeys::until_login_gives;
use crate::system::System;

const PASSWORD: &str = "testpassword";

#[actix_web::test]
async fn a_replaced_key_costs_no_login_and_a_lost_one_heals_by_itself() {
    let mut system = System::in_one_process();
    for name in ["anna", "bert"] {
        system.client.create(name, PASSWORD).await;
        until_login_gives(system.client, name, PASSWORD, 200).await;
    }
    let old = std::fs::read_to_string(system.sealing_key_file()).unwrap();
    let [new, newest] = [SealingKeys::generate(), SealingKeys::generate()];
    // Replaced, in the steps of docs/operations.md.
    for ring in [format!("{old}\n{new}\n"), format!("{new}\n{old}\n")] {
        system.restart_with_sealing_keys(&ring);
        assert_eq!(system.client.login("anna", PASSWORD).await.status, 200, "at once");
    }
    // The old one goes too early, and then all are lost.
    for ring in [new, newest] {
        system.restart_with_sealing_keys(&ring);
        for name in ["anna", "bert"] {
            until_login_gives(system.client, name, PASSWORD, 200).await;
        }
    }
    system.stop();
}
