//! `cargo xtask test`: every tier this machine offers, and an honest count of what did not run.

pub(crate) mod results;
pub(crate) mod skips;

use std::path::Path;

use results::Results;
use skips::Skip;

use crate::packages::{self, Provision};
use crate::vm::{self, Scope};
use crate::workspace::root;
use crate::{Result, Subcommand, process};

/// The command's line in the usage text.
pub(crate) const SUBCOMMAND: Subcommand = Subcommand {
    name: "test",
    arguments: "[--filter NAME] [--no-vm] [--allow-skips]",
    summary: "every test this machine can run; says what it skipped and why",
    run,
};

/// The skips a complete machine is known to have.
const EXPECTED: &str = "xtask/expected-skips";

/// Nextest's exit code when no test matched (nextest-metadata, `NextestExitCode::NO_TESTS_RUN`).
const NO_TESTS_RUN: i32 = 4;

/// What the command line asked for.
#[derive(Debug, Default, PartialEq, Eq)]
struct Options {
    /// Run only tests whose name has this in it.
    filter: Option<String>,
    /// Leave out the VM lane. What only it can run is then skipped, and no failure.
    no_vm: bool,
    /// Do not fail for an unexpected skip: this machine is known to lack something.
    allow_skips: bool,
}

fn run(arguments: &[String]) -> Result<bool> {
    let options = options(arguments)?;
    let root = root();
    if let Provision::Lacking(reason) = packages::provide(packages::FOR_TESTS) {
        println!("{reason}\ntests that need them will be skipped");
    }
    let mut expected = expected(&root)?;
    // The end-to-end tests run these, and cargo does not build the programs of other packages for a test.
    process::succeed(process::cargo(&root).args(["build", "-p", "hull-cli", "-p", "hull-monitor"]))?;
    let target = target(&root)?;
    let file = target.join(format!("skips-{}", std::process::id()));
    std::fs::write(&file, "").map_err(|error| format!("cannot write {}: {error}", file.display()))?;
    let ran = run_all(&root, &options, &file);
    let recorded = std::fs::read_to_string(&file).unwrap_or_default();
    // The lines are read; a file left over would only be litter.
    let _ = std::fs::remove_file(&file);
    let mut results = ran?;
    let skipped = skips::recorded(&recorded)?;
    results.take_skips(&skipped);
    if options.no_vm {
        let covered = vm::covered(&root, options.filter.as_deref())?;
        let reason = "the VM lane runs it".to_owned();
        expected.extend(covered.into_iter().map(|test| Skip { test, reason: reason.clone() }));
    } else if let Err(reason) = vm_lane(&root, &options, &mut results) {
        results.failed.push(format!("the VM lane: {reason}"));
    }
    Ok(report(&results, &expected, process::is_root() && !options.allow_skips))
}

/// Reports what the VM lane alone found.
pub(crate) fn report_lane(root: &Path, results: &Results) -> Result<bool> {
    Ok(report(results, &expected(root)?, true))
}

fn expected(root: &Path) -> Result<Vec<Skip>> {
    let text =
        std::fs::read_to_string(root.join(EXPECTED)).map_err(|e| format!("cannot read {EXPECTED}: {e}"))?;
    skips::expected(&text)
}

/// Runs what needs the guest's kernel, and adds its results. A machine that cannot has skipped the lane.
fn vm_lane(root: &Path, options: &Options, results: &mut Results) -> Result<()> {
    let lane = vm::Lane { filter: options.filter.clone(), ..vm::Lane::default() };
    let built = lane.build(root, Scope::Workspace)?;
    if built.is_empty() {
        return Ok(());
    }
    match vm::lacking() {
        Some(reason) => results.take_skips(&[Skip { test: "the VM lane".into(), reason }]),
        None => results.take_lane(lane.run(root, &built)?),
    }
    Ok(())
}

fn options(arguments: &[String]) -> Result<Options> {
    let mut options = Options::default();
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        match argument.as_str() {
            "--filter" => options.filter = Some(rest.next().ok_or("--filter needs a name")?.clone()),
            "--no-vm" => options.no_vm = true,
            "--allow-skips" => options.allow_skips = true,
            other => return Err(format!("unknown argument {other:?}; it takes {}", SUBCOMMAND.arguments)),
        }
    }
    Ok(options)
}

/// Runs unit, integration and conformance tests, then the examples in the documentation.
fn run_all(root: &Path, options: &Options, skips: &Path) -> Result<Results> {
    let mut results = if process::is_installed("cargo-nextest") {
        nextest(root, options, skips)?
    } else {
        println!("cargo-nextest is not installed; tests of one binary share a process under cargo test");
        cargo_test(root, &["--workspace", "--no-fail-fast", "--all-targets"], options, skips)?
    };
    results.add(cargo_test(root, &["--workspace", "--no-fail-fast", "--doc"], options, skips)?);
    Ok(results)
}

/// Runs the tests each in a process of its own. The counts come from the JUnit report of
/// `.config/nextest.toml`'s profile `xtask`, tests marked `#[ignore]` from nextest's list.
fn nextest(root: &Path, options: &Options, skips: &Path) -> Result<Results> {
    // Nextest's own folder (`[store]` in its configuration) is below the root, wherever cargo builds.
    let report = root.join("target/nextest/xtask/junit.xml");
    // A report of an earlier run must not be taken for this one's.
    let _ = std::fs::remove_file(&report);
    let mut cargo = process::cargo(root);
    cargo.args(["nextest", "run", "--workspace", "--profile", "xtask", "--no-tests", "fail"]);
    cargo.args(options.filter.as_deref()).env(skips::VARIABLE, skips);
    let status = cargo.status().map_err(|error| format!("cannot run {}: {error}", process::shown(&cargo)))?;
    let nothing_matched = status.code() == Some(NO_TESTS_RUN);
    let text = match std::fs::read_to_string(&report) {
        Ok(text) => text,
        Err(_) if nothing_matched => String::new(),
        Err(_) => return Err("the tests could not be built or started, or left no report; see above".into()),
    };
    let mut results = results::of_junit(&text)?;
    if !status.success() && !nothing_matched && results.failed.is_empty() {
        results.failed.push("cargo nextest run, for the reason it gives above".into());
    }
    let mut list = process::cargo(root);
    list.args(["nextest", "list", "--workspace", "--message-format", "json"]).args(options.filter.as_deref());
    results.skipped.extend(results::ignored_of_list(&process::capture(&mut list)?)?);
    Ok(results)
}

fn cargo_test(root: &Path, arguments: &[&str], options: &Options, skips: &Path) -> Result<Results> {
    let mut cargo = process::cargo(root);
    cargo.arg("test").args(arguments).args(options.filter.as_deref()).env(skips::VARIABLE, skips);
    let (text, passed) = process::tee(&mut cargo)?;
    let mut results = results::of_libtest(&text);
    if !passed && results.failed.is_empty() {
        results.failed.push(format!("{}, for the reason it gives above", process::shown(&cargo)));
    }
    Ok(results)
}

/// Prints what happened, the counts last. False when a test failed, or on a machine that is held to be complete a
/// tier was lost unnoticed.
fn report(results: &Results, expected: &[Skip], complete: bool) -> bool {
    let unexpected: Vec<&Skip> =
        results.skipped.iter().filter(|skip| !skips::is_expected(skip, expected)).collect();
    println!();
    for skip in &results.skipped {
        println!("skipped: {}: {}", skip.test, skip.reason);
    }
    for name in &results.failed {
        println!("failed: {name}");
    }
    let lost = complete && !unexpected.is_empty();
    if lost {
        for skip in &unexpected {
            println!("unexpected skip: {}", skip.test);
        }
        println!(
            "a skip that root does not expect is a tier lost: restore it, list it in {EXPECTED}, or pass --allow-skips"
        );
    }
    let (passed, failed, skipped) = (results.passed(), results.failed.len(), results.skipped.len());
    println!("{} tests ran", passed + failed);
    println!("{passed} passed, {failed} failed, {skipped} skipped");
    failed == 0 && !lost
}

/// The folder that cargo builds in, made if it is not there yet.
pub(crate) fn target(root: &Path) -> Result<std::path::PathBuf> {
    let text = process::capture(process::cargo(root).args(["metadata", "--format-version=1", "--no-deps"]))?;
    let metadata: serde_json::Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
    let target = std::path::PathBuf::from(metadata["target_directory"].as_str().unwrap_or("target"));
    std::fs::create_dir_all(&target).map_err(|error| format!("cannot make {}: {error}", target.display()))?;
    Ok(target)
}

#[cfg(test)]
mod tests {
    use super::{Options, options};

    #[test]
    fn arguments_are_read_or_refused() {
        let read = |words: &[&str]| options(&words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>());
        let expected = Options { filter: Some("clone".into()), no_vm: true, allow_skips: true };
        assert_eq!(read(&["--filter", "clone", "--no-vm", "--allow-skips"]), Ok(expected));
        assert_eq!(read(&["--filter"]), Err("--filter needs a name".into()));
        assert!(read(&["--fast"]).unwrap_err().contains("--fast"));
    }
}
