//! What the services want of each other beside the log: commands, and questions about tokens.

use contract::topology::{END_SESSIONS_QUEUE, REHASH_QUEUE, TOKEN_ANSWERS, TOKEN_QUESTIONS};
use contract::{EndSessions, PasswordRehashed, TokenAnswer, TokenQuestion};
use data_encoding::HEXLOWER;

use super::{Codec, Purpose, Undecodable};
use crate::bus::{Delivery, Outgoing};
use crate::secrets::random_bytes;

impl Codec {
    /// "Store this hash."
    pub fn encode_rehash(&self, command: &PasswordRehashed) -> Outgoing {
        let id = HEXLOWER.encode(&random_bytes::<8>());
        self.to_queue(Purpose::Rehash, REHASH_QUEUE, id, command)
    }

    /// "End all sessions."
    pub fn encode_end_sessions(&self, command: &EndSessions) -> Outgoing {
        let id = HEXLOWER.encode(&random_bytes::<8>());
        self.to_queue(Purpose::EndSessions, END_SESSIONS_QUEUE, id, command)
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

    /// Reads the command to end all sessions of a user.
    ///
    /// # Errors
    /// See [`Undecodable`].
    pub fn decode_end_sessions(&self, delivery: &Delivery) -> Result<EndSessions, Undecodable> {
        self.read(Purpose::EndSessions, delivery)
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
