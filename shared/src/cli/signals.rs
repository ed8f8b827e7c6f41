//! SIGTERM, SIGINT and SIGHUP from a terminal: the first signal stops the service cleanly, a second
//! one ends the process.

use std::io;
use std::thread;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::backup::Stop;

/// Added to a signal's number, this is the exit code of a process that a signal has ended, as in
/// shells.
const EXIT_SIGNAL: i32 = 128;
/// Signals within this time count as one: `timeout`, and a supervisor that signals the process and
/// then its group, send two at once.
const AT_ONCE: Duration = Duration::from_millis(500);

/// Listens for signals on a separate thread, because the main thread may be busy starting or
/// stopping. The first signal is sent to the receiver; the second ends the process at once.
///
/// # Errors
/// The signal handlers cannot be installed.
pub(super) fn listen() -> io::Result<oneshot::Receiver<()>> {
    let (first, asked) = oneshot::channel();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let signals = {
        let _entered = runtime.enter();
        Signals::listen()?
    };
    let wait = move || runtime.block_on(wait(signals, first));
    thread::Builder::new().name("signals".to_owned()).spawn(wait)?;
    Ok(asked)
}

/// The first signal asks a command to stop, and to leave nothing half written; a second one ends the
/// process.
///
/// # Errors
/// As for [`listen`].
pub fn stop_on_signal() -> io::Result<Stop> {
    let (asked, stop) = (listen()?, Stop::default());
    let to_ask = stop.clone();
    let wait = move || {
        // An error means that the signal thread has ended.
        let _ = asked.blocking_recv();
        to_ask.ask();
    };
    thread::Builder::new().name("stop".to_owned()).spawn(wait)?;
    Ok(stop)
}

#[expect(clippy::disallowed_methods, reason = "who signals twice wants no more flushing")]
async fn wait(mut signals: Signals, first: oneshot::Sender<()>) {
    signals.next().await;
    let first_at = Instant::now();
    // The receiver is gone if the service stops for another reason.
    let _ = first.send(());
    loop {
        let kind = signals.next().await;
        if first_at.elapsed() >= AT_ONCE {
            super::tell("a second signal: ending at once");
            std::process::exit(EXIT_SIGNAL + kind.as_raw_value());
        }
    }
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
    /// `None` if whoever started the process wants it to outlive the terminal (`nohup`).
    hangup: Option<Signal>,
}

impl Signals {
    fn listen() -> io::Result<Self> {
        let hangup = SignalKind::hangup();
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: if is_ignored(hangup) { None } else { Some(signal(hangup)?) },
        })
    }

    async fn next(&mut self) -> SignalKind {
        let hangup = async {
            match &mut self.hangup {
                Some(signal) => signal.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.terminate.recv() => SignalKind::terminate(),
            _ = self.interrupt.recv() => SignalKind::interrupt(),
            _ = hangup => SignalKind::hangup(),
        }
    }
}

/// Whether the process was started with this signal ignored.
fn is_ignored(kind: SignalKind) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask >> (kind.as_raw_value() - 1) & 1 == 1)
}
