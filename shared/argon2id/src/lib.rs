//! Argon2id, version 0x13 of RFC 9106, and nothing else.
//!
//! Hashing is nearly the whole cost of a login, and the `argon2` crate leaves half of the processor
//! unused: it only uses AVX2, as far as the compiler vectorizes by itself. So this crate contains
//! the part that takes the time: the blocks ([`Engine`]) and their memory ([`Memory`]). Parameter
//! checks and the PHC form stay with the `argon2` crate, and the tests check that both compute the
//! same hashes.
//!
//! From the bottom up: `block` is the compression function on any processor; `simd` is the same
//! function on vectors, and `avx` defines the vectors; [`Engine`] selects one of them; `schedule`
//! decides which blocks are compressed into which; `blake2b` computes the first blocks and the
//! result.

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

/// The inputs of a hash.
#[derive(Clone, Copy)]
pub struct Inputs<'a> {
    /// The password.
    pub password: &'a [u8],
    /// The salt, of 8 bytes or more.
    pub salt: &'a [u8],
    /// A secret key of the server. We use none; RFC 9106's test vector does.
    pub secret: &'a [u8],
}

/// Hashes into `output`, whose length is part of what is hashed.
///
/// # Errors
/// The salt is too short, the output is empty, or there are fewer blocks than the parameters
/// require.
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
