//! A replica that makes one mistake: it drops what the other replicas tell it of ended sessions,
//! and believes that it has heard everything. A decorator of its bus does that; its own code is as
//! it is everywhere.
//!
//! The process is this test binary itself, told to run the one test that serves.

use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use auth_service::Deps;
use clap::Parser;
use contract::TokenRecord;
use contract::topology::TOKENS_EXCHANGE;
use futures_util::future::{BoxFuture, ready};
use futures_util::{FutureExt, StreamExt};
use shared::bus::cloud_event::{Codec, TokenSetMessage};
use shared::bus::{
    Acknowledge, AmqpBus, AmqpConfig, Bus, BusError, BusStatus, Delivery, Outgoing, QueueSpec,
    Subscription,
};
use shared::capacity::Capacity;
use shared::clock::Clock;
use shared::config::HashingArgs;
use shared::hashing::{HashingConfig, HashingMetrics, HashingThreads};
use shared::secrets::{DataLayout, SealingKeys};
use shared::telemetry::{Registry, init_logging};

/// The process that makes the mistake, but for its settings.
pub(crate) fn command() -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--ignored", "--exact", "--nocapture"])
        .arg("replicas::deaf::serves_until_it_is_killed")
        .env_clear();
    command
}

const TIMEOUT: Duration = Duration::from_secs(10);

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    config: auth_service::config::Config,
    #[command(flatten)]
    hashing: HashingArgs,
}

#[actix_web::test]
#[ignore = "a process that other tests start, not a test"]
async fn serves_until_it_is_killed() {
    let Cli { config, hashing } = Cli::parse_from(["deaf"]);
    let _log = init_logging(&config.common.log, config.common.log_format).unwrap();
    let bus = AmqpBus::new(&AmqpConfig {
        url: config.common.bus.url().unwrap().unwrap(),
        connection_name: "deaf".to_owned(),
        confirm_timeout: TIMEOUT,
        connect_timeout: TIMEOUT,
    });
    let keys = SealingKeys::from_config(&config.common.sealing_key, &config.common.data_dir);
    let bus =
        Arc::new(DeafBus { inside: bus.unwrap(), codec: Codec::new(Arc::new(keys.unwrap())) });
    let capacity = Capacity { http_workers: 2, connections: 1024, hash_threads: 1 };
    let mut registry = Registry::default();
    let metrics = HashingMetrics::register(&mut registry);
    let hashing = HashingConfig::from_args(&hashing, capacity.hash_threads);
    let hashing = HashingThreads::start(hashing, metrics).unwrap();
    let (layout, clock) = (DataLayout::Places, Clock::system());
    let deps = Deps { bus, hashing, capacity, layout, clock, registry };
    let _running = auth_service::start(config, deps).await.unwrap();
    std::future::pending::<()>().await;
}

/// The ends of sessions never arrive. Markers do: they are what tells a replica that nothing is missing.
struct DeafBus {
    inside: AmqpBus,
    codec: Codec,
}

impl Bus for DeafBus {
    fn publish(&self, batch: Vec<Outgoing>) -> BoxFuture<'_, Result<(), BusError>> {
        self.inside.publish(batch)
    }

    fn publish_mandatory(&self, outgoing: Outgoing) -> BoxFuture<'_, Result<bool, BusError>> {
        self.inside.publish_mandatory(outgoing)
    }

    fn subscribe(&self, queue: QueueSpec) -> BoxFuture<'_, Result<Subscription, BusError>> {
        let is_of_replicas = queue.bindings.iter().any(|to| to.exchange == TOKENS_EXCHANGE);
        async move {
            let subscription = self.inside.subscribe(queue).await?;
            if !is_of_replicas {
                return Ok(subscription);
            }
            let (deliveries, acknowledger) = subscription.split();
            let codec = self.codec.clone();
            let heard = deliveries.filter(move |delivery| ready(!ends_sessions(&codec, delivery)));
            Ok(Subscription::new(heard, Inner(acknowledger)))
        }
        .boxed()
    }

    fn declare(&self, queue: QueueSpec) -> BoxFuture<'_, Result<(), BusError>> {
        self.inside.declare(queue)
    }

    fn status(&self) -> BusStatus {
        self.inside.status()
    }
}

fn ends_sessions(codec: &Codec, delivery: &Delivery) -> bool {
    let is_end = |record: &TokenRecord| matches!(record, TokenRecord::SessionRevoked { .. });
    match codec.decode_token_set_message(delivery) {
        Ok(TokenSetMessage::Records(sent)) => sent.records.iter().any(is_end),
        Ok(TokenSetMessage::Answer(answer)) => {
            answer.records.iter().any(|aged| is_end(&aged.record))
        }
        Ok(_) | Err(_) => false,
    }
}

/// What was dropped is acknowledged with what comes after it.
struct Inner(Box<dyn Acknowledge>);

impl Acknowledge for Inner {
    fn acknowledge_through(&self, tag: u64) -> BoxFuture<'_, Result<(), BusError>> {
        self.0.acknowledge_through(tag)
    }
}
