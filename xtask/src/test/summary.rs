//! Counting passed, failed and skipped from what the test runners print.
//!
//! nextest's summary line and libtest's result line are the stable ones for people; the machine readable
//! forms of both are behind experimental switches. Whatever is neither passed nor skipped counts as failed,
//! so that a new kind of ending never goes unseen.

use std::fmt;
use std::ops::AddAssign;

/// How many of something passed, failed and were skipped.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) passed: usize,
    pub(crate) failed: usize,
    pub(crate) skipped: usize,
}

impl Tally {
    /// One check that passed or failed.
    pub(crate) fn check(passed: bool) -> Self {
        Self { passed: usize::from(passed), failed: usize::from(!passed), skipped: 0 }
    }

    /// The sum of two tallies.
    pub(crate) fn plus(self, other: Self) -> Self {
        Self {
            passed: self.passed + other.passed,
            failed: self.failed + other.failed,
            skipped: self.skipped + other.skipped,
        }
    }

    /// The same, but with at least one failure when the runner said that it failed.
    pub(crate) fn ended(self, success: bool) -> Self {
        if success || self.failed > 0 { self } else { Self { failed: 1, ..self } }
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        *self = self.plus(other);
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed, {} skipped", self.passed, self.failed, self.skipped)
    }
}

/// Reads `Summary [ 1.2s] 9/10 tests run: 7 passed (1 slow), 1 failed, 1 timed out, 2 skipped`.
pub(crate) fn of_nextest(line: &str) -> Option<Tally> {
    let line = without_colours(line);
    let (_, rest) = line.trim_start().strip_prefix("Summary [")?.split_once(']')?;
    let (run, endings) = rest.split_once(" run: ")?;
    let mut tally = Tally::default();
    for ending in without_parentheses(endings).split(',') {
        let (count, how) = ending.trim().split_once(' ')?;
        add(&mut tally, count.parse().ok()?, how.trim());
    }
    // `9/10 tests run`: a run that was cut short; what did not run did not pass.
    if let Some((done, all)) = run.split_whitespace().next()?.split_once('/') {
        tally.failed += all.parse::<usize>().ok()?.saturating_sub(done.parse().ok()?);
    }
    Some(tally)
}

/// Reads libtest's `test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; …`.
pub(crate) fn of_libtest(line: &str) -> Option<Tally> {
    let line = without_colours(line);
    let (_, endings) = line.strip_prefix("test result: ")?.split_once(". ")?;
    let mut tally = Tally::default();
    for ending in endings.split(';').take(5) {
        let (count, how) = ending.trim().split_once(' ')?;
        match how {
            "measured" => {}
            "ignored" | "filtered out" => add(&mut tally, count.parse().ok()?, "skipped"),
            how => add(&mut tally, count.parse().ok()?, how),
        }
    }
    Some(tally)
}

fn add(tally: &mut Tally, count: usize, how: &str) {
    match how {
        "passed" => tally.passed += count,
        "skipped" => tally.skipped += count,
        _ => tally.failed += count,
    }
}

fn without_parentheses(text: &str) -> String {
    let mut depth = 0_usize;
    let keep = |c: &char| {
        match c {
            '(' => depth += 1,
            ')' => {
                depth = depth.saturating_sub(1);
                return false;
            }
            _ => {}
        }
        depth == 0
    };
    text.chars().filter(keep).collect()
}

/// Without terminal colours, which a setting of the environment may force on.
fn without_colours(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    for (index, part) in line.split('\u{1b}').enumerate() {
        let plain = if index == 0 { part } else { part.split_once('m').map_or("", |(_, rest)| rest) };
        out.push_str(plain);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nextest(line: &str) -> (usize, usize, usize) {
        let Tally { passed, failed, skipped } = of_nextest(line).unwrap();
        (passed, failed, skipped)
    }

    #[test]
    fn a_summary_of_nextest_is_read() {
        assert_eq!(nextest("     Summary [   0.005s] 1 test run: 1 passed, 0 skipped"), (1, 0, 0));
        assert_eq!(
            nextest("Summary [  12.3s] 10 tests run: 8 passed (2 slow, 1 flaky), 2 failed, 3 skipped"),
            (8, 2, 3)
        );
        assert_eq!(nextest("     Summary [   0.000s] 0 tests run: 0 passed, 4 skipped"), (0, 0, 4));
    }

    #[test]
    fn every_other_ending_is_a_failure() {
        let line = "Summary [ 1s] 6 tests run: 1 passed, 1 failed (1 due to being leaky), 2 timed out, 2 exec failed, 0 skipped";

        assert_eq!(nextest(line), (1, 5, 0));
    }

    #[test]
    fn tests_that_a_cut_short_run_left_out_are_failures() {
        assert_eq!(nextest("Summary [ 1s] 3/10 tests run: 2 passed, 1 failed, 5 skipped"), (2, 8, 5));
    }

    #[test]
    fn colours_do_not_matter() {
        let line = "\u{1b}[32;1m     Summary\u{1b}[0m [ 0.1s] \u{1b}[1m2\u{1b}[0m tests run: \u{1b}[1m2\u{1b}[0m passed, 0 skipped";

        assert_eq!(nextest(line), (2, 0, 0));
    }

    #[test]
    fn other_lines_are_no_summary() {
        for line in ["", "Summary", "        PASS [ 0.1s] a::b", "Summary [ 1s] all run: many passed"] {
            assert_eq!(of_nextest(line), None, "{line}");
        }
    }

    #[test]
    fn a_result_of_libtest_is_read() {
        let line = "test result: FAILED. 3 passed; 2 failed; 1 ignored; 0 measured; 4 filtered out; finished in 0.00s";

        assert_eq!(of_libtest(line), Some(Tally { passed: 3, failed: 2, skipped: 5 }));
        assert_eq!(of_libtest("test a ... ok"), None);
    }

    #[test]
    fn a_runner_that_failed_without_a_count_is_one_failure() {
        let passed = Tally { passed: 3, ..Tally::default() };

        assert_eq!(passed.ended(true).failed, 0);
        assert_eq!(passed.ended(false).failed, 1);
        assert_eq!(Tally { failed: 2, ..passed }.ended(false).failed, 2);
    }
}
