//! What replicas of auth_service send to each other. These messages are sealed, too: they name
//! sessions.

use contract::event::header;
use contract::token_exchange::Sealed;
use contract::topology::{
    TOKEN_RECORDS, TOKEN_SET_HEADS, TOKENS_EXCHANGE, token_marker_key, token_queue,
};
use contract::{PartsAnswer, PartsQuestion, ReplicaId, TokenMarker, TokenRecords, TokenSetHead};
use data_encoding::HEXLOWER;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Codec, Purpose, Undecodable};
use crate::bus::{Delivery, Destination, Outgoing};
use crate::secrets::random_bytes;

/// A message from a replica's durable queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenSetMessage {
    /// New records.
    Records(TokenRecords),
    /// Another replica asks for records.
    Question(PartsQuestion),
    /// Records that this replica has asked for.
    Answer(PartsAnswer),
    /// This replica sent it to itself.
    Marker(TokenMarker),
}

impl Codec {
    /// New records, to every replica. They must not be lost.
    pub fn encode_token_records(&self, records: &TokenRecords) -> Outgoing {
        let to = to_replicas(TOKEN_RECORDS);
        let mut outgoing = self.sealed(Purpose::TokenRecords, (TOKEN_RECORDS, to), records);
        outgoing.message.is_persistent = true;
        outgoing
    }

    /// The head of a set, to every replica.
    pub fn encode_token_set_head(&self, head: &TokenSetHead) -> Outgoing {
        let to = to_replicas(TOKEN_SET_HEADS);
        self.sealed(Purpose::TokenSetHead, (TOKEN_SET_HEADS, to), head)
    }

    /// A question, to one replica.
    pub fn encode_parts_question(&self, to: &ReplicaId, question: &PartsQuestion) -> Outgoing {
        self.sealed_to(to, Purpose::PartsQuestion, question)
    }

    /// A message of its answer.
    pub fn encode_parts_answer(&self, to: &ReplicaId, answer: &PartsAnswer) -> Outgoing {
        self.sealed_to(to, Purpose::PartsAnswer, answer)
    }

    /// A marker, from a replica to itself.
    pub fn encode_token_marker(&self, to: &ReplicaId, marker: &TokenMarker) -> Outgoing {
        let key = token_marker_key(to);
        self.sealed(Purpose::TokenMarker, (&key, to_replicas(&key)), marker)
    }

    /// Reads the head of another set.
    ///
    /// # Errors
    /// See [`Undecodable`].
    pub fn decode_token_set_head(&self, delivery: &Delivery) -> Result<TokenSetHead, Undecodable> {
        self.open(Purpose::TokenSetHead, delivery)
    }

    /// Reads a message from a replica's durable queue.
    ///
    /// # Errors
    /// See [`Undecodable`].
    pub fn decode_token_set_message(
        &self,
        delivery: &Delivery,
    ) -> Result<TokenSetMessage, Undecodable> {
        // The type is part of the MAC, and so is the purpose.
        let kind = delivery.message.headers.get(header::TYPE).map_or("", String::as_str);
        if kind == Purpose::PartsQuestion.as_str() {
            self.open(Purpose::PartsQuestion, delivery).map(TokenSetMessage::Question)
        } else if kind == Purpose::PartsAnswer.as_str() {
            self.open(Purpose::PartsAnswer, delivery).map(TokenSetMessage::Answer)
        } else if kind == Purpose::TokenMarker.as_str() {
            self.open(Purpose::TokenMarker, delivery).map(TokenSetMessage::Marker)
        } else {
            self.open(Purpose::TokenRecords, delivery).map(TokenSetMessage::Records)
        }
    }

    fn sealed_to(&self, to: &ReplicaId, purpose: Purpose, document: &impl Serialize) -> Outgoing {
        let queue = token_queue(to);
        self.sealed(purpose, (&queue, Destination::Queue(queue.clone())), document)
    }

    fn sealed(
        &self,
        purpose: Purpose,
        (routing_key, to): (&str, Destination),
        document: &impl Serialize,
    ) -> Outgoing {
        // These types contain only strings and numbers, so serialization cannot fail.
        let text = serde_json::to_vec(document).unwrap_or_default();
        let sealed = Sealed { sealed: self.keys.seal_text(purpose.as_str(), text) };
        let id = HEXLOWER.encode(&random_bytes::<8>());
        Outgoing { to, message: self.document(purpose, routing_key, id, &sealed) }
    }

    fn open<T: DeserializeOwned>(
        &self,
        purpose: Purpose,
        delivery: &Delivery,
    ) -> Result<T, Undecodable> {
        let Sealed { sealed } = self.read(purpose, delivery)?;
        Ok(serde_json::from_slice(&self.keys.unseal_text(purpose.as_str(), &sealed)?)?)
    }
}

fn to_replicas(routing_key: &str) -> Destination {
    let (exchange, routing_key) = (TOKENS_EXCHANGE.to_owned(), routing_key.to_owned());
    Destination::Topic { exchange, routing_key }
}
