//! What the services want of each other beside the log: commands, and questions about tokens.

use contract::event::header;
use contract::topology::{END_SESSIONS_QUEUE, REHASH_QUEUE, TOKEN_ANSWERS, TOKEN_QUESTIONS};
use contract::{EndSessions, PasswordRehashed, TokenAnswer, TokenQuestion};
use data_encoding::HEXLOWER;

use super::{Codec, Draft, Purpose, Undecodable};
use crate::bus::{Delivery, Destination, Outgoing};
use crate::secrets::random_bytes;

impl Codec {
    /// "Store this hash."
    pub fn encode_rehash(&self, command: &PasswordRehashed) -> Outgoing {
        let id = HEXLOWER.encode(&random_bytes::<8>());
        self.to_queue(Purpose::Rehash, REHASH_QUEUE, id, command)
    }

    /// "End all sessions", with the W3C trace context of the request that wants it.
    pub fn encode_end_sessions(
        &self,
        command: &EndSessions,
        traceparent: Option<String>,
    ) -> Outgoing {
        let attributes = traceparent.map(|text| (header::TRACEPARENT, text)).into_iter().collect();
        let draft = Draft {
            id: HEXLOWER.encode(&random_bytes::<8>()),
            kind: Purpose::EndSessions.as_str(),
            attributes,
            // Numbers and hexadecimal words, so serialization cannot fail.
            body: serde_json::to_vec(command).unwrap_or_default(),
            is_persistent: false,
        };
        let message = self.message(Purpose::EndSessions, END_SESSIONS_QUEUE, draft);
        Outgoing { to: Destination::Queue(END_SESSIONS_QUEUE.to_owned()), message }
    }

    /// A question about a token.
    pub fn encode_token_question(&self, question: &TokenQuestion) -> Outgoing {
        self.to_queue(Purpose::TokenQuestion, TOKEN_QUESTIONS, question.nonce.clone(), question)
    }

    /// The answer to it.
    pub fn encode_token_answer(&self, answer: &TokenAnswer) -> Outgoing {
        self.to_queue(Purpose::TokenAnswer, TOKEN_ANSWERS, answer.nonce.clone(), answer)
    }

    /// Reads a new hash.
    ///
    /// # Errors
    /// See [`Undecodable`].
    pub fn decode_rehash(&self, delivery: &Delivery) -> Result<PasswordRehashed, Undecodable> {
        self.read(Purpose::Rehash, delivery)
    }

    /// Reads the command to end all sessions of a user, and the trace context of what wants it.
    ///
    /// # Errors
    /// See [`Undecodable`].
    pub fn decode_end_sessions(
        &self,
        delivery: &Delivery,
    ) -> Result<(EndSessions, Option<String>), Undecodable> {
        let command = self.read(Purpose::EndSessions, delivery)?;
        Ok((command, delivery.message.headers.get(header::TRACEPARENT).cloned()))
    }

    /// Reads a question about a token.
    ///
    /// # Errors
    /// See [`Undecodable`].
    pub fn decode_token_question(&self, delivery: &Delivery) -> Result<TokenQuestion, Undecodable> {
        self.read(Purpose::TokenQuestion, delivery)
    }

    /// Reads the answer to it.
    ///
    /// # Errors
    /// See [`Undecodable`].
    pub fn decode_token_answer(&self, delivery: &Delivery) -> Result<TokenAnswer, Undecodable> {
        self.read(Purpose::TokenAnswer, delivery)
    }
}
