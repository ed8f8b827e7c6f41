//! SIGTERM, and SIGINT from a terminal: the first signal stops the service cleanly, the second ends
//! the process.

use std::io;
use std::thread;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;

/// Added to a signal's number, this is the exit code of a process that a signal has ended, as in
/// shells.
const EXIT_SIGNAL: i32 = 128;

/// Listens for signals on a separate thread, because the main thread may be busy starting or
/// stopping. The first signal is sent to the receiver; the second ends the process at once.
///
/// # Errors
/// The signal handlers cannot be installed.
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
