//! Which test targets run in the guest, and the programs that cargo makes of them.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::Value;

use crate::{Result, process};

/// The list of targets in the source tree.
pub(crate) const LIST: &str = "xtask/vm-targets";

/// A line of the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    pub(super) package: String,
    pub(super) test: String,
    /// Handed to the test program.
    pub(super) arguments: Vec<String>,
}

/// A target's program, built.
#[derive(Debug)]
pub(crate) struct Program {
    pub(super) target: Target,
    pub(super) file: PathBuf,
    /// The package's folder, which cargo runs its tests in.
    pub(super) folder: PathBuf,
    /// The names of the tests it is to run.
    pub(super) cases: Vec<String>,
}

/// What cargo built.
#[derive(Debug)]
pub(crate) struct Built {
    pub(super) programs: Vec<Program>,
    /// Programs that the tests themselves run.
    pub(super) helpers: Vec<PathBuf>,
}

impl Built {
    /// Whether there is nothing to run.
    pub(crate) fn is_empty(&self) -> bool {
        self.programs.is_empty()
    }
}

/// Which packages cargo looks at. They decide the features of what is compiled: with the same choice as another
/// command's, nothing is compiled twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    Targets,
    Workspace,
}

impl Target {
    /// Its name for people.
    pub(super) fn name(&self) -> String {
        format!("{} {}", self.package, self.test)
    }
}

/// Reads the list.
pub(crate) fn listed(root: &Path) -> Result<Vec<Target>> {
    let text = std::fs::read_to_string(root.join(LIST)).map_err(|e| format!("cannot read {LIST}: {e}"))?;
    parse(&text)
}

/// Reads `PACKAGE TEST-TARGET [ARGUMENTS]` lines; empty ones and those that begin with `#` are for people.
fn parse(text: &str) -> Result<Vec<Target>> {
    let mut targets = Vec::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let mut words = line.split_whitespace().map(str::to_owned);
        let (Some(package), Some(test)) = (words.next(), words.next()) else {
            return Err(format!("{LIST}: expected `PACKAGE TEST-TARGET [ARGUMENTS]`, not {line:?}"));
        };
        targets.push(Target { package, test, arguments: words.collect() });
    }
    Ok(targets)
}

/// `target` with `filter` as the only thing that chooses its tests; other options stay.
pub(super) fn filtered(mut target: Target, filter: &str) -> Target {
    let chooses =
        |option: &str| !option.starts_with('-') || option == "--exact" || option.starts_with("--skip");
    target.arguments.retain(|argument| !chooses(argument));
    target.arguments.push(filter.to_owned());
    target
}

/// Builds the programs of `targets`, and what those run; asks each for the tests it would run.
pub(crate) fn build(root: &Path, targets: &[Target], scope: Scope) -> Result<Built> {
    let mut arguments = vec!["test".to_owned(), "--no-run".to_owned()];
    let both = |flag: &str, name: &String| [flag.to_owned(), name.clone()];
    match scope {
        Scope::Workspace => arguments.push("--workspace".to_owned()),
        Scope::Targets => arguments.extend(targets.iter().flat_map(|t| both("-p", &t.package))),
    }
    arguments.extend(targets.iter().flat_map(|target| both("--test", &target.test)));
    let tests = artifacts(root, &arguments)?;
    let programs = ["build", "-p", "hull-cli", "-p", "hull-monitor"].map(str::to_owned);
    let programs = artifacts(root, &programs)?;
    let mut helpers: Vec<PathBuf> = [&tests, &programs].into_iter().flat_map(|said| helpers(said)).collect();
    helpers.sort();
    helpers.dedup();
    let mut built = Built { programs: Vec::new(), helpers };
    for target in targets {
        let (file, folder) = find(&tests, target)
            .ok_or_else(|| format!("{LIST}: cargo built no test {} of {}", target.test, target.package))?;
        let mut list = process::command(&file);
        list.args(&target.arguments).arg("--list").current_dir(&folder);
        // The guest has what this machine may lack.
        list.env("HULL_TESTKIT_ASSUME_GROUNDS", "1");
        let cases = cases(&process::capture(&mut list)?);
        built.programs.push(Program { target: target.clone(), file, folder, cases });
    }
    Ok(built)
}

/// Runs cargo and returns what it says of its artifacts.
fn artifacts(root: &Path, arguments: &[String]) -> Result<Vec<Value>> {
    let mut cargo = process::cargo(root);
    cargo.args(arguments).args(["--message-format", "json-render-diagnostics"]).stderr(Stdio::inherit());
    let output = cargo.output().map_err(|error| format!("cannot run {}: {error}", process::shown(&cargo)))?;
    if !output.status.success() {
        return Err(format!("{} failed; see above", process::shown(&cargo)));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let said = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    Ok(said.filter(|message| message["executable"].is_string()).collect())
}

fn is_test(artifact: &Value) -> bool {
    artifact["profile"]["test"] == Value::Bool(true)
}

/// The programs among the artifacts that are no tests.
fn helpers(artifacts: &[Value]) -> impl Iterator<Item = PathBuf> {
    artifacts.iter().filter(|a| !is_test(a)).filter_map(|a| a["executable"].as_str().map(PathBuf::from))
}

/// The program of `target` among the artifacts, and its package's folder.
fn find(artifacts: &[Value], target: &Target) -> Option<(PathBuf, PathBuf)> {
    artifacts.iter().filter(|artifact| is_test(artifact)).find_map(|artifact| {
        let manifest = Path::new(artifact["manifest_path"].as_str()?);
        // `path+file:///…/drivers/btrfs#hull-driver-btrfs@0.1.0`, or without the name where the folder has it.
        let id = artifact["package_id"].as_str()?;
        let (address, rest) = id.rsplit_once('#')?;
        let package = rest.split_once('@').map_or_else(|| address.rsplit('/').next(), |(name, _)| Some(name));
        let wanted = artifact["target"]["name"] == *target.test && package == Some(&*target.package);
        let executable = wanted.then(|| artifact["executable"].as_str()).flatten()?;
        Some((executable.into(), manifest.parent()?.to_path_buf()))
    })
}

/// The tests of a `--list`: one `NAME: test` line each.
fn cases(list: &str) -> Vec<String> {
    list.lines().filter_map(|line| line.strip_suffix(": test")).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use serde_json::json;

    use super::{Target, cases, filtered, find, helpers, listed, parse};

    fn target(package: &str, test: &str, arguments: &[&str]) -> Target {
        let arguments = arguments.iter().map(|&word| word.to_owned()).collect();
        Target { package: package.into(), test: test.into(), arguments }
    }

    #[test]
    fn lines_are_read_or_refused() {
        let read = parse("# drivers\n\na conformance\nb  x --test-threads=1 one\n");
        assert_eq!(
            read,
            Ok(vec![target("a", "conformance", &[]), target("b", "x", &["--test-threads=1", "one"])])
        );
        assert!(parse("a\n").unwrap_err().contains("PACKAGE TEST-TARGET"));
    }

    #[test]
    fn the_list_in_the_tree_reads() {
        let targets = listed(&crate::workspace::root()).expect("it reads");
        assert!(!targets.is_empty());
    }

    #[test]
    fn a_filter_takes_the_place_of_names() {
        let line = target("a", "t", &["one", "--test-threads=1", "--skip=two", "--exact"]);
        assert_eq!(filtered(line, "two"), target("a", "t", &["--test-threads=1", "two"]));
    }

    #[test]
    fn programs_are_found_by_package_and_target() {
        let artifact = |id: &str, name: &str, test: bool, executable: &str| {
            json!({"package_id": id, "manifest_path": "/x/crates/a/Cargo.toml", "target": {"name": name},
                   "profile": {"test": test}, "executable": executable})
        };
        let all = [
            artifact("path+file:///x/crates/b#b@0.1.0", "t", true, "/o/deps/t-1"),
            artifact("path+file:///x/crates/a#0.1.0", "t", true, "/o/deps/t-2"),
            artifact("path+file:///x/crates/a#0.1.0", "t", false, "/o/t"),
        ];
        let found = find(&all, &target("a", "t", &[]));
        assert_eq!(found, Some((PathBuf::from("/o/deps/t-2"), PathBuf::from("/x/crates/a"))));
        assert!(find(&all, &target("c", "t", &[])).is_none());
        assert_eq!(helpers(&all).collect::<Vec<_>>(), [PathBuf::from("/o/t")]);
    }

    #[test]
    fn only_tests_of_a_list_are_cases() {
        assert_eq!(cases("a::b: test\nc: benchmark\n\n1 test, 1 benchmark\n"), ["a::b"]);
    }
}
