//! Publishes batches and waits for their confirms.

use std::collections::HashSet;
use std::time::Duration;

use futures_util::future::try_join_all;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::{Channel, Confirmation, PublisherConfirm};
use tokio::sync::Mutex;

use super::connection::OpenConnection;
use super::connector::{Connector, bounded};
use super::envelope::{properties, short};
use super::topology::declare_exchange;
use crate::bus::{BusError, Destination, Outgoing};

/// Owns the connection that publishes.
pub(super) struct Publisher {
    connector: Connector,
    confirm_timeout: Duration,
    /// An async lock, because it is held until a batch is confirmed: batches must not mix, or the
    /// order within one would not be the order in the queue.
    slot: Mutex<ChannelSlot>,
}

/// What is open towards the broker so far.
#[derive(Default)]
struct ChannelSlot {
    connection: Option<OpenConnection>,
    channel: Option<ConfirmChannel>,
}

/// A channel in confirm mode, and the exchanges that were declared on it.
struct ConfirmChannel {
    channel: Channel,
    declared: HashSet<String>,
}

impl Publisher {
    pub(super) fn new(connector: Connector, confirm_timeout: Duration) -> Self {
        Self { connector, confirm_timeout, slot: Mutex::new(ChannelSlot::default()) }
    }

    /// Returns whether each message reached a queue, if that is `mandatory`, and otherwise true.
    pub(super) async fn publish(
        &self,
        batch: &[Outgoing],
        mandatory: bool,
    ) -> Result<bool, BusError> {
        let mut slot = self.slot.lock().await;
        if slot.is_blocked() {
            // The broker reads nothing before its alarm is over: more bytes would only accumulate.
            return Err(BusError::Blocked);
        }
        // Taken out of the slot: if this fails, or the caller is dropped meanwhile, the channel is
        // closed, and with it all messages that are still in flight.
        let mut channel = match slot.channel.take() {
            Some(open) if open.channel.status().connected() => open,
            _ => self.open(&mut slot).await?,
        };
        let sent = bounded(self.confirm_timeout, channel.publish(batch, mandatory)).await;
        match sent {
            Ok(_) => slot.channel = Some(channel),
            // A blocked connection is kept, because the broker announces on it when the alarm is
            // over.
            Err(_) if slot.is_blocked() => return Err(BusError::Blocked),
            // The broker has closed only the channel.
            Err(BusError::Refused(_)) => {}
            Err(_) => slot.connection = None,
        }
        sent
    }

    async fn open(&self, slot: &mut ChannelSlot) -> Result<ConfirmChannel, BusError> {
        let connection = match slot.connection.take() {
            Some(alive) if alive.status().connected() => alive,
            _ => self.connector.connect().await?,
        };
        let channel = self.connector.bounded(ConfirmChannel::open(&connection)).await?;
        slot.connection = Some(connection);
        Ok(channel)
    }
}

impl ChannelSlot {
    /// The broker has announced an alarm, on a connection that is alive.
    fn is_blocked(&self) -> bool {
        self.connection.as_ref().is_some_and(|connection| {
            connection.status().connected() && connection.status().blocked()
        })
    }
}

impl ConfirmChannel {
    async fn open(connection: &OpenConnection) -> Result<Self, BusError> {
        let channel = connection.create_channel().await?;
        channel.confirm_select(ConfirmSelectOptions { nowait: false }).await?;
        Ok(Self { channel, declared: HashSet::new() })
    }

    /// Sends the whole batch, then waits for all confirms. Returns whether no message came back.
    async fn publish(&mut self, batch: &[Outgoing], mandatory: bool) -> Result<bool, BusError> {
        let mut confirms = Vec::with_capacity(batch.len());
        for outgoing in batch {
            confirms.push(self.send(outgoing, mandatory).await?);
        }
        let confirmations = try_join_all(confirms).await?;
        if !confirmations.iter().all(|confirmation| matches!(confirmation, Confirmation::Ack(_))) {
            return Err(BusError::Refused("a message was not confirmed".to_owned().into()));
        }
        // lapin may attribute a return to another message of the batch.
        Ok(confirmations.iter().all(|confirmation| matches!(confirmation, Confirmation::Ack(None))))
    }

    async fn send(
        &mut self,
        outgoing: &Outgoing,
        mandatory: bool,
    ) -> Result<PublisherConfirm, BusError> {
        let Outgoing { to, message } = outgoing;
        let (exchange, routing_key) = match to {
            Destination::Topic { exchange, routing_key } => {
                if !self.declared.contains(exchange) {
                    declare_exchange(&self.channel, exchange).await?;
                    self.declared.insert(exchange.clone());
                }
                (exchange.as_str(), routing_key.as_str())
            }
            // The default exchange routes to each queue by the queue's name.
            Destination::Queue(name) => ("", name.as_str()),
        };
        let options = BasicPublishOptions {
            mandatory,        // else a message that matches no queue is dropped, and that is no error
            immediate: false, // RabbitMQ does not support it
        };
        let (exchange, routing_key) = (short(exchange)?, short(routing_key)?);
        let properties = properties(message)?;
        let body = &message.body;
        Ok(self.channel.basic_publish(exchange, routing_key, options, body, properties).await?)
    }
}
