//! SIGTERM, and SIGINT from a terminal: the first asks the service to stop, the second ends it.

use std::io;
use std::thread;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;

/// Added to a signal's number: the exit code of a process that a signal has ended, as shells have it.
const EXIT_SIGNAL: i32 = 128;

/// Listens to signals on a thread of its own, because the main one may be busy starting or stopping.
/// The first signal arrives at the receiver; the second ends the process at once.
///
/// # Errors
/// The signals cannot be caught.
pub(super) fn listen() -> io::Result<oneshot::Receiver<()>> {
    let (first, asked) = oneshot::channel();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let (terminate, interrupt) = {
        let _entered = runtime.enter();
        (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?)
    };
    let wait = move || runtime.block_on(wait(terminate, interrupt, first));
    thread::Builder::new().name("signals".to_owned()).spawn(wait)?;
    Ok(asked)
}

#[expect(clippy::disallowed_methods, reason = "who signals twice wants no more flushing")]
async fn wait(mut terminate: Signal, mut interrupt: Signal, first: oneshot::Sender<()>) {
    next(&mut terminate, &mut interrupt).await;
    // The receiver is gone if the service stops for another reason.
    let _ = first.send(());
    let kind = next(&mut terminate, &mut interrupt).await;
    super::tell("a second signal: ending at once");
    std::process::exit(EXIT_SIGNAL + kind.as_raw_value());
}

async fn next(terminate: &mut Signal, interrupt: &mut Signal) -> SignalKind {
    tokio::select! {
        _ = terminate.recv() => SignalKind::terminate(),
        _ = interrupt.recv() => SignalKind::interrupt(),
    }
}
