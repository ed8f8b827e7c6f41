//! What the machine can do at most: each as bare as it can be, measured in alternation with us.

pub(crate) mod argon2_loop;
pub(crate) mod bare_handler;
pub(crate) mod commits;
pub(crate) mod lapin_pair;
