//! Which actors and loops of a service are alive, for `/readyz` and `/metrics`.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;
use std::sync::{Arc, Weak};
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::telemetry::ErrorChain;

/// How long a failure is shown after its loop has started again.
const SHOWN: Duration = Duration::from_secs(10);

/// Watches the actors and loops of one service. Clones watch the same.
#[derive(Clone, Default)]
pub struct Health(Arc<Inner>);

#[derive(Default)]
struct Inner {
    /// Those whose mailbox still has a handle.
    actors: watch::Sender<Vec<Weak<dyn Watched>>>,
    /// The last failure of each loop.
    failures: watch::Sender<BTreeMap<&'static str, Failure>>,
    restarts: Family<LoopLabels, Counter>,
}

/// What the health check knows of an actor.
pub(super) trait Watched: Send + Sync {
    fn name(&self) -> &'static str;
    /// How many commands wait.
    fn waiting(&self) -> usize;
    fn is_alive(&self) -> bool;
}

struct Failure {
    cause: String,
    at: Instant,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ActorLabels {
    actor: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LoopLabels {
    r#loop: &'static str,
}

impl Health {
    /// Watches nothing yet. What it will watch appears in the registry's metrics.
    pub fn register(registry: &mut Registry) -> Self {
        let health = Self::default();
        registry.register_collector(Box::new(health.clone()));
        let help = "Restarts of a loop after a failure";
        registry.register("loop_restarts", help, health.0.restarts.clone());
        health
    }

    /// Why the service cannot do its work: actors that have stopped.
    pub fn reasons(&self) -> Vec<String> {
        let mut gone: Vec<&str> = Vec::new();
        self.for_each_actor(|actor| {
            if !actor.is_alive() && !gone.contains(&actor.name()) {
                gone.push(actor.name());
            }
        });
        gone.into_iter().map(|name| format!("actor {name} has stopped")).collect()
    }

    /// Problems that do not stop the service from working: loops that have failed and are about to
    /// start again, or have started again a moment ago.
    pub fn degraded(&self) -> Vec<String> {
        let failures = self.0.failures.borrow();
        let lately = failures.iter().filter(|(_, failure)| failure.at.elapsed() < SHOWN);
        lately.map(|(name, failure)| format!("{name}: {}", failure.cause)).collect()
    }

    pub(super) fn watch(&self, actor: &Arc<dyn Watched>) {
        self.0.actors.send_modify(|actors| {
            actors.retain(|actor| actor.strong_count() > 0);
            actors.push(Arc::downgrade(actor));
        });
    }

    /// The loop counts from now on: what never failed is shown with 0.
    pub(super) fn loop_started(&self, name: &'static str) {
        self.0.restarts.get_or_create(&LoopLabels { r#loop: name }).inc_by(0);
    }

    pub(super) fn loop_failed(&self, name: &'static str, error: &(dyn Error + 'static)) {
        self.0.restarts.get_or_create(&LoopLabels { r#loop: name }).inc();
        let failure = Failure { cause: ErrorChain(error).to_string(), at: Instant::now() };
        self.0.failures.send_modify(|failures| drop(failures.insert(name, failure)));
    }

    fn for_each_actor(&self, mut look: impl FnMut(&dyn Watched)) {
        self.0.actors.borrow().iter().filter_map(Weak::upgrade).for_each(|actor| look(&*actor));
    }
}

impl Collector for Health {
    /// Actors of the same name, one on each worker's thread, are added up.
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let mut waiting = BTreeMap::<&'static str, usize>::new();
        self.for_each_actor(|actor| *waiting.entry(actor.name()).or_default() += actor.waiting());
        let help = "Commands waiting in the mailboxes of an actor";
        let kind = ConstGauge::new(0_i64).metric_type();
        let mut family = encoder.encode_descriptor("mailbox_waiting", help, None, kind)?;
        for (actor, waiting) in waiting {
            let gauge = ConstGauge::new(i64::try_from(waiting).unwrap_or(i64::MAX));
            gauge.encode(family.encode_family(&ActorLabels { actor })?)?;
        }
        Ok(())
    }
}

impl fmt::Debug for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Health").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Ask, Command, Mailbox, ask};
    use super::*;
    use actix::{Actor, ActorContext, Context, Handler};
    use prometheus_client::encoding::text::encode;

    struct Sleeper;

    impl Actor for Sleeper {
        type Context = Context<Self>;
    }

    struct Stop;

    impl Command for Stop {
        type Reply = ();
    }

    impl Handler<Ask<Stop>> for Sleeper {
        type Result = ();
        fn handle(&mut self, ask: Ask<Stop>, context: &mut Self::Context) {
            context.stop();
            ask.answer(|Stop| ());
        }
    }

    fn metrics(registry: &Registry) -> String {
        let mut text = String::new();
        encode(&mut text, registry).unwrap();
        text
    }

    #[actix::test]
    async fn what_waits_is_added_up_by_the_name_of_the_actor() {
        let mut registry = Registry::default();
        let health = Health::register(&mut registry);
        let actors = [(); 2].map(|()| Mailbox::start(&health, 9, |_| Sleeper));
        for actor in &actors {
            actor.tell(Stop).unwrap();
        }
        let text = metrics(&registry);
        assert!(text.contains("mailbox_waiting{actor=\"Sleeper\"} 2\n"), "{text}");
        drop(actors);
        assert!(!metrics(&registry).contains("Sleeper"), "nobody can ask them any more");
    }

    #[actix::test]
    async fn an_actor_that_is_gone_is_a_reason_not_to_be_ready() {
        let health = Health::default();
        let actor = Mailbox::start(&health, 9, |_| Sleeper);
        assert_eq!(health.reasons(), [""; 0]);
        ask(&actor, Stop).await.unwrap();
        tokio::task::yield_now().await;
        assert_eq!(health.reasons(), ["actor Sleeper has stopped"]);
    }
}
