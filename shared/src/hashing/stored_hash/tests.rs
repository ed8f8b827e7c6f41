//! The vectors were made once by the tools that they name: Django 5.2.19, passlib 1.7.4, bcrypt 5.0.0 and
//! argon2-cffi 25.1.0 from PyPI. Firebase's is that of github.com/firebase/scrypt. Keycloak's were
//! computed with Python's hashlib in the lengths that Keycloak stores.

use secrecy::SecretString;

use super::super::{HashParams, Hasher, PasswordHash, Stored, Verification};
use super::*;
use crate::identity::Password;

const PASSWORD: &str = "correct horse \u{fc}n\u{ef}code";

/// Each with the form that is stored, if that is another one.
const VECTORS: [(&str, Option<&str>); 23] = [
    // Django
    (
        "pbkdf2_sha256$1000$seasalt2seasalt2$oMkgxn1LpFGlUpMR5MeLkww3LiTG+ABYZRIN1tcQ9+M=",
        Some(
            "$pbkdf2-sha256$i=1000$c2Vhc2FsdDJzZWFzYWx0Mg$oMkgxn1LpFGlUpMR5MeLkww3LiTG+ABYZRIN1tcQ9+M",
        ),
    ),
    (
        "pbkdf2_sha1$1000$seasalt2seasalt2$dCNqpDseKFgLvO7jDvfBzUNQYzw=",
        Some("$pbkdf2-sha1$i=1000$c2Vhc2FsdDJzZWFzYWx0Mg$dCNqpDseKFgLvO7jDvfBzUNQYzw"),
    ),
    (
        "scrypt$1024$seasalt2seasalt2$8$5$uD5PU7FCJo28u0nLrBHh2lc5VsGwVZQuFn6gzd0U5EAgtKJmErYTcXS/2uf2KtQtHIaFq/Q0Wk0pmJmQvHRUeg==",
        Some(
            "$scrypt$ln=10,r=8,p=5$c2Vhc2FsdDJzZWFzYWx0Mg$uD5PU7FCJo28u0nLrBHh2lc5VsGwVZQuFn6gzd0U5EAgtKJmErYTcXS/2uf2KtQtHIaFq/Q0Wk0pmJmQvHRUeg",
        ),
    ),
    ("bcrypt_sha256$$2b$04$cEhknw7.XgNDTwaJJ0JVVOLnHOFZDuQC5e3j6ljG1YZMSVWMmtgh.", None),
    (
        "bcrypt$$2b$04$f30J7Y7w2q990WovPSlHueXWtipMsMzOvLS0yF31Eis2ZcifP2gzG",
        Some("$2b$04$f30J7Y7w2q990WovPSlHueXWtipMsMzOvLS0yF31Eis2ZcifP2gzG"),
    ),
    (
        "argon2$argon2id$v=19$m=64,t=2,p=2$c2Vhc2FsdDJzZWFzYWx0Mg$LudIptKDq6KaRZrokkcZj7dLLf3CigztMqt6HM4e2/g",
        Some(
            "$argon2id$v=19$m=64,t=2,p=2$c2Vhc2FsdDJzZWFzYWx0Mg$LudIptKDq6KaRZrokkcZj7dLLf3CigztMqt6HM4e2/g",
        ),
    ),
    // Passlib
    (
        "$pbkdf2$1000$FSIkxNgbQ0iptXZurTWGkA$8M44muM.P9adO2k9bt31dW3j7Tk",
        Some("$pbkdf2-sha1$i=1000$FSIkxNgbQ0iptXZurTWGkA$8M44muM+P9adO2k9bt31dW3j7Tk"),
    ),
    (
        "$pbkdf2-sha256$1000$AYDwfk8JAcBYi7E2xhiDsA$Kma515Juib9MOMsBeX/l/w8taaOj0cvpOPrNcXvOuu8",
        Some(
            "$pbkdf2-sha256$i=1000$AYDwfk8JAcBYi7E2xhiDsA$Kma515Juib9MOMsBeX/l/w8taaOj0cvpOPrNcXvOuu8",
        ),
    ),
    (
        "$pbkdf2-sha512$1000$0fpfa81Z693bew9hzLn3Hg$RhXt0msDiiKJpdlWXC1tU4dcXo62sOukD7q1tkj2q7FQGDpOuVHpV7txmxwWuXzZX0DBxiydJMgvKigw77ij1A",
        Some(
            "$pbkdf2-sha512$i=1000$0fpfa81Z693bew9hzLn3Hg$RhXt0msDiiKJpdlWXC1tU4dcXo62sOukD7q1tkj2q7FQGDpOuVHpV7txmxwWuXzZX0DBxiydJMgvKigw77ij1A",
        ),
    ),
    (
        "$scrypt$ln=8,r=8,p=1$txZijBHinBOCEOK8NyZkTA$Gv798S/G0OpjgKawEiveW5rHaw22NO+QuXes7rfs8Cc",
        None,
    ),
    // bcrypt
    ("$2a$04$PV0pT/gCVl42Ffd2kCL4Gewf005xcI9KKlEHHYbZIqnuBS4nabLAS", None),
    ("$2b$04$Hl30jNHY8BZFZm9Jv2sBGO43BZGzviFiP8MKVB2jXjDky4/JMZVOu", None),
    // the same function, by the prefix of PHP and htpasswd
    ("$2y$04$D18Hkvh7ak7Fpmx9SQ48NOJ.gSD2JaRhxWl6BFxQ9R0m4PniUm0R.", None),
    // argon2-cffi
    ("$argon2d$v=16$m=64,t=2,p=1$c2Vhc2FsdDI$2c/WH3i4K51iH4BxJ67w0/4DLkr4zvlot64mU4vF5jE", None),
    ("$argon2d$v=19$m=64,t=2,p=1$c2Vhc2FsdDI$840QXx3Abg7ytKC0iN2tqdhY+mbdpju+2abi57nR+BM", None),
    ("$argon2i$v=16$m=64,t=2,p=1$c2Vhc2FsdDI$8g25dtc0FldPcZNlsuzVv9XQVUClba1+1btu/DobjXk", None),
    ("$argon2i$v=19$m=64,t=2,p=1$c2Vhc2FsdDI$BO9/hpPug2cu8skkffQ1z1OY1SGSXjzioCbXIS1C3wk", None),
    ("$argon2id$v=16$m=64,t=2,p=1$c2Vhc2FsdDI$HQx5SotVkKZ49IEz09VaSd4i4D94TjKN7017bU2jv8M", None),
    ("$argon2id$v=19$m=64,t=2,p=1$c2Vhc2FsdDI$/04C3bCip6vaxEqhBDYpEgHQjQaMOqou2F9M11y8wuI", None),
    ("$argon2id$v=19$m=128,t=3,p=4$c2Vhc2FsdDI$Af8t00LS72h/Br5DJB6x4A", None),
    // Keycloak
    (
        "$pbkdf2-sha256$i=1000$AQIDc2FsdCBvZiBrZXljbA$903HAbCn5LX4I19g8MdMJvCW34HXG2O4TnIT0M+mXJiD1BWIPOU7ZTZyhkcGZTtILxDw7bU07ZSX5lAhYCYoLg",
        None,
    ),
    (
        "$pbkdf2-sha512$i=1000$AQIDc2FsdCBvZiBrZXljbA$dJQiEVCPFY6NPH8hqIsLRdVp1NIpaLTPxxkSJZivKwhLPWu7LOdghVatvC8EslvjwsQMhM0CzVnu6XxADHoQ8Q",
        None,
    ),
    (
        "$pbkdf2-sha1$i=1000$AQIDc2FsdCBvZiBrZXljbA$OThYSZzmhilFMlz3OPXBnn8EWo96tEc+oe4oyiRn9KXUF5+43yyo+LnTNQk6Q0V+2n4NYL9M0cey8XAi9FZRIw",
        None,
    ),
];

fn password(text: &str) -> Password {
    Password::prepare(&SecretString::from(text)).unwrap()
}

fn verify(hasher: &mut Hasher, hash: &str, text: &str) -> Verification {
    let stored = Stored::Own(PasswordHash::take_over(hash).unwrap());
    hasher.verify(&password(text), &stored).unwrap()
}

fn hasher() -> Hasher {
    Hasher::new(HashParams { memory_kib: 64, iterations: 2, parallelism: 1 }).unwrap()
}

#[test]
fn hashes_of_other_tools_are_of_their_password_alone_and_are_renewed() {
    let mut hasher = hasher();
    for (hash, stored) in VECTORS {
        let taken = PasswordHash::take_over(hash).unwrap();
        assert_eq!(taken.expose_phc(), stored.unwrap_or(hash));
        assert_eq!(PasswordHash::take_over(taken.expose_phc()), Ok(taken), "taking over again");
        let right = verify(&mut hasher, hash, PASSWORD);
        // The salt of our own hashes may have any length.
        let is_ours = hash.starts_with("$argon2id$v=19$m=64,t=2,p=1$");
        assert_eq!(right, Verification::Right { is_outdated: !is_ours }, "{hash}");
        for wrong in ["", "correct horse unicode", "correct horse \u{fc}n\u{ef}code "] {
            assert_eq!(verify(&mut hasher, hash, wrong), Verification::Wrong, "{hash}");
        }
    }
}

#[test]
fn bcrypt_cuts_long_passwords_and_django_hashes_them_first() {
    let mut hasher = hasher();
    let cut = "$2b$04$oYiSCx1.Dq1pu1UquSfD.OiJRb5v.C0h6/YR1vGKPBZ5QDwOpgoPO";
    let whole = "bcrypt_sha256$$2b$04$/rdghi4VZd6l1vulrUd/1eeOGYjqs9wr5g2Z0i4tdcpfdu3Rcn5Ia";
    let right = Verification::Right { is_outdated: true };
    for (length, of_cut, of_whole) in [
        (71, Verification::Wrong, Verification::Wrong),
        (72, right, Verification::Wrong),
        (100, right, right),
        (101, right, Verification::Wrong),
    ] {
        let text = "x".repeat(length);
        assert_eq!(verify(&mut hasher, cut, &text), of_cut, "{length}");
        assert_eq!(verify(&mut hasher, whole, &text), of_whole, "{length}");
    }
}

#[test]
fn firebases_scrypt_needs_the_projects_parameters() {
    let hash = "$firebase-scrypt$ln=14,r=8,p=1$42xEC+ixf3L2lw==$Bw==\
        $jxspr8Ki0RYycVU8zykbdLGjFQ3McFUH0uiiTvC8pVMXAn210wjLNmdZJzxUECKbm0QsEmYUSDzZvpjeJ9WmXA==\
        $lSrfV15cpx95/sZS2W9c9Kp6i/LVgQNDNC/qzrCnh1SAyZvqmZqAjTdn3aoItz+VHjoZilo78198JAdRuid5lQ==";
    let mut hasher = hasher();
    let right = Verification::Right { is_outdated: true };
    assert_eq!(verify(&mut hasher, hash, "user1password"), right);
    assert_eq!(verify(&mut hasher, hash, "user2password"), Verification::Wrong);
    let other_project = hash.replace("$Bw==", "$Cw==");
    assert_eq!(verify(&mut hasher, &other_project, "user1password"), Verification::Wrong);
}

#[test]
fn the_cost_is_bounded_and_the_limit_is_told() {
    let argon2 = |cost: &str| format!("$argon2id$v=19${cost}$c2Vhc2FsdDI$/04C3bCip6vaxEqhBDYpEg");
    let bcrypt =
        |cost: &str| format!("$2b${cost}$oYiSCx1.Dq1pu1UquSfD.OiJRb5v.C0h6/YR1vGKPBZ5QDwOpgoPO");
    let scrypt = |cost: &str| format!("$scrypt${cost}$c2Vhc2FsdDI$/04C3bCip6vaxEqhBDYpEg");
    let pbkdf2 = |cost: &str| format!("$pbkdf2-sha256${cost}$c2Vhc2FsdDI$/04C3bCip6vaxEqhBDYpEg");
    for (accepted, refused, limit) in [
        (argon2("m=131072,t=8,p=1"), argon2("m=131073,t=1,p=1"), 131_072),
        (argon2("m=131072,t=8,p=4"), argon2("m=131072,t=9,p=4"), 1_048_576),
        (argon2("m=1024,t=1,p=64"), argon2("m=1024,t=1,p=65"), 64),
        (bcrypt("15"), bcrypt("16"), 15),
        (scrypt("ln=17,r=8,p=1"), scrypt("ln=18,r=8,p=1"), 128 * 1024 * 1024),
        (scrypt("ln=17,r=8,p=4"), scrypt("ln=17,r=8,p=5"), 4_194_304),
        (pbkdf2("i=2500000,l=16"), pbkdf2("i=2500001"), 2_500_000),
    ] {
        assert!(PasswordHash::take_over(&accepted).is_ok(), "{accepted}");
        let error = PasswordHash::take_over(&refused).unwrap_err();
        assert!(error.to_string().contains(&limit.to_string()), "{error}");
    }
}

#[test]
fn what_is_no_hash_is_refused_with_the_scheme_that_it_looks_like() {
    for (text, scheme) in [
        ("", ""),
        ("!", ""),
        ("correct horse", ""),
        ("$1$salt$qJH7.N4xYta3aEG/dfqo/0", ""),
        ("sha1$salt$0beec7b5ea3f0fdbc95d0dd47f3c5bc275da8a33", ""),
        ("$argon2id$", "Argon2"),
        ("$argon2id$v=19$m=64,t=1,p=1,keyid=Hj5+dsK0$c2Vhc2FsdDI$/04C3bCip6vaxEqhBDYpEg", "Argon2"),
        ("argon2$argon2id", "Argon2"),
        ("$2b$04$", "bcrypt"),
        ("$2x$04$oYiSCx1.Dq1pu1UquSfD.OiJRb5v.C0h6/YR1vGKPBZ5QDwOpgoPO", "bcrypt"),
        ("$2b$03$oYiSCx1.Dq1pu1UquSfD.OiJRb5v.C0h6/YR1vGKPBZ5QDwOpgoPO", "bcrypt"),
        ("$2b$+4$oYiSCx1.Dq1pu1UquSfD.OiJRb5v.C0h6/YR1vGKPBZ5QDwOpgoPO", "bcrypt"),
        ("$2b$04$oYiSCx1.Dq1pu1UquSfD.OiJRb5v.C0h6/YR1vGKPBZ5QDwOpgoP", "bcrypt"),
        ("$2b$04$oYiSCx1.Dq1pu1UquSfD.OiJRb5v.C0h6/YR1vGKPBZ5QDwOpgo\u{fc}", "bcrypt"),
        ("$pbkdf2-md5$1000$c2FsdA$/04C3bCip6vaxEqhBDYpEg", "PBKDF2"),
        ("$pbkdf2-sha256$0$c2FsdA$/04C3bCip6vaxEqhBDYpEg", "PBKDF2"),
        ("$pbkdf2-sha256$1000$c2FsdA$c2FsdA", "PBKDF2"),
        ("$pbkdf2-sha256$i=1000,l=32$c2FsdA$/04C3bCip6vaxEqhBDYpEg", "PBKDF2"),
        ("pbkdf2_sha256$1000$salt", "PBKDF2"),
        ("$scrypt$ln=16,r=8,p=1$c2FsdA$aGFzaA", "scrypt"),
        ("$scrypt$ln=16,r=0,p=1$c2FsdA$/04C3bCip6vaxEqhBDYpEg", "scrypt"),
        ("$scrypt$ln=300,r=8,p=1$c2FsdA$/04C3bCip6vaxEqhBDYpEg", "scrypt"),
        ("scrypt$1000$salt$8$1$/04C3bCip6vaxEqhBDYpEg", "scrypt"),
    ] {
        let error = PasswordHash::take_over(text).unwrap_err();
        let wanted = match scheme {
            "" => NotTakenOver::UnknownForm,
            scheme => NotTakenOver::Malformed(scheme),
        };
        assert_eq!(error, wanted, "{text:?}");
        assert!(text.is_empty() || !error.to_string().contains(text), "it may be a password");
    }
}
