//! How long an empty auth_service takes to load all users of a user_service, and how much memory
//! that takes.

use crate::system::{Service, System, post};

/// Prints it.
///
/// The two services do not agree afterwards.
/// The two do not agree afterwards.
pub(crate) async fn run(users: i64) {
    let system = System::start(users).await;
    let services = [&system.user_service, &system.auth_service];
    println!("{users} users: ready after {:.2?}", system.auth_service.ready_after);
    for service in services {
        println!("{}: at most {:.0} MiB", service.name, service.peak_memory_mib());
    }
    let [there, here] = [digest(services[0]).await, digest(services[1]).await];
    println!("both hold {there}");
    assert_eq!(there, here);
    let login = post(system.auth_service.address, "/login", &format!("user{users}")).await;
    assert_eq!(login.0, 200, "{}", login.1);
}

/// The checksum over all its users.
async fn digest(service: &Service) -> String {
    let request = awc::Client::new().get(format!("http://{}/metrics", service.address));
    let mut answer = request.force_close().send().await.unwrap();
    let metrics = String::from_utf8(answer.body().await.unwrap().to_vec()).unwrap();
    metrics
        .lines()
        .find(|line| line.starts_with("lockstep_users_checksum_info"))
        .unwrap()
        .to_owned()
}
