//! What the rules look at: the workspace's crates, the packages it pulls in, and its text files, read once.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::{Result, process};

/// The workspace as data, so that a rule's test can make one out of thin air.
#[derive(Debug, Default)]
pub(crate) struct Workspace {
    pub(crate) root: PathBuf,
    pub(crate) target: PathBuf,
    /// Our own crates.
    pub(crate) members: Vec<Member>,
    /// Every package of the resolved graph, ours included.
    pub(crate) packages: Vec<Package>,
    /// Every text file of the source tree.
    pub(crate) files: Vec<File>,
}

/// One of our own crates.
#[derive(Debug, Default)]
pub(crate) struct Member {
    pub(crate) name: String,
    /// The folder, relative to the root.
    pub(crate) folder: PathBuf,
    pub(crate) dependencies: Vec<Dependency>,
}

/// One line of a crate's dependencies.
#[derive(Debug)]
pub(crate) struct Dependency {
    pub(crate) name: String,
    /// Whether it is there for tests, examples and benches only.
    pub(crate) dev: bool,
}

/// One package of the resolved graph.
#[derive(Debug, Default)]
pub(crate) struct Package {
    /// Name and version.
    pub(crate) id: String,
    /// The SPDX expression of its manifest.
    pub(crate) license: Option<String>,
    /// Where it comes from; `None` for our own.
    pub(crate) source: Option<String>,
    /// The C library that it says it links.
    pub(crate) links: Option<String>,
    /// The ids of its normal dependencies, those for Windows alone left out.
    pub(crate) uses: Vec<String>,
    /// The ids of what its build script is built of.
    pub(crate) builds_with: Vec<String>,
}

impl Package {
    /// Its name, without the version.
    pub(crate) fn name(&self) -> &str {
        self.id.split(' ').next().unwrap_or_default()
    }
}

/// One text file of the source tree.
#[derive(Debug)]
pub(crate) struct File {
    /// Relative to the root.
    pub(crate) path: PathBuf,
    pub(crate) text: String,
}

impl File {
    /// Whether this is Rust source.
    pub(crate) fn is_rust(&self) -> bool {
        self.path.extension().is_some_and(|extension| extension == "rs")
    }

    /// Whether all of the file is test code: a target under `tests/`, or a `tests` module's own file.
    pub(crate) fn is_test_code(&self) -> bool {
        self.path.components().any(|part| part.as_os_str() == "tests")
            || self.path.file_name().is_some_and(|name| name == "tests.rs")
    }
}

/// The root of the workspace this program was built from.
pub(crate) fn root() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.parent().unwrap_or(own).to_path_buf()
}

impl Workspace {
    /// Reads the workspace this program belongs to; fails when `cargo metadata` does.
    pub(crate) fn read() -> Result<Self> {
        let root = root();
        let text = process::capture(process::cargo(&root).args(["metadata", "--format-version=1"]))?;
        let metadata: Value =
            serde_json::from_str(&text).map_err(|error| format!("cargo metadata: {error}"))?;
        let mut workspace = Self::from_metadata(root, &metadata);
        collect(&workspace.root, &workspace.root, &workspace.target, &mut workspace.files)?;
        workspace.files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(workspace)
    }

    /// The file at `path`, relative to the root.
    pub(crate) fn file(&self, path: &str) -> Option<&File> {
        self.files.iter().find(|file| file.path == Path::new(path))
    }

    /// The crate that `file` belongs to.
    pub(crate) fn owner(&self, file: &File) -> Option<&Member> {
        self.members.iter().find(|member| file.path.starts_with(&member.folder))
    }

    fn from_metadata(root: PathBuf, metadata: &Value) -> Self {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
        let ours = list(&metadata["workspace_members"]);
        let mut workspace =
            Self { target: text(&metadata["target_directory"]).into(), root, ..Self::default() };
        let id = |package: &Value| format!("{} {}", text(&package["name"]), text(&package["version"]));
        let packages = list(&metadata["packages"]);
        let ids: BTreeMap<String, String> = packages.iter().map(|p| (text(&p["id"]), id(p))).collect();
        let nodes: BTreeMap<String, Vec<Value>> = list(&metadata["resolve"]["nodes"])
            .iter()
            .map(|node| (text(&node["id"]), list(&node["deps"])))
            .collect();
        for package in packages {
            let arrows = nodes.get(&text(&package["id"])).map(Vec::as_slice).unwrap_or_default();
            let to = |kind: Option<&str>| {
                let chosen = arrows.iter().filter(|arrow| is_of_kind(arrow, kind));
                chosen.filter_map(|arrow| ids.get(&text(&arrow["pkg"])).cloned()).collect()
            };
            workspace.packages.push(Package {
                id: id(&package),
                license: package["license"].as_str().map(str::to_owned),
                source: package["source"].as_str().map(str::to_owned),
                links: package["links"].as_str().map(str::to_owned),
                uses: to(None),
                builds_with: to(Some("build")),
            });
            if !ours.contains(&package["id"]) {
                continue;
            }
            let manifest = PathBuf::from(text(&package["manifest_path"]));
            let folder = manifest.parent().unwrap_or(&manifest);
            let dependencies = list(&package["dependencies"]).into_iter().map(|dependency| Dependency {
                name: text(&dependency["name"]),
                dev: dependency["kind"].as_str() == Some("dev"),
            });
            workspace.members.push(Member {
                name: text(&package["name"]),
                folder: folder.strip_prefix(&workspace.root).unwrap_or(folder).to_path_buf(),
                dependencies: dependencies.collect(),
            });
        }
        workspace
    }
}

/// Whether `arrow` of cargo's resolved graph is one of `kind` (`None`: a normal one) on any system but Windows.
fn is_of_kind(arrow: &Value, kind: Option<&str>) -> bool {
    let kinds = arrow["dep_kinds"].as_array().map(Vec::as_slice).unwrap_or_default();
    kinds.iter().any(|one| one["kind"].as_str() == kind && one["target"].as_str() != Some("cfg(windows)"))
}

/// Adds every text file below `folder`, leaving out git's own folder, build output and generated caches.
fn collect(root: &Path, folder: &Path, target: &Path, files: &mut Vec<File>) -> Result<()> {
    let cannot = |error: std::io::Error| format!("cannot read {}: {error}", folder.display());
    for entry in std::fs::read_dir(folder).map_err(cannot)? {
        let entry = entry.map_err(cannot)?;
        let (path, kind) = (entry.path(), entry.file_type().map_err(cannot)?);
        let name = entry.file_name();
        if name == ".git" {
            // A folder, or in a linked worktree a file that says where it is.
            continue;
        }
        if kind.is_dir() {
            // A build folder of another name carries cargo's CACHEDIR.TAG.
            let skipped = name == "target" || name == ".cache" || path == target;
            if !skipped && !path.join("CACHEDIR.TAG").exists() {
                collect(root, &path, target, files)?;
            }
        } else if kind.is_file()
            && let Ok(text) = std::fs::read_to_string(&path)
        {
            let path = path.strip_prefix(root).unwrap_or(&path).to_path_buf();
            files.push(File { path, text });
        }
    }
    Ok(())
}

#[cfg(test)]
pub(crate) mod fixture {
    //! Workspaces out of thin air, for the rules' tests.

    use super::{Dependency, File, Member, Workspace};

    /// A workspace of `files`, with no crates.
    pub(crate) fn files(files: &[(&str, &str)]) -> Workspace {
        let files = files.iter().map(|(path, text)| File { path: path.into(), text: (*text).to_owned() });
        Workspace { root: "/nowhere/hull".into(), files: files.collect(), ..Workspace::default() }
    }

    /// A crate that depends on `dependencies`; a leading `dev:` marks a dev-dependency.
    pub(crate) fn member(name: &str, folder: &str, dependencies: &[&str]) -> Member {
        let dependencies = dependencies.iter().map(|line| match line.strip_prefix("dev:") {
            Some(name) => Dependency { name: name.to_owned(), dev: true },
            None => Dependency { name: (*line).to_owned(), dev: false },
        });
        Member { name: name.to_owned(), folder: folder.into(), dependencies: dependencies.collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::Workspace;

    #[test]
    fn this_workspace_is_read_whole() {
        let workspace = Workspace::read().expect("cargo metadata runs in a test");
        let own = workspace.members.iter().find(|member| member.name == "xtask").expect("xtask is a member");
        assert_eq!(own.folder.to_str(), Some("xtask"));
        assert!(own.dependencies.iter().any(|dependency| dependency.name == "serde_json" && !dependency.dev));
        let this = workspace.file("xtask/src/workspace.rs").expect("this file is found");
        assert_eq!(workspace.owner(this).map(|member| member.name.as_str()), Some("xtask"));
        assert!(workspace.file("Cargo.lock").is_some());
        assert!(workspace.files.iter().all(|file| !file.path.starts_with(".git")));
        assert!(workspace.packages.iter().any(|package| package.id.starts_with("serde_json ")));
    }
}
