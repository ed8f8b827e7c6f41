//! A bus whose broker does not speak leaves nothing behind. In a process of its own, because it
//! counts what that has.
#![expect(clippy::unwrap_used, reason = "a panic here is a failed test")]

use std::fs;
use std::time::{Duration, Instant};

use secrecy::SecretString;
use shared::bus::{
    AmqpBus, AmqpConfig, Bus, BusStatus, Destination, Message, Outgoing, QueueLifetime, QueueSpec,
};
use testkit::mute_server::{Manner, MuteServer};
use testkit::wait::until_holds;
use tokio::task::JoinSet;
use tokio::time::sleep;

/// How long the broker is silent.
const SILENCE: Duration = Duration::from_secs(30);
/// What one bus may have at a time: four connections, two of them just being given up.
const THREADS: usize = 6;
/// A socket here, its second handle, and the server's side, which is in this process too.
const FILES: usize = THREADS * 3;
/// What the process may grow by, in KiB. The allocator keeps some of what ended threads have freed;
/// connections that leaked would have 8 MiB each, some 100 of them in this time.
const MEMORY_KIB: usize = 128 * 1024;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_says_nothing_costs_neither_threads_nor_files_nor_memory() {
    let manners = [Manner::Silent, Manner::Closing, Manner::Stalling];
    let mut servers = Vec::new();
    for manner in manners {
        servers.push(MuteServer::start(manner).await);
    }
    // tokio's threads are there, and so is what the first attempts allocate for good.
    try_for(&servers, Duration::from_secs(3)).await;
    let before = (threads(), files(), memory_kib());

    let (mut most, trying) = ((0, 0), try_for(&servers, SILENCE));
    tokio::pin!(trying);
    loop {
        tokio::select! {
            () = &mut trying => break,
            () = sleep(Duration::from_millis(20)) => {
                most = (most.0.max(threads()), most.1.max(files()));
            }
        }
    }
    println!("before {before:?}, most {most:?}, after {:?}", (threads(), files(), memory_kib()));
    assert!(most.0 <= before.0 + manners.len() * THREADS, "{} threads", most.0);
    assert!(most.1 <= before.1 + manners.len() * FILES, "{} files", most.1);
    until_holds("all threads have ended and all files are closed", SILENCE, || {
        threads() <= before.0 && files() <= before.1
    })
    .await;
    assert!(memory_kib() <= before.2 + MEMORY_KIB, "{} KiB, before {}", memory_kib(), before.2);
}

/// Calls the bus of each server all the time, as services that are in a hurry.
async fn try_for(servers: &[MuteServer], time: Duration) {
    let mut trying = JoinSet::new();
    for server in servers {
        let url = SecretString::from(format!("amqp://127.0.0.1:{}/%2f", server.port()));
        trying.spawn(async move {
            let bus = AmqpBus::new(&AmqpConfig {
                url,
                connection_name: "bus_silence".to_owned(),
                confirm_timeout: Duration::from_secs(10),
                connect_timeout: Duration::from_secs(10),
            });
            let bus = bus.unwrap();
            let started = Instant::now();
            while started.elapsed() < time {
                tokio::join!(
                    async { assert!(bus.publish(vec![message(true)]).await.is_err()) },
                    async { assert!(bus.publish(vec![message(false)]).await.is_err()) },
                    async { assert!(bus.subscribe(queue()).await.is_err()) },
                    sleep(Duration::from_millis(20)),
                );
            }
            assert!(matches!(bus.status(), BusStatus::Down { .. }));
        });
    }
    while let Some(tried) = trying.join_next().await {
        tried.unwrap();
    }
}

fn message(is_persistent: bool) -> Outgoing {
    let message = Message { is_persistent, ..Message::default() };
    Outgoing { to: Destination::Queue("queue".to_owned()), message }
}

fn queue() -> QueueSpec {
    let lifetime = QueueLifetime::Shared;
    QueueSpec { name: "queue".to_owned(), lifetime, bindings: Vec::new(), prefetch: 1 }
}

fn threads() -> usize {
    fs::read_dir("/proc/self/task").unwrap().count()
}

fn files() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}

fn memory_kib() -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}
