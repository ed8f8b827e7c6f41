//! Argon2id, version 0x13 of RFC 9106, and nothing else.
//!
//! Hashing is nearly all that a login costs, and the `argon2` crate leaves half of the processor
//! unused: it knows AVX2 alone, as far as the compiler finds it by itself. So the part that takes
//! the time is here: the blocks ([`Engine`]) and their memory ([`Memory`]). The bounds of parameters
//! and the PHC form stay with that crate, and the tests hold this one equal to it.
//!
//! From the bottom up: `block` is the compression function on any processor, `simd` the same on
//! vectors and `avx` which vectors; [`Engine`] picks one of them; `schedule` says which blocks are
//! compressed into which; `blake2b` makes the first blocks and the result.

#[cfg(target_arch = "x86_64")]
#[expect(clippy::inline_always, reason = "what is not inlined is built without the instructions")]
mod avx;
mod blake2b;
#[expect(clippy::inline_always, reason = "called sixteen times for each block")]
#[expect(clippy::many_single_char_names, reason = "the RFC's")]
mod block;
mod engine;
mod memory;
mod schedule;
#[cfg(target_arch = "x86_64")]
#[expect(clippy::inline_always, reason = "what is not inlined is built without the instructions")]
mod simd;
#[cfg(test)]
mod tests;

pub use argon2::Params;
pub use block::Block;
pub use engine::Engine;
pub use memory::Memory;

use argon2::Error;
use schedule::Shape;

/// What is hashed.
#[derive(Clone, Copy)]
pub struct Inputs<'a> {
    /// The password.
    pub password: &'a [u8],
    /// The salt, of 8 bytes or more.
    pub salt: &'a [u8],
    /// A key of the server's. We have none: RFC 9106 tests with one.
    pub secret: &'a [u8],
}

/// Hashes into `output`, whose length is part of what is hashed.
///
/// # Errors
/// The salt is too short, the output is empty, or there are fewer blocks than the parameters ask
/// for.
pub fn hash_into(
    engine: Engine,
    memory: &mut [Block],
    params: &Params,
    inputs: &Inputs<'_>,
    output: &mut [u8],
) -> Result<(), Error> {
    if inputs.salt.len() < argon2::MIN_SALT_LEN {
        return Err(Error::SaltTooShort);
    }
    let shape = Shape::from(params);
    let memory = memory.get_mut(..shape.blocks()).ok_or(Error::MemoryTooLittle)?;
    let digest = blake2b::digest_inputs(params, inputs, output.len())?;
    blake2b::write_first_blocks(memory, shape, &digest)?;
    schedule::fill(engine, memory, shape);
    blake2b::write_output(memory, shape, output)
}
