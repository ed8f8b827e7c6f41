//! After a fault: every token is asked for at every replica, once all say that they lack nothing.

use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::stream::iter;

use super::clients::PROOF_HOLDS;
use super::http::Http;
use super::journal::{Findings, Sessions, told};
use super::sites::Sites;

/// Requests at a time.
const AT_ONCE: usize = 8;
/// Who lacks nothing knows every token within this time.
const PATIENCE: Duration = Duration::from_secs(20);
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// A token that every replica must know.
struct Expected<'a> {
    token: &'a str,
    /// None if it lives.
    ended_at: Option<Instant>,
}

/// Asks for all tokens at all replicas. Sessions of which nobody knows whether they live are dropped
/// from `users` if they are dead.
pub(crate) async fn sweep(sites: &Sites, http: &Http, users: &mut [Sessions]) -> Findings {
    for sessions in &mut *users {
        sessions.living.retain(|session| sites.must_live(session));
    }
    let expected = users.iter().flat_map(|sessions| {
        let living = sessions.living.iter().flat_map(|session| &session.tokens);
        let living = living.map(|token| Expected { token: &token.text, ended_at: None });
        let ended = sessions.ended.iter().flat_map(|ended| {
            let ended_at = Some(ended.at);
            ended.tokens.iter().map(move |token| Expected { token, ended_at })
        });
        living.chain(ended)
    });
    let everywhere = expected.flat_map(|expected| {
        let Expected { token, ended_at } = expected;
        (0..sites.auth.len()).map(move |there| (there, Expected { token, ended_at }))
    });
    let asking = everywhere.map(|(there, expected)| ask(sites, http, there, expected));
    let found: Vec<Findings> = iter(asking).buffer_unordered(AT_ONCE).collect().await;
    let mut findings = Findings::default();
    for found in found {
        findings.join(found);
    }
    findings
}

async fn ask(sites: &Sites, http: &Http, there: usize, expected: Expected<'_>) -> Findings {
    let Expected { token, ended_at } = expected;
    let mut findings = Findings::default();
    let begun = Instant::now();
    loop {
        let asked_after = ended_at.map(|at| at.elapsed());
        let status = http.verify(sites.auth[there], token).await;
        findings.verifies += 1;
        match (status, asked_after) {
            (200, None) | (401, Some(_)) => return findings,
            (401, None) => {
                findings.refused.push(format!("{} at {there}, in the end", told(token)));
                return findings;
            }
            // It may say only now that it is cut off: nobody is told that an exchange was deleted.
            (200, Some(asked_after))
                if asked_after >= PROOF_HOLDS
                    && !http.knowledge(sites.auth[there]).await.is_cut_off =>
            {
                let token = told(token);
                let what =
                    format!("{token} at {there}, {asked_after:?} after its logout, in the end");
                findings.revived.push(what);
                return findings;
            }
            (status, _) if begun.elapsed() > PATIENCE => {
                findings.unknown.push(format!("{} at {there} is answered {status}", told(token)));
                return findings;
            }
            _ => tokio::time::sleep(POLL_INTERVAL).await,
        }
    }
}
