//! Removes the queues of earlier versions.
//!
//! Nobody consumes them any more, so they would fill up. Their messages are worthless by the
//! protocol, except for dead letters, which move to the new queue.

use std::collections::HashSet;
use std::error::Error;
use std::sync::{Arc, Weak};
use std::time::Duration;

use contract::topology::predecessor;
use lapin::Channel;
use lapin::options::{
    BasicAckOptions, BasicGetOptions, BasicPublishOptions, ConfirmSelectOptions,
    QueueDeclareOptions, QueueDeleteOptions,
};
use lapin::types::{FieldTable, ShortString};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::sleep;

use super::connection::OpenConnection;
use super::envelope::short;
use crate::bus::{BusError, QueueLifetime, QueueSpec, Refusal, RefusalKind};

/// How often an old queue is checked while an old service still uses it.
const INTERVAL: Duration = Duration::from_secs(5);

/// Queues that are being removed, or have been removed.
#[derive(Default)]
pub(super) struct Retirements(watch::Sender<HashSet<String>>);

/// An old queue and the queue that replaces it.
struct Retirement {
    old: String,
    /// Where its messages go; `None` if they are worthless.
    heir: Option<String>,
}

impl Retirements {
    /// Removes the queue's predecessor, once for each queue, as soon as nobody consumes it. If the
    /// connection ends before that, the next subscription continues.
    pub(super) fn begin(
        self: &Arc<Self>,
        runtime: &Handle,
        connection: &Arc<OpenConnection>,
        queue: &QueueSpec,
    ) {
        let Some(old) = predecessor(&queue.name).map(str::to_owned) else { return };
        if !self.0.send_if_modified(|queues| queues.insert(old.clone())) {
            return;
        }
        let is_archive = matches!(queue.lifetime, QueueLifetime::Archive { .. });
        let retirement =
            Retirement { old: old.clone(), heir: is_archive.then(|| queue.name.clone()) };
        let (retirements, connection) = (Arc::clone(self), Arc::downgrade(connection));
        runtime.spawn(async move {
            if let Err(error) = retirement.carry_out(&connection).await {
                let error = &error as &dyn Error;
                tracing::debug!(error, queue = old, "the old queue is still there");
                retirements.0.send_modify(|queues| _ = queues.remove(&old));
            }
        });
    }
}

impl Retirement {
    async fn carry_out(&self, connection: &Weak<OpenConnection>) -> Result<(), BusError> {
        loop {
            let Some(alive) = connection.upgrade() else { return Err(BusError::Closed) };
            match self.try_once(&alive.create_channel().await?).await {
                Ok(true) => return Ok(()),
                Ok(false) => {}
                Err(BusError::Refused(refusal)) if is_gone(&refusal) => return Ok(()),
                Err(error) => return Err(error),
            }
            // This loop must not keep the connection open.
            drop(alive);
            sleep(INTERVAL).await;
        }
    }

    /// Whether the queue could be removed. It is not removed while somebody consumes it.
    /// (`if_unused` would ask the broker to check that, but quorum queues do not support it.)
    async fn try_once(&self, channel: &Channel) -> Result<bool, BusError> {
        let queue = short(&self.old)?;
        let look = QueueDeclareOptions {
            passive: true, // only check whether it exists
            durable: true,
            exclusive: false,
            auto_delete: false,
            nowait: false,
        };
        let found = channel.queue_declare(queue.clone(), look, FieldTable::default()).await?;
        if found.consumer_count() > 0 {
            return Ok(false);
        }
        if let Some(heir) = &self.heir {
            move_messages(channel, &queue, heir).await?;
        }
        let options = QueueDeleteOptions { if_unused: false, if_empty: false, nowait: false };
        channel.queue_delete(queue, options).await?;
        tracing::info!(queue = self.old, "the queue of an earlier version is removed");
        Ok(true)
    }
}

/// The queue is gone, or never existed. A queue whose node is down is not found either.
fn is_gone(refusal: &Refusal) -> bool {
    refusal.kind == RefusalKind::NotAvailable && refusal.said.contains("no queue")
}

async fn move_messages(channel: &Channel, from: &ShortString, to: &str) -> Result<(), BusError> {
    channel.confirm_select(ConfirmSelectOptions { nowait: false }).await?;
    let take = || channel.basic_get(from.clone(), BasicGetOptions { no_ack: false });
    while let Some(message) = take().await? {
        let options = BasicPublishOptions { mandatory: false, immediate: false };
        let (default_exchange, properties) = (ShortString::default(), message.properties.clone());
        let confirm = channel
            .basic_publish(default_exchange, short(to)?, options, &message.data, properties)
            .await?;
        if !confirm.await?.is_ack() {
            return Err(BusError::Refused("a dead letter was not confirmed".to_owned().into()));
        }
        channel.basic_ack(message.delivery_tag, BasicAckOptions { multiple: false }).await?;
    }
    Ok(())
}
