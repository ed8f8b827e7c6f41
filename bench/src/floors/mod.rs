//! The limits of the machine: minimal programs, measured in alternation with Lockstep.

pub(crate) mod argon2_loop;
pub(crate) mod bare_handler;
pub(crate) mod commits;
mod handler_process;
pub(crate) mod lapin_pair;
pub(crate) mod pgbench;
pub(crate) mod select_handler;
