//! Questions of followers while one of two user_services has no database.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use contract::topology::SYNC_REQUESTS_QUEUE;
use contract::{Cursor, SyncRequest};
use futures_util::StreamExt;
use shared::bus::cloud_event::Codec;
use shared::bus::{AmqpBus, AmqpConfig, Bus, QueueLifetime, QueueSpec, Subscription};
use shared::log_sync::Input;
use shared::secrets::SealingKeys;
use testkit::rabbitmq::RabbitMq;
use testkit::wait::{until, within};

use super::fleet::{Fleet, SEALING_KEY};
use crate::chaos::alone;
use crate::replicas::local;

/// Within that a follower has its answer, to a question that it asks once. A question that was lost is
/// never answered, so the bound may be long.
const BOUND: Duration = Duration::from_secs(20);
/// Enough that both processes get some.
const QUESTIONS: usize = 12;
const QUEUE: &str = "test.questions";

/// Asks as a follower does, but each question once.
struct Follower {
    bus: AmqpBus,
    codec: Codec,
    answers: Subscription,
    asked: usize,
}

impl Follower {
    async fn start(broker: &RabbitMq) -> Self {
        let bus = AmqpBus::new(&AmqpConfig {
            url: broker.url().into(),
            connection_name: "questions".to_owned(),
            confirm_timeout: BOUND,
            connect_timeout: BOUND,
        });
        let bus = bus.unwrap();
        let queue = QueueSpec {
            name: QUEUE.to_owned(),
            lifetime: QueueLifetime::Transient,
            bindings: vec![],
            prefetch: 10,
        };
        let answers = bus.subscribe(queue).await.unwrap();
        let codec = Codec::new(Arc::new(SealingKeys::parse(SEALING_KEY).unwrap()));
        Self { bus, codec, answers, asked: 0 }
    }

    async fn ask(&mut self) {
        self.asked += 1;
        let question = SyncRequest {
            nonce: self.asked.to_string(),
            reply_to: QUEUE.to_owned(),
            cursor: Cursor::default(),
            snapshot: false,
            credit: None,
            highest_id: None,
        };
        self.bus.publish(vec![self.codec.encode_question(&question)]).await.unwrap();
        let answer = within("an answer", BOUND, self.answers.next()).await.unwrap();
        self.answers.acknowledge_through(answer.tag).await.unwrap();
        let input = self.codec.decode_control(&answer).unwrap().input;
        let Input::Continue(answer) = input else { panic!("{input:?} is no answer") };
        assert_eq!(answer.nonce, question.nonce);
    }
}

/// How many questions it has answered.
async fn answered(users: SocketAddr) -> u64 {
    let metrics = awc::Client::new().get(format!("http://{users}/metrics"));
    let metrics = metrics.send().await.unwrap().body().await.unwrap();
    let metrics = String::from_utf8(metrics.to_vec()).unwrap();
    let of_answers = metrics.lines().filter(|line| line.starts_with("lockstep_sync_answers_total"));
    let counts = of_answers.filter_map(|line| line.rsplit_once(' ')?.1.parse::<u64>().ok());
    counts.sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_service_without_its_database_leaves_all_questions_to_the_other() {
    let _alone = alone();
    local(async {
        let fleet = Fleet::start(0, 1).await;
        let broker = &fleet.brokers[0];
        until("the queue is there: what comes before it is lost", BOUND, async || {
            let queues = broker.control(&["list_queues", "--silent", "name"]);
            queues.lines().any(|queue| queue == SYNC_REQUESTS_QUEUE).then_some(())
        })
        .await;
        let mut follower = Follower::start(broker).await;
        until("both answer", BOUND, async || {
            follower.ask().await;
            let [one, other] =
                [answered(fleet.addresses[0]).await, answered(fleet.addresses[1]).await];
            (one > 0 && other > 0).then_some(())
        })
        .await;

        fleet.way(0).cut();
        for _ in 0..QUESTIONS {
            follower.ask().await;
        }

        fleet.way(0).heal();
        let before = answered(fleet.addresses[0]).await;
        until("it takes its share again", BOUND * 2, async || {
            follower.ask().await;
            (answered(fleet.addresses[0]).await > before).then_some(())
        })
        .await;
    })
    .await;
}
