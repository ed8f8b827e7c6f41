//! What is wrong with a database.

use serde::{Deserialize, Serialize};

/// How many findings of a kind are told one by one: a lost table would fill the screen.
const TOLD: usize = 10;

/// One thing that is wrong, and what would repair it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// What is wrong.
    pub problem: String,
    /// What an operator can do about it.
    pub repair: String,
}

impl Finding {
    /// The finding of these two sentences.
    pub fn new(problem: impl Into<String>, repair: &str) -> Self {
        Self { problem: problem.into(), repair: repair.to_owned() }
    }
}

/// Collects findings. Those with the same repair are of one kind, and of many of a kind only the first
/// are told, and how many there are.
#[derive(Debug, Default)]
pub struct Findings(Vec<(Finding, usize)>);

impl Findings {
    /// Adds one.
    pub fn add(&mut self, problem: impl Into<String>, repair: &str) {
        let of_kind = self.0.iter_mut().filter(|(told, _)| told.repair == repair);
        let (mut told, mut last) = (0, None);
        for kept in of_kind {
            told += 1;
            last = Some(kept);
        }
        match last {
            Some((_, more)) if told == TOLD => *more += 1,
            _ => self.0.push((Finding::new(problem, repair), 0)),
        }
    }

    /// In the order in which they were found.
    pub fn into_vec(self) -> Vec<Finding> {
        let with_rest = |(mut finding, more): (Finding, usize)| {
            if more > 0 {
                finding.problem = format!("{}, and {more} more like this", finding.problem);
            }
            finding
        };
        self.0.into_iter().map(with_rest).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_many_findings_of_a_kind_the_first_are_told_and_the_rest_counted() {
        let mut findings = Findings::default();
        for n in 1..=12 {
            findings.add(format!("user {n} is wrong"), "repair the users");
        }
        findings.add("the log is wrong", "repair the log");
        let told = findings.into_vec();
        assert_eq!(told.len(), 11);
        assert_eq!(told[9].problem, "user 10 is wrong, and 2 more like this");
        assert_eq!(told[10], Finding::new("the log is wrong", "repair the log"));
    }
}
