//! What a guest says, line by line, and what to make of it: results, and every way not to have any.

use super::targets::Program;
use crate::Result;
use crate::test::results::{Results, UNNAMED, of_libtest};
use crate::test::skips;

/// What timeout(1) exits with when it had to stop a program, and when it had to kill it.
const OVER_TIME: &[i32] = &[124, 137];

/// How the suite says that a case has nothing to test for a driver, which is not a skip.
const DOES_NOT_APPLY: &str = "ignored (does not apply";

/// The lines of one machine.
#[derive(Debug)]
pub(super) struct Report<'a> {
    programs: &'a [Program],
    results: Results,
    /// The program it was told to run, and has not begun.
    asked: Option<usize>,
    /// The program whose lines are coming, and what it said.
    current: Option<(usize, Said)>,
    done: bool,
}

/// What a program printed and recorded.
#[derive(Debug, Default)]
struct Said {
    text: String,
    skips: String,
}

/// What a line means for who watches.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Heard<'l> {
    /// The guest can run tests, and waits to be told which.
    Ready,
    /// A program began, the number of the manifest's line.
    Begun(usize),
    /// It printed this.
    Text(&'l str),
    /// It ended after so many seconds, and the guest waits for the next.
    Ended(&'l str),
    /// Nothing of interest.
    Noise,
    /// It was told that there is no more.
    Done,
}

impl<'a> Report<'a> {
    pub(super) fn new(programs: &'a [Program]) -> Self {
        Self { programs, results: Results::default(), asked: None, current: None, done: false }
    }

    /// Notes that the guest was told to run the program `number`.
    pub(super) fn asked(&mut self, number: usize) {
        self.asked = Some(number);
    }

    /// Takes the next line of the guest's.
    pub(super) fn take<'l>(&mut self, line: &'l str) -> Result<Heard<'l>> {
        if let (Some(text), Some((_, said))) = (line.strip_prefix('|'), &mut self.current) {
            said.text.push_str(text);
            said.text.push('\n');
            return Ok(Heard::Text(text));
        }
        let Some((word, rest)) =
            line.strip_prefix('#').map(|rest| rest.split_once(' ').unwrap_or((rest, "")))
        else {
            return Ok(Heard::Noise);
        };
        match (word, &mut self.current) {
            ("ready", None) => Ok(Heard::Ready),
            ("begin", None) => {
                let asked = self.asked.take_if(|number| rest.parse() == Ok(*number));
                let number = asked.ok_or_else(|| format!("the guest began a program unasked: {line:?}"))?;
                self.current = Some((number, Said::default()));
                Ok(Heard::Begun(number))
            }
            ("skip", Some((_, said))) => {
                said.skips.push_str(rest);
                said.skips.push('\n');
                Ok(Heard::Noise)
            }
            ("end", Some((number, said))) => {
                let words: Vec<&str> = rest.split(' ').collect();
                let [_, status, seconds] = words[..] else {
                    return Err(format!("the guest's line cannot be read: {line:?}"));
                };
                let status =
                    status.parse().map_err(|_| format!("the guest's line cannot be read: {line:?}"))?;
                self.results.add(of_program(&self.programs[*number], said, Some(status))?);
                self.current = None;
                Ok(Heard::Ended(seconds))
            }
            ("done", None) => {
                self.done = true;
                Ok(Heard::Done)
            }
            _ => Err(format!("the guest said this out of turn: {line:?}")),
        }
    }

    /// All results, when nothing more will come. What it was to run and did not has failed, for the reason `why`.
    pub(super) fn finish(mut self, why: &str) -> Result<Results> {
        if let Some((number, said)) = self.current.take() {
            let program = &self.programs[number];
            let results = of_program(program, &said, None)?;
            self.results.add(results);
            self.results.failed.push(format!("{}: {why}", program.target.name()));
        } else if !self.done {
            self.results.failed.push(format!("the VM lane: {why}"));
        }
        self.results.failed.extend(self.asked.map(|number| did_not_run(&self.programs[number], why)));
        Ok(self.results)
    }
}

/// The complaint of a program that no guest began.
pub(super) fn did_not_run(program: &Program, why: &str) -> String {
    format!("{}: did not run: {why}", program.target.name())
}

/// The results of one program; a `status` of `None` is of one that never ended.
fn of_program(program: &Program, said: &Said, status: Option<i32>) -> Result<Results> {
    let name = program.target.name();
    let mut results = of_libtest(&said.text);
    let skipped = skips::recorded(&said.skips)?;
    // A skip is both recorded and, by libtest-mimic, ignored; the record's reason is the better one.
    let (inapplicable, ignored) =
        results.skipped.drain(..).partition::<Vec<_>, _>(|skip| skip.reason.starts_with(DOES_NOT_APPLY));
    results.passed.extend(inapplicable.into_iter().map(|skip| skip.test));
    let recorded = |test: &String| skipped.iter().any(|skip| skip.test == *test);
    results.skipped = ignored.into_iter().filter(|skip| !recorded(&skip.test)).collect();
    results.take_skips(&skipped);

    let named = |test: &String| {
        let skipped = results.skipped.iter().any(|skip| skip.test == *test);
        skipped || results.passed.contains(test) || results.failed.contains(test)
    };
    let missing: Vec<String> = program.cases.iter().filter(|case| !named(case)).cloned().collect();
    let unnamed = results.passed.iter().filter(|test| *test == UNNAMED).count();
    if !missing.is_empty() && missing.len() == unnamed {
        // Their lines were torn apart by what tests print; the summary's counts are whole.
        results.passed.retain(|test| test != UNNAMED);
        results.passed.extend(missing);
    } else {
        // After one that hung come all that it kept from running: the first tells most.
        let more = match missing.len() {
            0 | 1 => String::new(),
            count => format!(", nor have {} more", count - 1),
        };
        results.failed.extend(missing.first().map(|case| format!("{case}: it has no result{more}")));
    }
    for failed in &mut results.failed {
        *failed = format!("{name}: {failed}");
    }
    let summed_up = said.text.lines().any(|line| line.starts_with("test result: "));
    let complaint = match status {
        None => None,
        Some(status) if OVER_TIME.contains(&status) && !summed_up => {
            Some("it did not end in its time".into())
        }
        Some(status) if !summed_up => Some(format!("it ended without a summary (status {status})")),
        Some(0) => None,
        Some(status) => results.failed.is_empty().then(|| format!("it ended with status {status}")),
    };
    results.failed.extend(complaint.map(|complaint| format!("{name}: {complaint}")));
    if said.text.contains("`GLIBC_") && said.text.contains("not found") {
        results.failed.push(format!(
            "{name}: the guest's glibc is older than the one here; build on Debian {}",
            super::recipe::SUITE
        ));
    }
    if program.cases.is_empty() {
        results
            .failed
            .push(format!("{name}: it has no tests; its line in {} is wrong", super::targets::LIST));
    }
    Ok(results)
}

#[cfg(test)]
mod tests {
    use super::{Heard, Report};
    use crate::vm::targets::{Program, Target};

    fn program(test: &str, cases: &[&str]) -> Program {
        let target = Target { package: "p".into(), test: test.into(), arguments: Vec::new() };
        let cases = cases.iter().map(|&case| case.to_owned()).collect();
        Program { target, file: "/o/t".into(), folder: "/src".into(), cases }
    }

    /// What comes of `lines`: passed, failed, skipped. A line `asked NUMBER` is what the guest was told and did not begin.
    fn outcome(programs: &[Program], lines: &str) -> [Vec<String>; 3] {
        let mut report = Report::new(programs);
        for line in lines.lines() {
            let told = ["asked ", "#begin "].iter().find_map(|word| line.strip_prefix(word));
            if let Some(number) = told {
                report.asked(number.parse().expect("a number"));
            }
            report.take(line).expect("it reads");
        }
        let results = report.finish("the power went").expect("it reads");
        let skipped = results.skipped.into_iter().map(|skip| format!("{}: {}", skip.test, skip.reason));
        [results.passed, results.failed, skipped.collect()]
    }

    const GOOD: &str = "#ready\n#begin 0\n|running 3 tests\n|test a ... ok\n|test b ... skipped: b: no\n|ignored (no)\n|test c ... ignored (does not apply: x)\n|test result: ok. 1 passed; 0 failed\n\n#skip skipped: b: no\n#end 0 0 4\n";

    #[test]
    fn a_good_run_passes_and_counts_its_skips() {
        let programs = [program("t", &["a", "b", "c"])];
        let [passed, failed, skipped] = outcome(&programs, &format!("{GOOD}#done\n"));
        assert_eq!((passed, failed), (vec!["a".to_owned(), "c".to_owned()], Vec::new()));
        assert_eq!(skipped, ["b: no"]);
    }

    #[test]
    fn every_way_to_fail_is_told() {
        let one = [program("t", &["a"])];
        let begun = "#begin 0\n|test a ... ";
        for (lines, expected) in [
            ("".to_owned(), vec!["the VM lane: the power went"]),
            (
                "#ready\nasked 0".to_owned(),
                vec!["the VM lane: the power went", "p t: did not run: the power went"],
            ),
            (
                format!("{begun}FAILED\n|test result: FAILED. 0 passed; 1 failed\n#end 0 101 1\n#done"),
                vec!["p t: a"],
            ),
            (
                format!("{begun}\n#end 0 124 9\n#done"),
                vec!["p t: a: it has no result", "p t: it did not end in its time"],
            ),
            (format!("{begun}ok\n#end 0 0 1\n#done"), vec!["p t: it ended without a summary (status 0)"]),
            (
                format!("{begun}ok\n|test result: ok. 1 passed\n#end 0 1 1\n#done"),
                vec!["p t: it ended with status 1"],
            ),
            (begun.to_owned(), vec!["p t: a: it has no result", "p t: the power went"]),
            (
                "#begin 0\n|test result: ok. 0 passed\n#end 0 0 1\n#done".into(),
                vec!["p t: a: it has no result"],
            ),
        ] {
            assert_eq!(outcome(&one, &lines)[1], expected, "{lines}");
        }
        let three = [program("t", &["a", "b", "c"])];
        let expected = "p t: b: it has no result, nor have 1 more";
        assert_eq!(outcome(&three, &format!("{begun}ok\n#end 0 137 9\n#done"))[1][0], expected);
        let two = [program("t", &["a", "b", "c"]), program("u", &["d"])];
        let expected = ["the VM lane: the power went", "p u: did not run: the power went"];
        assert_eq!(outcome(&two, &format!("{GOOD}asked 1\n"))[1], expected);
        assert!(
            outcome(
                &[program("t", &[])],
                &format!("{begun}ok\n|test result: ok. 1 passed\n#end 0 0 1\n#done")
            )[1][0]
                .contains("no tests")
        );
    }

    #[test]
    fn tests_whose_lines_are_torn_count_by_the_summary() {
        let lines = "#begin 0\n|test a ... x\n|yok\n|test b ... ok\n|test result: ok. 2 passed; 0 failed\n#end 0 0 1\n#done";
        let [passed, failed, _] = outcome(&[program("t", &["a", "b"])], lines);
        assert_eq!((passed, failed), (vec!["b".to_owned(), "a".to_owned()], Vec::new()));
    }

    #[test]
    fn what_is_out_of_turn_is_an_error() {
        let programs = [program("t", &["a"])];
        for line in ["#begin 1", "#begin x", "#end 0 0 1", "#skip x", "#what"] {
            assert!(Report::new(&programs).take(line).is_err(), "{line}");
        }
        assert_eq!(Report::new(&programs).take("[    1.0] kernel"), Ok(Heard::Noise));
        assert_eq!(Report::new(&programs).take("|nobody's"), Ok(Heard::Noise));
    }
}
