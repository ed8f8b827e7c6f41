use super::*;

const KID: KeyId = KeyId([7; 32]);

fn life(exp_s: i64) -> TokenLife {
    TokenLife { kid: KID, exp_s }
}

fn one_of_each() -> Vec<TokenRecord> {
    let trade = |idempotency_hash| {
        let (jti, sid) = (TokenId([1; 16]), TokenId([2; 16]));
        TokenRecord::TokenTraded(Box::new(Trade {
            jti,
            sid,
            idempotency_hash,
            old: life(5),
            new: life(9),
        }))
    };
    let key = |algorithm: SigningAlgorithm| {
        TokenRecord::KeyPublished(Box::new(PublishedKey {
            until_s: 3,
            signs_from_s: 1,
            lifetime_s: 900,
            kid: KID,
            algorithm,
            public_key: vec![8; algorithm.public_key_length()],
        }))
    };
    vec![
        TokenRecord::SessionRevoked { sid: TokenId([1; 16]), ended_with: life(-5) },
        trade(None),
        trade(Some([0; 16])),
        key(SigningAlgorithm::EdDsa),
        key(SigningAlgorithm::Es256),
        TokenRecord::KeyKilled { kid: KID },
    ]
}

#[test]
fn a_record_is_read_back_from_its_bytes_and_from_no_others() {
    for record in one_of_each() {
        let bytes = record.to_bytes();
        assert_eq!(TokenRecord::from_bytes(&bytes), Ok(record.clone()));
        for cut in 0..bytes.len() {
            assert_eq!(TokenRecord::from_bytes(&bytes[..cut]), Err(TokenRecordError::Malformed));
        }
        let longer = [&bytes[..], &[0]].concat();
        assert_eq!(TokenRecord::from_bytes(&longer), Err(TokenRecordError::Malformed));
        // Any other input that can be read has exactly this spelling.
        for n in 1..bytes.len() {
            let mut changed = bytes.clone();
            changed[n] ^= 0x41;
            if let Ok(other) = TokenRecord::from_bytes(&changed) {
                assert_eq!(other.to_bytes(), changed);
            }
        }
    }
    assert_eq!(TokenRecord::from_bytes(&[9, 1]), Err(TokenRecordError::UnknownKind(9)));
}

#[test]
fn the_bytes_of_a_record_never_change() {
    // They are stored on disks and their hashes are compared between versions.
    let lines: Vec<String> =
        one_of_each().iter().map(|record| HEXLOWER.encode(&record.to_bytes())).collect();
    let kid = "07".repeat(32);
    let both_tokens = format!("{kid}0000000000000005{kid}0000000000000009");
    let tokens = format!("{}{}", "01".repeat(16), "02".repeat(16));
    let times = "000000000000000100000000000000030000000000000384";
    assert_eq!(lines[0], format!("01{}{kid}fffffffffffffffb", "01".repeat(16)));
    assert_eq!(lines[1], format!("02{tokens}00{}{both_tokens}", "00".repeat(16)));
    assert_eq!(lines[2], format!("02{tokens}01{}{both_tokens}", "00".repeat(16)));
    assert_eq!(lines[3], format!("0301{kid}{times}{}", "08".repeat(32)));
    assert_eq!(lines[4], format!("0302{kid}{times}{}", "08".repeat(64)));
    assert_eq!(lines[5], format!("04{kid}"));
}

#[test]
fn an_id_has_one_spelling() {
    let id = TokenId([0xfb; 16]);
    assert_eq!(TokenId::parse(&id.to_string()), Some(id));
    let other_last_bits = format!("{}x", &id.to_string()[..21]);
    for bad in ["", "-_v7", &format!("{id}="), &format!("{id}A"), &other_last_bits] {
        assert_eq!(TokenId::parse(bad), None, "{bad}");
    }
}

#[test]
fn a_horizon_is_only_ever_raised() {
    let mut horizons = Horizons::default();
    assert!(!horizons.covers(&life(0)));
    assert!(horizons.raise(life(5)));
    assert!(!horizons.raise(life(4)));
    assert!(horizons.covers(&life(5)) && !horizons.covers(&life(6)));
    assert!(!horizons.covers(&TokenLife { kid: KeyId([0; 32]), exp_s: 5 }));
    assert_eq!(horizons.iter().collect::<Vec<_>>(), [life(5)]);
}
