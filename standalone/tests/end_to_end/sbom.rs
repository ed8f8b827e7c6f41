//! The bills of materials of the binaries: `scripts/sbom.py`.

use std::path::Path;
use std::process::{Command, Output};

use crate::contract_tools::{contracts, printed_by, python, repository};

const BINARIES: [&str; 3] = ["user_service", "auth_service", "standalone"];

fn check(file: &Path) -> Output {
    python("python").arg(contracts("check_sbom.py")).arg(file).output().unwrap()
}

#[test]
fn the_bill_of_materials_of_each_binary_is_valid_cyclonedx() {
    let directory = tempfile::tempdir().unwrap();
    let mut make = Command::new("/usr/bin/python3");
    make.current_dir(repository("")).arg("scripts/sbom.py").arg(directory.path()).args(BINARIES);
    printed_by(&mut make);
    for binary in BINARIES {
        let file = directory.path().join(format!("{binary}.cdx.json"));
        let checked = check(&file);
        assert!(checked.status.success(), "{binary}: {checked:?}");
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(text.contains("pkg:cargo/actix-web@"), "it is linked");
        for other in ["proptest@", "ring@"] {
            let purl = format!("pkg:cargo/{other}");
            assert!(!text.contains(&purl), "{purl} is of tests, or of a feature that is off");
        }
    }

    let file = directory.path().join("standalone.cdx.json");
    let text = std::fs::read_to_string(&file).unwrap();
    for (good, bad, told) in [
        ("\"type\": \"library\"", "\"type\": \"crate\"", "crate"),
        (
            "\"expression\": \"MIT OR Apache-2.0\"",
            "\"expression\": \"MIT OR Apache-9\"",
            "Apache-9",
        ),
        (
            "\"bom-ref\": \"pkg:cargo/actix-web@",
            "\"bom-ref\": \"pkg:cargo/other@",
            "is not described",
        ),
    ] {
        std::fs::write(&file, text.replacen(good, bad, 1)).unwrap();
        let refused = check(&file);
        let why = String::from_utf8_lossy(&refused.stdout);
        assert!(!refused.status.success() && why.contains(told), "{bad}: {why}");
    }
}
