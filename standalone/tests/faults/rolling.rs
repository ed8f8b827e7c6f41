//! An upgrade without a pause: two user_service on one PostgreSQL and three auth_service behind nginx, each of which is
//! stopped by SIGTERM and started again, one after the other, while clients send all kinds of requests.

mod clients;
mod fleet;
mod proxy;

use std::time::{Duration, Instant};

use clients::{Clients, Tally};
use fleet::Fleet;

use crate::chaos::alone;

/// The load between two restarts, and while nobody answers.
const LOAD: Duration = Duration::from_secs(1);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_try_once_more_notice_nothing_of_a_restart_of_every_process() {
    let _alone = alone();
    let mut fleet = Fleet::start().await;
    let clients = Clients::start(fleet.proxy.addresses(), "rolling");
    let begun = Instant::now();
    for member in fleet.members() {
        tokio::time::sleep(LOAD).await;
        fleet.restart(member);
    }
    tokio::time::sleep(LOAD).await;
    let tally = clients.stop();
    println!("each process restarted, in {:.1} s\n{tally}", begun.elapsed().as_secs_f64());
    assert!(tally.failures().is_empty(), "{:#?}\n{}", tally.failures(), fleet.log());
    assert!(tally.has_all_kinds(), "{tally}");

    // The clients would have noticed.
    let tally = with_a_service_that_is_gone(&mut fleet).await;
    println!("without user_service\n{tally}");
    assert!(!tally.failures().is_empty(), "{tally}");
    fleet.stop();
}

async fn with_a_service_that_is_gone(fleet: &mut Fleet) -> Tally {
    let clients = Clients::start(fleet.proxy.addresses(), "gone");
    fleet.kill_users();
    tokio::time::sleep(LOAD).await;
    clients.stop()
}
