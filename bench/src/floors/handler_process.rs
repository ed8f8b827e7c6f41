//! A floor that answers over HTTP, in a process of its own as the services are.

use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use testkit::rabbitmq::free_port;

use crate::system::wait_for_port;

/// The process; dropping it kills it.
pub(crate) struct HandlerProcess {
    pub(crate) address: SocketAddr,
    child: Child,
}

impl HandlerProcess {
    /// Starts this same binary with a subcommand that serves at the address that follows it. `adjust` may
    /// add to the command.
    pub(super) fn start(subcommand: &str, adjust: impl FnOnce(&mut Command)) -> Self {
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args([subcommand, &address.to_string()]).stdout(Stdio::null());
        adjust(&mut command);
        let child = command.spawn().unwrap();
        wait_for_port(address);
        Self { address, child }
    }
}

impl Drop for HandlerProcess {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
