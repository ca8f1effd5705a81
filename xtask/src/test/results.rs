//! What the test runners say, as counts.

use serde_json::Value;

use super::skips::Skip;
use crate::Result;

/// Stands for a test that passed, and whose name was lost in what tests print.
pub(crate) const UNNAMED: &str = "(unnamed)";

/// The outcome of a run.
#[derive(Debug, Default)]
pub(crate) struct Results {
    /// The names of the tests that passed, as far as the runner gives them.
    pub(crate) passed: Vec<String>,
    pub(crate) failed: Vec<String>,
    pub(crate) skipped: Vec<Skip>,
}

impl Results {
    /// How many tests ran and passed.
    pub(super) fn passed(&self) -> usize {
        self.passed.len()
    }

    /// Adds the results of another runner.
    pub(crate) fn add(&mut self, other: Self) {
        self.passed.extend(other.passed);
        self.failed.extend(other.failed);
        self.skipped.extend(other.skipped);
    }

    /// Adds the results of the VM lane, whose tests have the names they have here: what it ran is not skipped,
    /// and what ran in both places counts once.
    pub(super) fn take_lane(&mut self, lane: Self) {
        let ran = |results: &Self, test: &str| {
            results.passed.iter().chain(&results.failed).any(|other| same_test(other, test))
        };
        for test in lane.passed {
            self.skipped.retain(|skip| !same_test(&skip.test, &test));
            if !ran(self, &test) {
                self.passed.push(test);
            }
        }
        for skip in lane.skipped {
            let known = self.skipped.iter().any(|other| same_test(&other.test, &skip.test));
            if !known && !ran(self, &skip.test) {
                self.skipped.push(skip);
            }
        }
        self.failed.extend(lane.failed.into_iter().map(|name| format!("in the VM: {name}")));
    }

    /// Counts `skips` as skipped. To the runner such a test has passed: it returned without a complaint.
    pub(crate) fn take_skips(&mut self, skips: &[Skip]) {
        for skip in skips {
            if let Some(at) = self.passed.iter().position(|passed| same_test(passed, &skip.test)) {
                self.passed.swap_remove(at);
            }
            self.skipped.push(skip.clone());
        }
    }
}

/// Whether two test paths are of one test; either may have the crate or module before it.
pub(super) fn same_test(one: &str, other: &str) -> bool {
    let ends = |long: &str, short: &str| {
        long.strip_suffix(short).is_some_and(|rest| rest.is_empty() || rest.ends_with("::"))
    };
    ends(one, other) || ends(other, one)
}

/// Reads nextest's JUnit report: each `<testcase>` passed unless a `<failure>` or `<error>` stands in it.
pub(super) fn of_junit(xml: &str) -> Result<Results> {
    let mut results = Results::default();
    for case in xml.split("<testcase ").skip(1) {
        let name = attribute(case, "name").ok_or("nextest's report has a test without a name")?;
        let case = case.split("</testcase>").next().unwrap_or(case);
        // Only this element's own children: an empty element has none.
        let tag_end = case.find('>').unwrap_or(case.len());
        let is_empty = case[..tag_end].ends_with('/');
        if !is_empty && (case.contains("<failure") || case.contains("<error")) {
            results.failed.push(name);
        } else {
            results.passed.push(name);
        }
    }
    Ok(results)
}

fn attribute(element: &str, name: &str) -> Option<String> {
    let start = element.find(&format!("{name}=\""))? + name.len() + 2;
    let value = element[start..].split('"').next()?;
    let value = value.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"");
    Some(value.replace("&apos;", "'").replace("&amp;", "&"))
}

/// The tests marked `#[ignore]` in `cargo nextest list --message-format json` that the filter would have run.
pub(super) fn ignored_of_list(json: &str) -> Result<Vec<Skip>> {
    let list: Value = serde_json::from_str(json).map_err(|error| format!("nextest's list: {error}"))?;
    let mut skips = Vec::new();
    for suite in list["rust-suites"].as_object().into_iter().flat_map(serde_json::Map::values) {
        for (name, case) in suite["testcases"].as_object().into_iter().flatten() {
            // A test that does not match the filter for its name was not asked for.
            let by_name = case["filter-match"]["reason"].as_str().is_none_or(|reason| reason == "ignored");
            if case["ignored"] == Value::Bool(true) && by_name {
                skips.push(Skip { test: name.clone(), reason: "marked #[ignore]".into() });
            }
        }
    }
    Ok(skips)
}

/// Reads what libtest (and libtest-mimic) prints: one `test NAME ... OUTCOME` line for each test.
pub(crate) fn of_libtest(text: &str) -> Results {
    let mut results = Results::default();
    let (mut passed, mut failed) = (0, 0);
    // A test that printed something before it ended: its outcome stands on a later line.
    let mut torn: Option<&str> = None;
    for line in text.lines() {
        if let Some(counts) = line.strip_prefix("test result: ") {
            passed += count(counts, "passed");
            failed += count(counts, "failed");
            continue;
        }
        let begun = line.strip_prefix("test ").and_then(|rest| rest.split_once(" ... "));
        let (name, outcome) = match (begun, torn) {
            (Some((name, outcome)), _) => (name.trim_end(), outcome),
            (None, Some(name)) => (name, line),
            (None, None) => continue,
        };
        torn = match outcome.split([',', ' ']).next() {
            Some("ok") if outcome == "ok" => {
                results.passed.push(name.to_owned());
                None
            }
            Some("FAILED") if outcome == "FAILED" => {
                results.failed.push(name.to_owned());
                None
            }
            Some("ignored") => {
                results.skipped.push(Skip { test: name.to_owned(), reason: outcome.to_owned() });
                None
            }
            _ => Some(name),
        };
    }
    // What even so has no name: the summary's counts are whole.
    let unnamed = |count: usize, names: &[String]| count.saturating_sub(names.len());
    for _ in 0..unnamed(passed, &results.passed) {
        results.passed.push(UNNAMED.into());
    }
    for _ in 0..unnamed(failed, &results.failed) {
        results.failed.push("(unnamed; see above)".into());
    }
    results
}

/// The number before `word` in `ok. 3 passed; 0 failed; ...`.
fn count(counts: &str, word: &str) -> usize {
    let parts = counts.split([';', '.']).map(str::trim);
    parts.filter_map(|part| part.strip_suffix(word)?.trim().parse().ok()).next().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::{Results, Skip, ignored_of_list, of_junit, of_libtest};

    fn counts(results: &Results) -> (usize, usize, usize) {
        (results.passed(), results.failed.len(), results.skipped.len())
    }

    #[test]
    fn junit_failures_and_errors_are_failures() {
        let xml = r#"<testsuites name="x" tests="4"><testsuite name="a">
            <testcase name="good" classname="a" time="0.1"/>
            <testcase name="bad&lt;T&gt;" classname="a"><failure type="test failure"/></testcase>
            <testcase name="loud" classname="a"><system-out>fine</system-out></testcase>
            <testcase name="gone" classname="a"><error type="exec"/></testcase></testsuite></testsuites>"#;
        let results = of_junit(xml).expect("it reads");
        assert_eq!(results.failed, ["bad<T>", "gone"]);
        assert_eq!(results.passed, ["good", "loud"]);
        assert_eq!(counts(&of_junit("").expect("no report, no tests")), (0, 0, 0));
    }

    #[test]
    fn libtest_lines_and_torn_lines_are_counted() {
        let text = "running 4 tests\ntest a::b ... ok\ntest c - doc (line 3) ... ok\ntest d ... FAILED\ntest e ... ignored, slow\nnoise test f ... ok\ntest result: FAILED. 3 passed; 1 failed; 1 ignored; 0 measured; 0 filtered out\n";
        let results = of_libtest(text);
        assert_eq!(counts(&results), (3, 1, 1));
        assert_eq!(results.failed, ["d"]);
        // Names are padded by libtest-mimic, and tests in its one thread print behind their names.
        let text = "test a   ... skipped: a: no ... loop\nignored, no loop\ntest bb  ... hello\nok then\nok\ntest ccc ... FAILED\n";
        let results = of_libtest(text);
        assert_eq!(results.passed, ["bb"]);
        assert_eq!(results.failed, ["ccc"]);
        assert_eq!(results.skipped, [Skip { test: "a".into(), reason: "ignored, no loop".into() }]);
    }

    #[test]
    fn a_skip_is_not_a_pass() {
        let mut results = of_libtest("test a::b ... ok\ntest c ... ok\n");
        let skip = |test: &str| Skip { test: test.into(), reason: "why".into() };
        results.take_skips(&[skip("hull_x::a::b"), skip("part of another test")]);
        assert_eq!(counts(&results), (1, 0, 2));
        assert_eq!(results.passed, ["c"]);
    }

    #[test]
    fn what_the_lane_ran_is_not_skipped_and_counts_once() {
        let skip = |test: &str| Skip { test: test.into(), reason: "why".into() };
        let mut here = of_libtest("test both ... ok\ntest bad ... FAILED\n");
        here.skipped = ["x::vm", "nowhere"].map(skip).to_vec();
        let mut lane =
            of_libtest("test both ... ok\ntest vm ... ok\ntest alone ... ok\ntest worse ... FAILED\n");
        lane.skipped = ["nowhere", "both", "bad", "new"].map(skip).to_vec();
        here.take_lane(lane);
        assert_eq!(here.passed, ["both", "vm", "alone"]);
        assert_eq!(here.failed, ["bad", "in the VM: worse"]);
        assert_eq!(here.skipped, ["nowhere", "new"].map(skip));
    }

    #[test]
    fn ignored_tests_are_skips_unless_the_filter_left_them_out() {
        let json = r#"{"rust-suites":{"a":{"testcases":{
            "one":{"ignored":true,"filter-match":{"status":"mismatch","reason":"ignored"}},
            "two":{"ignored":true,"filter-match":{"status":"mismatch","reason":"string"}},
            "three":{"ignored":false,"filter-match":{"status":"matches"}}}}}}"#;
        let skips = ignored_of_list(json).expect("it reads");
        assert_eq!(skips.iter().map(|skip| skip.test.as_str()).collect::<Vec<_>>(), ["one"]);
    }
}
