//! The core agrees with the RFC and with the `argon2` crate, on every engine that this processor
//! supports.

use argon2::{Algorithm, Argon2, AssociatedData, ParamsBuilder, Version};
use proptest::prelude::*;

use super::*;

fn hash(engine: Engine, params: &Params, inputs: &Inputs<'_>, output_len: usize) -> Vec<u8> {
    let mut output = vec![0; output_len];
    let mut memory = Memory::new(params.block_count()).unwrap();
    hash_into(engine, memory.blocks(), params, inputs, &mut output).unwrap();
    output
}

/// Section 5.3.
#[test]
fn every_engine_gives_the_tag_of_rfc_9106() {
    let mut builder = ParamsBuilder::new();
    builder.m_cost(32).t_cost(3).p_cost(4).data(AssociatedData::new(&[4; 12]).unwrap());
    let params = builder.build().unwrap();
    let inputs = Inputs { password: &[1; 32], salt: &[2; 16], secret: &[3; 8] };
    let tag = "0d640df58d78766c08c037a34a8b53c9d01ef0452d75b65eb52520e96b01e659";
    for engine in Engine::available() {
        println!("engine: {engine}");
        let output = hash(engine, &params, &inputs, 32);
        assert_eq!(data_encoding::HEXLOWER.encode(&output), tag, "{engine}");
    }
}

#[test]
fn the_engine_that_is_picked_is_the_first_of_those_that_are_there() {
    assert_eq!(Engine::detect().to_string(), Engine::available()[0].to_string());
}

#[test]
fn too_little_memory_and_a_short_salt_are_errors() {
    let params = Params::new(64, 1, 1, None).unwrap();
    let mut memory = Memory::new(63).unwrap();
    let mut hash = |salt| {
        let inputs = Inputs { password: b"testpassword", salt, secret: b"" };
        hash_into(Engine::Portable, memory.blocks(), &params, &inputs, &mut [0; 32])
    };
    assert_eq!(hash(b"saltsalt"), Err(Error::MemoryTooLittle));
    assert_eq!(hash(b"saltsal"), Err(Error::SaltTooShort));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn every_engine_gives_what_the_argon2_crate_gives(
        parallelism in 1_u32..=4,
        blocks in 8_u32..=300,
        iterations in 1_u32..=3,
        password in proptest::collection::vec(any::<u8>(), 0..200),
        salt in proptest::collection::vec(any::<u8>(), 8..100),
        output_len in 4_usize..200,
    ) {
        let memory_kib = blocks.max(8 * parallelism);
        let params = Params::new(memory_kib, iterations, parallelism, Some(output_len)).unwrap();
        let mut expected = vec![0; output_len];
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params.clone())
            .hash_password_into(&password, &salt, &mut expected)
            .unwrap();
        let inputs = Inputs { password: &password, salt: &salt, secret: &[] };
        for engine in Engine::available() {
            prop_assert_eq!(&hash(engine, &params, &inputs, output_len), &expected, "{}", engine);
        }
    }
}
