//! A bare publisher and a bare consumer on a quorum queue, through lapin, as the bus uses it:
//! persistent messages, confirms, acknowledgements.

use std::time::{Duration, Instant};

use futures_util::StreamExt;
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions,
    ConfirmSelectOptions, QueueDeclareOptions, QueueDeleteOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{
    BasicProperties, Channel, Connection, ConnectionProperties, Consumer, PublisherConfirm,
};
use testkit::sample::Sample;

const QUEUE: &str = "bench.floor";
/// The same values as in the bus.
const PREFETCH: u16 = 1_000;
const BATCH: usize = 500;
/// Pause between two single messages.
const PAUSE: Duration = Duration::from_millis(20);

/// Two connections to a private queue.
pub(crate) struct LapinPair {
    publishing: (Connection, Channel),
    consuming: (Connection, Channel),
    /// As large as an event.
    body: Vec<u8>,
}

/// The times from publishing single messages, in milliseconds.
pub(crate) struct OneByOne {
    /// Until each was received.
    pub(crate) received: Sample,
    /// Until the broker had confirmed it.
    pub(crate) confirmed: Sample,
}

impl LapinPair {
    pub(crate) async fn connect(url: &str, body_size: usize) -> Self {
        let publishing = open(url).await;
        publishing.1.confirm_select(ConfirmSelectOptions::default()).await.unwrap();
        let consuming = open(url).await;
        consuming.1.basic_qos(PREFETCH, BasicQosOptions::default()).await.unwrap();
        Self { publishing, consuming, body: vec![b'x'; body_size] }
    }

    /// Publishes one message after the other.
    pub(crate) async fn one_by_one(&self, count: usize) -> OneByOne {
        let mut consumer = self.consume().await;
        let (mut received, mut confirmed) = (Vec::new(), Vec::new());
        for _ in 0..count {
            tokio::time::sleep(PAUSE).await;
            let started = Instant::now();
            let confirm = self.publish().await;
            let (delivery, ()) = tokio::join!(
                async {
                    let delivery = consumer.next().await.unwrap().unwrap();
                    received.push(started.elapsed());
                    delivery
                },
                async {
                    confirm.await.unwrap();
                    confirmed.push(started.elapsed());
                }
            );
            delivery.ack(BasicAckOptions::default()).await.unwrap();
        }
        self.delete_queue().await;
        OneByOne { received: Sample::of_times(&received), confirmed: Sample::of_times(&confirmed) }
    }

    /// Messages per second, published in batches and consumed at the same time.
    pub(crate) async fn stream(&self, count: usize) -> f64 {
        let mut consumer = self.consume().await;
        let publish = async {
            for _ in 0..count.div_ceil(BATCH) {
                let mut confirms = Vec::with_capacity(BATCH);
                for _ in 0..BATCH {
                    confirms.push(self.publish().await);
                }
                for confirm in confirms {
                    confirm.await.unwrap();
                }
            }
        };
        let consume = async {
            let mut first = None;
            let mut taken = 0;
            while taken < count {
                let delivery = consumer.next().await.unwrap().unwrap();
                first.get_or_insert_with(Instant::now);
                taken += 1;
                if taken % BATCH == 0 || taken == count {
                    delivery.ack(BasicAckOptions { multiple: true }).await.unwrap();
                }
            }
            count as f64 / first.unwrap().elapsed().as_secs_f64()
        };
        let ((), per_s) = tokio::join!(publish, consume);
        self.delete_queue().await;
        per_s
    }

    async fn consume(&self) -> Consumer {
        let mut arguments = FieldTable::default();
        arguments.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
        let options = QueueDeclareOptions { durable: true, ..Default::default() };
        let channel = &self.consuming.1;
        channel.queue_declare(QUEUE.into(), options, arguments).await.unwrap();
        let (options, arguments) = (BasicConsumeOptions::default(), FieldTable::default());
        channel.basic_consume(QUEUE.into(), "".into(), options, arguments).await.unwrap()
    }

    async fn publish(&self) -> PublisherConfirm {
        let properties = BasicProperties::default().with_delivery_mode(2);
        let options = BasicPublishOptions::default();
        self.publishing
            .1
            .basic_publish("".into(), QUEUE.into(), options, &self.body, properties)
            .await
            .unwrap()
    }

    async fn delete_queue(&self) {
        let options = QueueDeleteOptions::default();
        self.publishing.1.queue_delete(QUEUE.into(), options).await.unwrap();
    }
}

async fn open(url: &str) -> (Connection, Channel) {
    let connection = Connection::connect(url, ConnectionProperties::default()).await.unwrap();
    let channel = connection.create_channel().await.unwrap();
    (connection, channel)
}
