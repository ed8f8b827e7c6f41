//! What very many ended sessions take: memory, and the time of a replica that has to fetch them.

use std::path::Path;
use std::time::{Duration, Instant};

use auth_service::store::{TOKENS, TokenStore};
use contract::TokenRecord;
use contract::token_record::{KeyId, TokenId, TokenLife};
use data_encoding::BASE64URL_NOPAD;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use shared::actors::Reply;
use shared::clock::Clock;
use shared::secrets::random_bytes;
use shared::tokens::token_set::{AgedRecord, BootTime};

use crate::fleet::Fleet;
use crate::raw_http::Client;
use crate::system::{Service, token};
use crate::table::{Figure, Wanted};

const SESSIONS: usize = 1_000_000;
/// How many are written in one transaction.
const GROUP: usize = 10_000;
/// The time after which a newly started service is idle.
const REST: Duration = Duration::from_secs(2);

/// Writes the sessions into the files of the first replica, starts it alone, and then another one
/// beside it that lacks them.
pub(crate) async fn measure(mut fleet: Fleet) -> Vec<Figure> {
    for mut replica in fleet.replicas.drain(..) {
        replica.stop();
    }
    let mut without = fleet.start_replica().await;
    let token = token(without.address).await;
    let without_mib = memory_at_rest(&without).await;
    without.stop();
    let started = Instant::now();
    end_sessions(&fleet.place(1).join(TOKENS), &token);
    eprintln!("{SESSIONS} ended sessions were written in {:.2?}", started.elapsed());

    let with = fleet.start_replica().await;
    assert_eq!(verified(&with, &token), 401, "the sessions were not loaded");
    let with_mib = memory_at_rest(&with).await;
    let fetching = fleet.start_replica().await;
    assert_eq!(verified(&fetching, &token), 401, "the sessions were not fetched");
    vec![
        Figure {
            name: "memory for 1,000,000 ended sessions",
            value: with_mib - without_mib,
            unit: " MiB",
            wanted: Wanted::AtMost(400.0),
            detail: format!("{with_mib:.1} MiB, without them {without_mib:.1} MiB"),
        },
        Figure {
            name: "start to /readyz with 1,000,000 ended sessions",
            value: with.ready_after.as_secs_f64(),
            unit: " s",
            wanted: Wanted::AtMost(10.0),
            detail: String::new(),
        },
        Figure {
            name: "start to /readyz of a replica that fetches 1,000,000",
            value: fetching.ready_after.as_secs_f64(),
            unit: " s",
            wanted: Wanted::AtMost(60.0),
            detail: format!("{:.1} MiB at its peak", fetching.peak_memory_mib()),
        },
    ]
}

async fn memory_at_rest(replica: &Service) -> f64 {
    tokio::time::sleep(REST).await;
    replica.memory_mib()
}

/// The status that the token is answered with.
fn verified(replica: &Service, token: &str) -> u16 {
    let header = format!("Authorization: Bearer {token}\r\n");
    Client::connect(replica.address).ask("GET", "/verify", &header).status
}

/// Adds the session of this token, and random ones, by the store of auth_service. The last one is
/// that of the token.
fn end_sessions(database: &Path, token: &str) {
    let clock = Clock::system();
    let now = BootTime(clock.boot_ms());
    let mut store = TokenStore::open(database, clock.boot_id(), now).unwrap();
    let (session, ended_with) = session_of(token);
    let ended = |sid| {
        let record = TokenRecord::SessionRevoked { sid, ended_with };
        AgedRecord { record, age_ms: 0 }
    };
    for group in 1..=SESSIONS / GROUP {
        let random = |_| ended(TokenId(random_bytes()));
        let mut records: Vec<AgedRecord> = (1..GROUP).map(random).collect();
        let is_last = group == SESSIONS / GROUP;
        records.push(ended(if is_last { session } else { TokenId(random_bytes()) }));
        let (reply, _) = Reply::channel();
        store.merge(reply, records, now);
        store.commit(now).unwrap();
    }
    store.close(now).unwrap();
}

#[derive(Deserialize)]
struct Header {
    kid: KeyId,
}

#[derive(Deserialize)]
struct Claims {
    sid: TokenId,
    exp: i64,
}

/// The token's session and its life.
fn session_of(token: &str) -> (TokenId, TokenLife) {
    let Header { kid } = jwt_part(token, 0);
    let Claims { sid, exp } = jwt_part(token, 1);
    (sid, TokenLife { kid, exp_s: exp })
}

fn jwt_part<T: DeserializeOwned>(token: &str, number: usize) -> T {
    let part = token.split('.').nth(number).unwrap();
    serde_json::from_slice(&BASE64URL_NOPAD.decode(part.as_bytes()).unwrap()).unwrap()
}
