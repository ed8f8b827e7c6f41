//! The first blocks and the result, computed with BLAKE2b (RFC 9106 sections 3.2 and 3.3).

use argon2::{Error, Params};
use blake2::digest::Output;
use blake2::digest::block_api::{UpdateCore, VariableOutputCore};
use blake2::digest::block_buffer::LazyBuffer;
use blake2::{Blake2b512, Blake2bVarCore, Digest};

use super::Inputs;
use super::block::{Block, xor_into};
use super::schedule::{Shape, TYPE};

/// The only version that RFC 9106 defines.
const VERSION: u32 = 0x13;
/// Bytes of a whole BLAKE2b hash.
const WHOLE: usize = 64;
/// How much of each hash goes into a long output.
const HALF: usize = WHOLE / 2;

/// H0: the hash of all inputs.
pub(super) fn digest_inputs(
    params: &Params,
    inputs: &Inputs<'_>,
    output_len: usize,
) -> Result<[u8; WHOLE], Error> {
    let mut digest = Blake2b512::new();
    digest.update(params.p_cost().to_le_bytes());
    digest.update(length(output_len)?);
    let numbers = [params.m_cost(), params.t_cost(), VERSION, TYPE];
    for number in numbers {
        digest.update(number.to_le_bytes());
    }
    for text in [inputs.password, inputs.salt, inputs.secret, params.data()] {
        digest.update(length(text.len())?);
        digest.update(text);
    }
    Ok(digest.finalize().into())
}

/// The first two blocks of each lane.
pub(super) fn write_first_blocks(
    memory: &mut [Block],
    shape: Shape,
    digest: &[u8; WHOLE],
) -> Result<(), Error> {
    for (lane, blocks) in (0_u32..).zip(memory.chunks_exact_mut(shape.lane)) {
        for (n, block) in (0_u32..2).zip(blocks) {
            let mut bytes = [0; size_of::<Block>()];
            hash_long(&[digest, &n.to_le_bytes(), &lane.to_le_bytes()], &mut bytes)?;
            for (word, bytes) in block.iter_mut().zip(bytes.as_chunks().0) {
                *word = u64::from_le_bytes(*bytes);
            }
        }
    }
    Ok(())
}

/// The hash of the XOR of the last blocks of all lanes.
pub(super) fn write_output(memory: &[Block], shape: Shape, output: &mut [u8]) -> Result<(), Error> {
    let mut sum: Block = [0; 128];
    for lane in memory.chunks_exact(shape.lane) {
        xor_into(&mut sum, &lane[shape.lane - 1]);
    }
    let mut bytes = [0; size_of::<Block>()];
    for (bytes, word) in bytes.as_chunks_mut().0.iter_mut().zip(sum) {
        *bytes = word.to_le_bytes();
    }
    hash_long(&[&bytes], output)
}

/// H', the hash of any length: halves of a chain of hashes, and a complete last one.
fn hash_long(inputs: &[&[u8]], mut output: &mut [u8]) -> Result<(), Error> {
    let length = length(output.len())?;
    let inputs = [&[&length[..]], inputs].concat();
    if output.len() <= WHOLE {
        return hash_short(&inputs, output);
    }
    let mut digest = Blake2b512::new();
    for input in &inputs {
        digest.update(input);
    }
    let mut whole = digest.finalize();
    loop {
        let (half, rest) = output.split_at_mut(HALF);
        half.copy_from_slice(&whole[..HALF]);
        if rest.len() <= WHOLE {
            return hash_short(&[&whole], rest);
        }
        whole = Blake2b512::digest(whole);
        output = rest;
    }
}

/// BLAKE2b of 1 to 64 bytes. The length is only known at run time, hence the low-level interface.
fn hash_short(inputs: &[&[u8]], output: &mut [u8]) -> Result<(), Error> {
    let mut core = Blake2bVarCore::new(output.len()).map_err(|_| Error::OutputTooShort)?;
    let mut buffer = LazyBuffer::default();
    for input in inputs {
        buffer.digest_blocks(input, |blocks| core.update_blocks(blocks));
    }
    let mut whole = Output::<Blake2bVarCore>::default();
    core.finalize_variable_core(&mut buffer, &mut whole);
    output.copy_from_slice(&whole[..output.len()]);
    Ok(())
}

fn length(length: usize) -> Result<[u8; 4], Error> {
    u32::try_from(length).map(u32::to_le_bytes).map_err(|_| Error::OutputTooLong)
}
