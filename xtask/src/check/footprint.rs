//! Who takes `hull-storage` and one driver gets few crates: none is async, none builds C, none reads command lines.
//!
//! Counted are the normal dependencies that are built for Linux, our own crates and the driver among them, with the
//! features that the whole workspace asks for: at least what `cargo tree -e normal` shows for the driver alone.

use std::collections::BTreeSet;

use super::Outcome;
use crate::workspace::{Package, Workspace};

/// What every embedder takes; each driver comes on top of it.
const HEART: &str = "hull-storage";
/// How our drivers' names begin.
const DRIVER: &str = "hull-driver-";
/// Fewer crates than this.
const LIMIT: usize = 30;

/// What a library of system calls has no use for, by kind.
const UNWANTED: &[(&str, &[&str])] = &[
    (
        "an async runtime",
        &[
            "async-io",
            "async-std",
            "async-trait",
            "compio",
            "futures",
            "futures-core",
            "futures-executor",
            "futures-util",
            "glommio",
            "mio",
            "monoio",
            "polling",
            "smol",
            "tokio",
        ],
    ),
    (
        "a reader of command lines",
        &["argh", "bpaf", "clap", "clap_builder", "getopts", "gumdrop", "lexopt", "pico-args", "structopt"],
    ),
    ("a builder of C code", C_BUILDERS),
];

/// What build scripts compile or look for C libraries with.
const C_BUILDERS: &[&str] =
    &["autotools", "bindgen", "cc", "cmake", "meson", "pkg-config", "system-deps", "vcpkg"];

/// Finds drivers that pull in too much.
pub(super) fn check(workspace: &Workspace) -> Outcome {
    let package = |name: &str| workspace.packages.iter().find(|p| p.source.is_none() && p.name() == name);
    let Some(heart) = package(HEART) else {
        return Outcome { note: String::new(), findings: vec![format!("there is no crate {HEART}")] };
    };
    let drivers = workspace.members.iter().filter(|member| member.name.starts_with(DRIVER));
    let (mut counts, mut findings) = (Vec::new(), Vec::new());
    for driver in drivers.filter_map(|member| package(&member.name)) {
        let pulled = closure(workspace, [heart, driver]);
        counts.push(format!("{} {}", driver.name().trim_start_matches(DRIVER), pulled.len()));
        if pulled.len() >= LIMIT {
            let names: Vec<_> = pulled.iter().map(|id| id.split(' ').next().unwrap_or_default()).collect();
            findings.push(format!(
                "{} pulls in {} crates, and fewer than {LIMIT} are allowed: {}",
                driver.name(),
                pulled.len(),
                names.join(", ")
            ));
        }
        let packages = workspace.packages.iter().filter(|package| pulled.contains(package.id.as_str()));
        findings
            .extend(packages.flat_map(objections).map(|what| format!("{} pulls in {what}", driver.name())));
    }
    if counts.is_empty() {
        findings.push(format!("there is no crate {DRIVER}* to look at"));
    }
    Outcome { note: format!("{HEART} and one driver, in crates: {}", counts.join(", ")), findings }
}

/// Everything that `roots` and what they use is built of.
fn closure<'a>(workspace: &'a Workspace, roots: [&'a Package; 2]) -> BTreeSet<&'a str> {
    let mut pulled = BTreeSet::new();
    let mut todo = roots.to_vec();
    while let Some(package) = todo.pop() {
        if pulled.insert(package.id.as_str()) {
            let used = workspace.packages.iter().filter(|other| package.uses.contains(&other.id));
            todo.extend(used);
        }
    }
    pulled
}

/// What is wrong with `package` being there.
fn objections(package: &Package) -> Vec<String> {
    let mut objections = Vec::new();
    for (kind, names) in UNWANTED {
        if names.contains(&package.name()) {
            objections.push(format!("{}, {kind}", package.name()));
        }
    }
    if let Some(library) = &package.links {
        objections.push(format!("{}, which links the C library {library}", package.name()));
    }
    for tool in package.builds_with.iter().filter_map(|id| id.split(' ').next()) {
        if C_BUILDERS.contains(&tool) {
            objections.push(format!("{}, which builds C code with {tool}", package.name()));
        }
    }
    objections
}

#[cfg(test)]
mod tests {
    use super::{LIMIT, check};
    use crate::workspace::{Package, Workspace, fixture};

    /// A package and what it uses; a leading `build:` marks what its build script uses.
    fn package(id: &str, uses: &[&str]) -> Package {
        let ours = id.starts_with("hull-");
        let (build, normal): (Vec<&str>, Vec<&str>) =
            uses.iter().partition(|line| line.starts_with("build:"));
        Package {
            id: id.into(),
            source: (!ours).then(|| "registry".into()),
            uses: normal.into_iter().map(str::to_owned).collect(),
            builds_with: build.into_iter().map(|line| line.replace("build:", "")).collect(),
            ..Package::default()
        }
    }

    fn with(more: Vec<Package>) -> Workspace {
        let used: Vec<String> = more.iter().map(|p| p.id.clone()).collect();
        let mut packages = vec![
            package("hull-storage 1", &["libc 1"]),
            package("hull-driver-x 1", &["hull-storage 1"]),
            package("libc 1", &[]),
            package("elsewhere 1", &["tokio 1"]),
        ];
        packages[1].uses.extend(used);
        packages.extend(more);
        let members = vec![fixture::member("hull-driver-x", "drivers/x", &[])];
        Workspace { packages, members, ..Workspace::default() }
    }

    #[test]
    fn a_lean_driver_is_fine_and_its_count_is_told() {
        let outcome = check(&with(Vec::new()));
        assert_eq!(outcome.findings, [""; 0]);
        assert_eq!(outcome.note, "hull-storage and one driver, in crates: x 3");
    }

    #[test]
    fn each_kind_of_weight_is_caught() {
        let linking = Package { links: Some("z".into()), ..package("libz-sys 1", &[]) };
        for (more, said) in [
            (vec![package("tokio 1", &[])], "hull-driver-x pulls in tokio, an async runtime"),
            (vec![package("clap 4", &[])], "hull-driver-x pulls in clap, a reader of command lines"),
            (
                vec![package("ring 1", &["build:cc 1"])],
                "hull-driver-x pulls in ring, which builds C code with cc",
            ),
            (vec![package("bindgen 1", &[])], "hull-driver-x pulls in bindgen, a builder of C code"),
            (vec![linking], "hull-driver-x pulls in libz-sys, which links the C library z"),
        ] {
            assert_eq!(check(&with(more)).findings, [said]);
        }
    }

    #[test]
    fn too_many_crates_are_caught_at_the_limit() {
        // Three are there already.
        let more = |count| (0..count).map(|n| package(&format!("p{n} 1"), &[])).collect();
        assert_eq!(check(&with(more(LIMIT - 4))).findings, [""; 0]);
        let findings = check(&with(more(LIMIT - 3))).findings;
        assert!(findings.len() == 1 && findings[0].contains("pulls in 30 crates"), "{findings:?}");
    }

    #[test]
    fn it_does_not_hold_for_want_of_drivers() {
        assert_eq!(check(&Workspace::default()).findings.len(), 1);
        let mut workspace = with(Vec::new());
        workspace.members.clear();
        assert_eq!(check(&workspace).findings.len(), 1);
    }

    #[test]
    fn the_graph_of_this_workspace_is_read() {
        let workspace = Workspace::read().expect("cargo metadata runs in a test");
        let find = |name: &str| workspace.packages.iter().find(|p| p.name() == name).expect("it is there");
        assert!(find("hull-storage").uses.iter().any(|id| id.starts_with("rustix ")));
        assert!(find("hull-storage").uses.iter().all(|id| !id.starts_with("hull-storage-testkit ")));
        assert!(find("rustix").uses.iter().all(|id| !id.starts_with("windows-sys ")));
        assert!(check(&workspace).findings.is_empty());
    }
}
