//! Concurrent clients that log in, verify, refresh and log out, each time at another replica.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use awc::http::Method;
use futures_util::future::join;
use shared::tokens::liveness::FRESH_FOR_MS;

use super::http::Http;
use super::journal::{Ended, Findings, Session, Sessions, Token, stamp_of, told};
use super::sites::{HASTY, Sites};
use crate::random::Random;

/// Between two requests of a client.
const THINK: Duration = Duration::from_millis(10);
/// A client that has so many sessions ends one.
const LIVING_MAX: usize = 25;
/// So long after a logout a replica that stood still, and does not know it yet, may still accept its
/// token: that is how long a proof of freshness holds. Others accept it for milliseconds.
pub(crate) const PROOF_HOLDS: Duration = Duration::from_millis(FRESH_FOR_MS.unsigned_abs());

/// Clients at work, on a thread of their own.
pub(crate) struct Clients {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<(Vec<Sessions>, Findings)>,
}

impl Clients {
    /// Starts one client for each user, with the sessions that are there.
    pub(crate) fn start(sites: Arc<Sites>, users: Vec<Sessions>, seed: u64) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopping = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            actix_web::rt::System::new().block_on(async move {
                let client = |(number, sessions)| {
                    let mut random = Random(seed.wrapping_add(number));
                    random.next();
                    let (http, sites) = (Http::new(), Arc::clone(&sites));
                    let (stop, findings) = (Arc::clone(&stopping), Findings::default());
                    let client = Client { http, sites, sessions, random, stop, findings };
                    actix_web::rt::spawn(client.run())
                };
                let running: Vec<_> = (0..).zip(users).map(client).collect();
                let (mut users, mut findings) = (Vec::new(), Findings::default());
                for client in running {
                    let (sessions, found) = client.await.unwrap();
                    users.push(sessions);
                    findings.join(found);
                }
                (users, findings)
            })
        });
        Self { stop, thread }
    }

    /// Ends them; requests in hand are finished first.
    pub(crate) fn stop(self) -> (Vec<Sessions>, Findings) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
    }
}

struct Client {
    http: Http,
    sites: Arc<Sites>,
    sessions: Sessions,
    random: Random,
    stop: Arc<AtomicBool>,
    findings: Findings,
}

impl Client {
    async fn run(mut self) -> (Sessions, Findings) {
        while !self.stop.load(Ordering::Relaxed) {
            match self.random.below(100) {
                _ if self.sessions.living.len() > LIVING_MAX => self.log_out().await,
                0..25 => self.log_in().await,
                25..45 => self.verify_living().await,
                45..60 => self.verify_ended().await,
                60..75 => self.refresh().await,
                75..90 => self.log_out().await,
                90..98 => self.log_out_against_a_refresh().await,
                _ => {
                    if let Some(session) = self.take() {
                        self.log_out_everywhere(session).await;
                    }
                }
            }
            tokio::time::sleep(THINK).await;
        }
        (self.sessions, self.findings)
    }

    async fn log_in(&mut self) {
        let (replica, at) = self.sites.pick(&mut self.random);
        let restores = self.sites.restores(replica);
        let (status, token) = self.http.log_in(at, &self.sessions.username).await;
        self.count(status);
        let Some(text) = token else { return };
        self.findings.logins += 1;
        let stamp = stamp_of(&text);
        let tokens = vec![Token { text, replica, restores }];
        let session = Session { stamp, tokens, is_tradable: true };
        if self.sessions.begin(&session, &mut self.random) {
            self.expect_alive_at_birth(&session).await;
            self.sessions.living.push(session);
        } else if session.stamp > self.sessions.ended_stamp {
            // The answer to an earlier request was missing: it is sent again.
            self.log_out_everywhere(session).await;
        }
    }

    /// Another replica may not have the key yet, and then it must say that it does not know.
    async fn expect_alive_at_birth(&mut self, session: &Session) {
        let Some(newest) = session.tokens.last() else { return };
        let (there, at) = self.sites.pick(&mut self.random);
        let status = self.http.verify(at, &newest.text).await;
        self.count(status);
        self.findings.verifies += 1;
        if status == 401 && self.sites.must_live(session) {
            let what = format!("{newest:?} at {there}");
            self.findings.dead_at_birth.push(what);
        }
    }

    async fn verify_living(&mut self) {
        let Some(session) = self.take() else { return };
        let token = &session.tokens[self.random.below(session.tokens.len())];
        let (there, at) = self.sites.pick(&mut self.random);
        let status = self.http.verify(at, &token.text).await;
        self.findings.verifies += 1;
        if !self.is_refused(status, &session, there) {
            self.sessions.living.push(session);
        }
    }

    /// Whether the session is dead, which is a complaint if it must live.
    fn is_refused(&mut self, status: u16, session: &Session, there: usize) -> bool {
        self.count(status);
        if status != 401 {
            return false;
        }
        if self.sites.must_live(session) {
            self.findings.refused.push(format!("{session:?} at {there}"));
        }
        true
    }

    async fn verify_ended(&mut self) {
        let count = self.sessions.ended.len();
        if count == 0 {
            return;
        }
        // One of the last ones more often: it may be on its way.
        let from = if self.random.below(2) == 0 { count.saturating_sub(3) } else { 0 };
        let ended = self.sessions.ended[from + self.random.below(count - from)].clone();
        let Ended { tokens, at: ended_at, is_confirmed } = ended;
        let token = &tokens[self.random.below(tokens.len())];
        let (there, at) = self.sites.pick(&mut self.random);
        let before = self.http.knowledge(at).await;
        let asked_after = ended_at.elapsed();
        let status = self.http.verify(at, token).await;
        self.count(status);
        self.findings.verifies += 1;
        if status != 200 || before.is_cut_off || !is_confirmed {
            return;
        }
        if self.http.knowledge(at).await.is_cut_off {
            return;
        }
        self.findings.longest_acceptance = self.findings.longest_acceptance.max(asked_after);
        if asked_after >= PROOF_HOLDS {
            let what = format!("{} at {there}, {asked_after:?} after its logout", told(token));
            self.findings.revived.push(what);
        }
    }

    async fn refresh(&mut self) {
        let Some(mut session) = self.take() else { return };
        if session.is_tradable {
            let (there, at) = self.sites.pick(&mut self.random);
            let (status, new) = self.trade(&mut session, (there, at)).await;
            if self.is_refused(status, &session, there) {
                return;
            }
            if new {
                self.expect_alive_at_birth(&session).await;
            }
        }
        self.sessions.living.push(session);
    }

    /// Trades the newest token. Whether there is a new one.
    async fn trade(
        &mut self,
        session: &mut Session,
        (replica, at): (usize, std::net::SocketAddr),
    ) -> (u16, bool) {
        let restores = self.sites.restores(replica);
        let Some(newest) = session.tokens.last() else { return (0, false) };
        let (status, token) = self.http.refresh(at, &newest.text).await;
        let Some(text) = token else {
            // It may have been traded.
            session.is_tradable = false;
            return (status, false);
        };
        self.findings.refreshes += 1;
        session.tokens.push(Token { text, replica, restores });
        (status, true)
    }

    async fn log_out(&mut self) {
        let Some(session) = self.take() else { return };
        let token = session.tokens[self.random.below(session.tokens.len())].text.clone();
        let (there, at) = self.sites.pick(&mut self.random);
        let status = self.http.logout(at, &token).await;
        self.note_logout(status, session, there);
    }

    fn note_logout(&mut self, status: u16, session: Session, there: usize) {
        if !self.is_refused(status, &session, there) && status == 200 {
            self.findings.logouts += 1;
            self.sessions.end(session, there != HASTY, &mut self.random);
        }
        // Otherwise nobody knows whether it has ended.
    }

    /// Whichever comes first, nothing of the session lives.
    async fn log_out_against_a_refresh(&mut self) {
        let Some(mut session) = self.take() else { return };
        if !session.is_tradable {
            return self.sessions.living.push(session);
        }
        let Some(newest) = session.tokens.last().cloned() else { return };
        let (here, at) = self.sites.pick(&mut self.random);
        let (there, elsewhere) = self.sites.pick(&mut self.random);
        let restores = self.sites.restores(there);
        let (status, (_, new)) =
            join(self.http.logout(at, &newest.text), self.http.refresh(elsewhere, &newest.text))
                .await;
        session.tokens.extend(new.map(|text| Token { text, replica: there, restores }));
        self.note_logout(status, session, here);
    }

    async fn log_out_everywhere(&mut self, session: Session) {
        let (token, stamp) = (session.tokens[0].text.clone(), session.stamp);
        let (_, at) = self.sites.pick(&mut self.random);
        let reply = self.http.call(Method::POST, (at, "/logout/all"), Some(&token), None).await;
        self.count(reply.status);
        if reply.status == 401 {
            // It may have ended already.
            return;
        }
        // Sessions that began with a later stamp go on.
        let all = std::mem::take(&mut self.sessions.living).into_iter();
        let (ended, others): (Vec<_>, Vec<_>) =
            all.chain([session]).partition(|other| other.stamp <= stamp);
        self.sessions.living = others;
        if reply.status != 200 {
            let known = &mut self.sessions.perhaps_ended_stamp;
            *known = stamp.max(*known);
            return;
        }
        self.sessions.ended_stamp = stamp.max(self.sessions.ended_stamp);
        for session in ended {
            // Replicas do not confirm records of the users' log.
            self.sessions.end(session, false, &mut self.random);
        }
    }

    /// Takes the session out, so that it is forgotten unless it is put back.
    fn take(&mut self) -> Option<Session> {
        let count = self.sessions.living.len();
        (count > 0).then(|| self.sessions.living.swap_remove(self.random.below(count)))
    }

    fn count(&mut self, status: u16) {
        if status == 0 || status >= 500 {
            self.findings.unanswered += 1;
        }
    }
}
