//! The bills of materials of the binaries: `scripts/sbom.py`.

use std::path::PathBuf;
use std::process::{Command, Output};

use crate::contract_tools::{contracts, printed_by, python, repository};

const BINARIES: [&str; 3] = ["user_service", "auth_service", "standalone"];

fn check(files: &[PathBuf]) -> Output {
    python("python").arg(contracts("check_sbom.py")).args(files).output().unwrap()
}

#[test]
fn the_bill_of_materials_of_each_binary_is_valid_cyclonedx() {
    let directory = tempfile::tempdir().unwrap();
    let mut make = Command::new("/usr/bin/python3");
    make.current_dir(repository("")).arg("scripts/sbom.py").arg(directory.path()).args(BINARIES);
    printed_by(&mut make);
    let files = BINARIES.map(|binary| directory.path().join(format!("{binary}.cdx.json")));
    let checked = check(&files);
    assert!(checked.status.success(), "{checked:?}");
    let texts = files.each_ref().map(|file| std::fs::read_to_string(file).unwrap());
    for text in &texts {
        assert!(text.contains("\"pkg:cargo/actix-web@"), "it is linked");
        for other in ["proptest@", "ring@"] {
            let purl = format!("\"pkg:cargo/{other}");
            assert!(!text.contains(&purl), "{purl} is of tests, or of a feature that is off");
        }
    }

    let mistakes = [
        ("\"type\": \"library\"", "\"type\": \"crate\"", "'crate' is not one of"),
        ("\"expression\": \"MIT OR ", "\"expression\": \"MIT-9 OR ", "MIT-9"),
        ("\"bom-ref\": \"pkg:cargo/actix-web@", "\"bom-ref\": \"pkg:cargo/x@", "is not described"),
    ];
    for ((file, text), (good, bad, _)) in files.iter().zip(&texts).zip(mistakes) {
        std::fs::write(file, text.replacen(good, bad, 1)).unwrap();
    }
    let refused = check(&files);
    let told = String::from_utf8_lossy(&refused.stdout);
    assert!(!refused.status.success(), "{told}");
    for (file, (.., told_of)) in files.iter().zip(mistakes) {
        let is_told =
            |line: &str| line.starts_with(&*file.to_string_lossy()) && line.contains(told_of);
        assert!(told.lines().any(is_told), "{told_of} of {}: {told}", file.display());
    }
}
