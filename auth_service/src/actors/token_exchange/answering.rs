//! Answering the questions of other replicas: what takes long must not hold up deliveries.

use contract::{PartsAnswer, PartsQuestion, RecordWithAge};
use shared::actors::ask;
use shared::bus::Outgoing;
use tokio::sync::mpsc;

use super::{Exchange, ExchangeError};
use crate::actors::token_revocations::ReadParts;

/// Questions that may wait: a replica asks one at a time.
pub(super) const QUESTIONS: usize = 16;
/// Records of one message: with 161 bytes each it has about 120 KB.
const RECORDS_MAX: usize = 400;
/// Messages that are confirmed together.
const MESSAGES: usize = 8;

impl Exchange {
    /// Answers for ever, one question after the other.
    pub(super) async fn answer_questions(
        &self,
        mut questions: mpsc::Receiver<PartsQuestion>,
    ) -> Result<(), ExchangeError> {
        while let Some(question) = questions.recv().await {
            let messages = self.answer(question).await?;
            for group in messages.chunks(MESSAGES) {
                self.bus.publish(group.to_vec()).await?;
            }
        }
        Ok(())
    }

    async fn answer(&self, question: PartsQuestion) -> Result<Vec<Outgoing>, ExchangeError> {
        let PartsQuestion { from: to, nonce, parts } = question;
        let (records, gaps) = ask(&self.revocations, ReadParts(parts)).await?;
        let records: Vec<_> = records
            .into_iter()
            .map(|aged| RecordWithAge { record: aged.record, age_ms: aged.age_ms })
            .collect();
        let of = records.len().div_ceil(RECORDS_MAX).max(1);
        let message = |index: usize| {
            let chunk = records.chunks(RECORDS_MAX).nth(index).unwrap_or_default().to_vec();
            let number = u32::try_from(index + 1).unwrap_or(u32::MAX);
            let of = u32::try_from(of).unwrap_or(u32::MAX);
            let (from, nonce, gaps) = (self.me, nonce.clone(), gaps.clone());
            let answer = PartsAnswer { from, nonce, number, of, records: chunk, gaps };
            self.codec.encode_parts_answer(&to, &answer)
        };
        Ok((0..of).map(message).collect())
    }
}
