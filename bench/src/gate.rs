//! The performance gate: the number of instructions of the hot paths, which other load on the
//! machine does not change.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use crate::hot_paths::HotPath;

/// How often a path is run: the difference of the counts excludes start and stop.
const FEW: u64 = 500;
const MANY: u64 = 2_500;
/// How much a count may differ from the recorded one.
const TOLERANCE: f64 = 0.05;

/// Counts, and either compares with the counts in `file` or records them there.
pub(crate) fn run(file: &Path, record: bool) -> ExitCode {
    let counted = HotPath::ALL.map(|path| (path.name().to_owned(), instructions(path)));
    if record {
        let counted = BTreeMap::from(counted);
        let text = serde_json::to_string_pretty(&counted).unwrap();
        fs::write(file, text + "\n").unwrap();
        println!("recorded in {}", file.display());
        return ExitCode::SUCCESS;
    }
    let text = fs::read_to_string(file).expect("the recorded counts: record them with --record");
    let recorded: BTreeMap<String, u64> = serde_json::from_str(&text).unwrap();
    let mut failed = 0;
    println!("{:<24} {:>10} {:>10} {:>8}", "instructions of", "recorded", "counted", "change");
    for (name, count) in &counted {
        let Some(before) = recorded.get(name) else { panic!("{name} is not recorded") };
        let change = *count as f64 / *before as f64 - 1.0;
        let is_bad = change.abs() > TOLERANCE;
        failed += u32::from(is_bad);
        let mark = if is_bad { " !" } else { "" };
        println!("{name:<24} {before:>10} {count:>10} {:>+7.1}%{mark}", change * 100.0);
    }
    println!("{} passed, {failed} failed", counted.len() - failed as usize);
    if failed > 0 {
        println!("a change for the better is recorded with --record, too: it is the next bound");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

fn instructions(path: HotPath) -> u64 {
    let [few, many] = [FEW, MANY].map(|times| collected(path, times));
    (many - few) / (MANY - FEW)
}

/// What callgrind counts while this binary runs the path this many times.
fn collected(path: HotPath, times: u64) -> u64 {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(std::env::current_exe().unwrap())
        .args(["hot-path", path.name(), &times.to_string()])
        .stdin(Stdio::null())
        .output()
        .expect("valgrind can be started: apt-get install valgrind");
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{} under valgrind: {text}", path.name());
    let line = text.lines().find_map(|line| line.split_once("Collected : "));
    line.and_then(|(_, count)| count.trim().parse().ok()).expect("callgrind tells its count")
}
