//! What replicas of auth_service send to each other, so that their token sets become equal.
//!
//! Each replica has a durable queue, which receives [`TokenRecords`] as they are made. Questions,
//! answers and markers go through the same queue, so that they come after every record that the
//! broker had confirmed before. [`TokenSetHead`]s, which are sent every second and are worthless a
//! second later, come through another queue, which is deleted with its consumer.

use std::collections::BTreeMap;
use std::fmt;

use data_encoding::BASE64URL_NOPAD;
use serde::{Deserialize, Serialize};

use super::token_record::{KeyId, TokenRecord, TokenSetSummary, base64url_bytes};

base64url_bytes! {
    /// Names a replica of auth_service: random, stored in its `tokens.db`.
    ReplicaId, 16
}

/// New records, to every replica.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenRecords {
    /// The replica that made them.
    pub from: ReplicaId,
    /// The records.
    pub records: Vec<TokenRecord>,
}

/// What a replica holds: sent to every replica each second.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenSetHead {
    /// The replica.
    pub from: ReplicaId,
    /// The checksums and horizons of its set.
    pub summary: TokenSetSummary,
    /// The keys whose tokens it accepts.
    pub keys: Vec<KeyId>,
    /// What its set may lack.
    pub gaps: Gaps,
    /// It has just connected: the receiver is to send its own head at once.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_asking: bool,
    /// Names this head. Those that hear it repeat the name in theirs.
    #[serde(default)]
    pub name: String,
    /// The names of the last heads that were heard of each other replica, two at most: proof for that
    /// replica that this head is no older than they are.
    #[serde(default)]
    pub heard: BTreeMap<ReplicaId, Vec<String>>,
}

/// Whether records may be missing in a set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Gaps {
    /// The set is whole.
    None,
    /// Records of tokens may be missing, except of those that these keys signed.
    AllBut(Vec<KeyId>),
}

/// "Send me the records of these parts of your set."
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartsQuestion {
    /// The replica that asks, and gets the answer.
    pub from: ReplicaId,
    /// Identifies the question: the answers carry it, too.
    pub nonce: String,
    /// The parts.
    pub parts: Vec<u8>,
}

/// One of the messages that answer a [`PartsQuestion`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartsAnswer {
    /// The replica that answers.
    pub from: ReplicaId,
    /// The question's nonce.
    pub nonce: String,
    /// Counts from 1.
    pub number: u32,
    /// How many messages the answer has: at least one.
    pub of: u32,
    /// Some of the records, each with its age.
    pub records: Vec<RecordWithAge>,
    /// What the sender's set may lack.
    pub gaps: Gaps,
}

/// A record as one replica hands it to another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordWithAge {
    /// The record.
    pub record: TokenRecord,
    /// For how many milliseconds the sender has known it.
    pub age_ms: i64,
}

/// A message of a replica to itself. When it comes back, everything that the broker had confirmed
/// before it was sent has been received.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenMarker {
    /// The session that sent it: markers of earlier ones prove nothing.
    pub session: String,
    /// When it was sent, in milliseconds by the sender's boot clock.
    pub sent_at_ms: i64,
}

/// The content of a message, encrypted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sealed {
    /// `v1.<key id>.<base64url(salt, nonce, ciphertext)>`.
    pub sealed: String,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token_record::{Horizons, PartChecksum, TokenId, TokenLife};
    use serde_json::json;

    const KID: KeyId = KeyId([1; 32]);
    const FROM: ReplicaId = ReplicaId([2; 16]);

    #[test]
    fn the_messages_have_this_form() {
        let life = TokenLife { kid: KID, exp_s: 9 };
        let record = TokenRecord::SessionRevoked { sid: TokenId([3; 16]), ended_with: life };
        let (kid, from) = (KID.to_string(), FROM.to_string());
        let text = BASE64URL_NOPAD.encode(&record.to_bytes());
        let records = TokenRecords { from: FROM, records: vec![record.clone()] };
        check(&records, json!({"from": from, "records": [text]}));
        let summary = TokenSetSummary {
            parts: [(7, PartChecksum(1))].into(),
            horizons: Horizons::from_lives([life]),
        };
        let head = TokenSetHead {
            from: FROM,
            summary,
            keys: vec![KID],
            gaps: Gaps::AllBut(vec![KID]),
            is_asking: false,
            name: "s-1".into(),
            heard: [(FROM, vec!["t-7".to_owned()])].into(),
        };
        let parts = json!({"7": "AAAAAAAAAAAAAAAAAAAAAQ"});
        check(
            &head,
            json!({
                "from": from,
                "summary": {"parts": parts, "horizons": {kid.clone(): 9}},
                "keys": [kid],
                "gaps": {"all_but": [kid]},
                "name": "s-1",
                "heard": {FROM.to_string(): ["t-7"]},
            }),
        );
        let question = PartsQuestion { from: FROM, nonce: "n".into(), parts: vec![0, 255] };
        check(&question, json!({"from": from, "nonce": "n", "parts": [0, 255]}));
        let answer = PartsAnswer {
            from: FROM,
            nonce: "n".into(),
            number: 1,
            of: 1,
            records: vec![RecordWithAge { record, age_ms: 5 }],
            gaps: Gaps::None,
        };
        let records = json!([{"record": text, "age_ms": 5}]);
        check(
            &answer,
            json!({"from": from, "nonce": "n", "number": 1, "of": 1, "records": records, "gaps": "none"}),
        );
        let marker = TokenMarker { session: "s".into(), sent_at_ms: 5 };
        check(&marker, json!({"session": "s", "sent_at_ms": 5}));
    }

    fn check<T>(message: &T, expected: serde_json::Value)
    where
        T: Serialize + serde::de::DeserializeOwned + PartialEq + fmt::Debug,
    {
        assert_eq!(serde_json::to_value(message).unwrap(), expected);
        assert_eq!(serde_json::from_value::<T>(expected).unwrap(), *message);
    }

    #[test]
    fn what_is_no_record_or_no_name_is_refused() {
        for bad in [json!({"from": "x", "records": []}), json!({"from": FROM, "records": ["AA"]})] {
            assert!(serde_json::from_value::<TokenRecords>(bad).is_err());
        }
    }
}
