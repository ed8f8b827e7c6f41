//! The actors that run on separate threads, and the order in which they stop.

use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use actix::Arbiter;
use contract::ReplicaId;
use shared::actors::{Health, Mailbox, Maintenance, ask, join_threads};
use shared::audit::AuditTrail;
use shared::bus::cloud_event::Codec;
use shared::bus::direct::DirectUrl;
use shared::bus::{Bus, DeadLetters};
use shared::clock::Clock;
use shared::http::Probes;
use shared::secrets::DataDirPlace;
use shared::telemetry::Registry;
use shared::tokens::EndedStamps;
use shared::tokens::token_set::BootTime;
use shared::tokens::token_set_view::TokenSetView;
use shared::traces::Traces;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::actors::credential_repository::CloseProjection;
use crate::actors::key_ring::{CarryOutPlan, KeyRingConfig, StoredKeys};
use crate::actors::token_exchange::StopExchanging;
use crate::actors::token_revocations::{CloseRevocations, ForgetSessions, PruneResponses};
use crate::actors::user_event_consumer::{FollowLoop, StopFollowing, UsersFreshness, direct_way};
use crate::actors::{
    Applied, CredentialRepository, Exchange, KeyRing, KnownReplicas, Progress, Replicas,
    ResealHashes, TokenExchange, TokenRevocations, TokenSigner, UserEventConsumer,
};
use crate::admin::{AdminActors, spawn_admin};
use crate::metrics::{
    AgreementMetrics, ExchangeMetrics, FollowingMetrics, KeyMetrics, ReplicaMetrics,
};
use crate::readiness::Readiness;
use crate::store::Damage;

/// Ended sessions that can be forgotten are looked for so often.
const FORGETTING: (&str, Duration) = ("forgetting ended sessions", Duration::from_secs(1));
/// Stored responses that have expired are looked for so often.
const PRUNING: (&str, Duration) = ("pruning stored responses", Duration::from_mins(1));

/// Hashes that are not sealed with the first key are looked for so often.
const RESEALING: (&str, Duration) = ("sealing hashes with the first key", Duration::from_mins(1));

/// How the log of user_service is followed.
pub(super) struct Following {
    pub(super) bus: Arc<dyn Bus>,
    pub(super) codec: Codec,
    pub(super) replica: String,
    pub(super) user_service_url: Option<DirectUrl>,
    pub(super) metrics: FollowingMetrics,
    pub(super) traces: Traces,
}

/// How token sets are exchanged with the other replicas.
pub(super) struct Exchanging {
    /// The others that were stored.
    pub(super) known: Vec<(ReplicaId, BootTime)>,
    pub(super) clock: Clock,
    pub(super) metrics: ExchangeMetrics,
}

/// The actors that run on separate threads.
pub(super) struct Actors {
    pub(super) repository: Mailbox<CredentialRepository>,
    pub(super) revocations: Mailbox<TokenRevocations>,
    pub(super) key_ring: Mailbox<KeyRing>,
    pub(super) signer: TokenSigner,
    pub(super) consumer: Mailbox<UserEventConsumer>,
    pub(super) exchange: Mailbox<TokenExchange>,
    pub(super) replicas: Replicas,
    _upkeep: Upkeep,
    pub(super) applied: watch::Receiver<Applied>,
    pub(super) progress: watch::Receiver<Progress>,
    pub(super) fresh: UsersFreshness,
    pub(super) token_set: TokenSetView,
    pub(super) ended: EndedStamps,
    pub(super) is_writable: Arc<AtomicBool>,
    /// Of the projection, as its readers find it.
    pub(super) damage: Damage,
    pub(super) following: Arbiter,
    /// The threads of the databases and of the keys.
    pub(super) writing: [Arbiter; 3],
}

/// Work that nobody waits for. It stops when this is dropped.
pub(super) struct Upkeep {
    _forgetting: Mailbox<Maintenance<TokenRevocations, ForgetSessions>>,
    _pruning: Mailbox<Maintenance<TokenRevocations, PruneResponses>>,
    _resealing: Mailbox<Maintenance<CredentialRepository, ResealHashes>>,
}

impl Upkeep {
    /// Each on the thread of its writer.
    fn launch(
        threads: [&Arbiter; 2],
        (revocations, repository): (&Mailbox<TokenRevocations>, &Mailbox<CredentialRepository>),
        health: &Health,
    ) -> Self {
        let [revoking, projecting] = threads.map(Arbiter::handle);
        let (forget, prune) = (ForgetSessions, PruneResponses);
        let (sessions, revocations) = (revocations.clone(), revocations.clone());
        Self {
            _forgetting: Maintenance::launch(&revoking, FORGETTING, sessions, forget, health),
            _pruning: Maintenance::launch(&revoking, PRUNING, revocations, prune, health),
            _resealing: Maintenance::launch(
                &projecting,
                RESEALING,
                repository.clone(),
                ResealHashes,
                health,
            ),
        }
    }
}

/// What is known of the other replicas, as it was stored, and the end of its readers. A bus that no other
/// process reaches has none.
fn known_replicas(
    bus: &dyn Bus,
    revocations: &mut TokenRevocations,
    stored: Vec<(ReplicaId, BootTime)>,
) -> (watch::Sender<KnownReplicas>, Replicas) {
    let is_alone = !bus.reaches_other_processes();
    if is_alone {
        revocations.found_nobody();
    }
    let (known, shown) = watch::channel(KnownReplicas::new(is_alone, stored));
    (known, Replicas::new(shown))
}

impl Actors {
    pub(super) fn launch(
        (repository, mut revocations): (CredentialRepository, TokenRevocations),
        (keys, key_ring): (StoredKeys, KeyRingConfig),
        health: &Health,
        Following { bus, codec, replica, user_service_url, metrics, traces }: Following,
        exchanging: Exchanging,
    ) -> Self {
        let [projecting, revoking, signing, following] = [(); 4].map(|()| Arbiter::new());
        let (known, replicas) = known_replicas(&*bus, &mut revocations, exchanging.known);
        let (me, has_new_gap) = (revocations.replica(), revocations.has_new_gap());
        let committed = revocations.committed();
        let (token_set, is_writable) = (revocations.view(), revocations.is_writable());
        let (applied, ended) = (repository.applied(), EndedStamps::default());
        let repository = repository.launch(&projecting.handle(), health);
        let revocations = revocations.launch(&revoking.handle(), health);
        let set = (token_set.clone(), revocations.clone(), replicas.clone());
        let (direct, fresh) = direct_way(user_service_url, key_ring.clock.clone());
        let (key_ring, signer) = KeyRing::launch(keys, key_ring, set, &signing.handle(), health);
        let (thread, taken) = (following.handle(), metrics.dead_letters.clone());
        let dead_letters = DeadLetters::launch(&thread, Arc::clone(&bus), health, taken);
        let exchange = Exchange {
            bus: Arc::clone(&bus),
            codec: codec.clone(),
            me,
            has_new_gap,
            revocations: revocations.clone(),
            committed,
            known,
            dead_letters: dead_letters.clone(),
            clock: exchanging.clock,
            metrics: exchanging.metrics,
            health: health.clone(),
        };
        let follow_loop = FollowLoop {
            direct,
            fresh: fresh.clone(),
            dead_letters,
            codec,
            progress: watch::Sender::new(Progress::start_at(applied.borrow().seq())),
            bus,
            repository: repository.clone(),
            applied: applied.clone(),
            ended: ended.clone(),
            replica,
            metrics,
            health: health.clone(),
            traces,
        };
        Self {
            progress: follow_loop.progress.subscribe(),
            consumer: UserEventConsumer::launch(&thread, follow_loop, health),
            exchange: TokenExchange::launch(&thread, exchange, health),
            replicas,
            _upkeep: Upkeep::launch([&revoking, &projecting], (&revocations, &repository), health),
            repository,
            revocations,
            key_ring,
            signer,
            applied,
            fresh,
            token_set,
            ended,
            is_writable,
            damage: Damage::default(),
            following,
            writing: [projecting, revoking, signing],
        }
    }

    /// Answers the operator's commands.
    pub(super) fn answer_commands(
        &self,
        data_dir: &Path,
        audit: AuditTrail,
        health: &Health,
    ) -> JoinHandle<()> {
        let (key_ring, revocations) = (self.key_ring.clone(), self.revocations.clone());
        let actors = AdminActors { key_ring, revocations, audit };
        spawn_admin(data_dir, actors, health.clone())
    }

    /// Brings the keys to where a login can be signed. If that fails, the keys' loop goes on trying.
    pub(super) async fn make_keys_ready(&self) {
        let planned = ask(&self.key_ring, CarryOutPlan).await;
        let failure: Option<Box<dyn Error>> = match planned {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(error.into()),
            Err(error) => Some(error.into()),
        };
        if let Some(error) = failure {
            tracing::error!(error = &*error, "the signing keys are not ready");
        }
    }

    /// Registers the metrics that are computed at a scrape.
    pub(super) fn register_collectors(&self, registry: &mut Registry, clock: &Clock) {
        let (applied, progress) = (self.applied.clone(), self.progress.clone());
        let agreement = AgreementMetrics { applied, progress, fresh: self.fresh.clone() };
        registry.register_collector(Box::new(agreement));
        let (replicas, clock) = (self.replicas.clone(), clock.clone());
        registry.register_collector(Box::new(ReplicaMetrics { replicas, clock }));
        registry.register_collector(Box::new(KeyMetrics(self.signer.clone())));
    }

    pub(super) fn probes(
        &self,
        health: Health,
        bus: Arc<dyn Bus>,
        place: DataDirPlace,
        (clock, registry): (Clock, Registry),
        refuse_after_ms: Option<i64>,
    ) -> Probes {
        let (applied, progress) = (self.applied.clone(), self.progress.clone());
        let is_writable = Arc::clone(&self.is_writable);
        let (fresh, damage) = (self.fresh.clone(), self.damage.clone());
        let (signer, replicas) = (self.signer.clone(), self.replicas.clone());
        let readiness = Readiness {
            health,
            applied,
            progress,
            is_writable,
            place,
            damage,
            bus,
            fresh,
            signer,
            replicas,
            refuse_after_ms,
            clock,
        };
        Probes::new(Arc::new(move || readiness.report()), registry)
    }

    /// Stops the consumer first, so that nothing more is to be written. All readers have gone with
    /// the HTTP server: the writers can move everything into the databases' main files.
    pub(super) async fn stop(self) {
        let stopped = ask(&self.consumer, StopFollowing).await;
        let exchanged = ask(&self.exchange, StopExchanging).await;
        join_threads([self.following]).await;
        drop((self.key_ring, self.signer));
        let closed = ask(&self.repository, CloseProjection).await;
        let closed = [stopped, exchanged, closed, ask(&self.revocations, CloseRevocations).await];
        for error in closed.into_iter().filter_map(Result::err) {
            tracing::error!(error = &error as &dyn Error, "an actor was not stopped cleanly");
        }
        join_threads(self.writing).await;
    }
}
