//! The disk with what a run brings along: the lane's scripts, the test programs, and the list of what to run.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::targets::Built;
use crate::{Result, process};

/// The scripts that the guest's init hands over to.
const SCRIPTS: &[(&str, &str)] =
    &[("lane.sh", include_str!("guest/lane.sh")), ("ready.sh", include_str!("guest/ready.sh"))];

/// The folder of the source tree that tests make containers from.
const TEMPLATES: &str = "templates";

/// How the names of tests' own variables begin.
const VARIABLES: &str = "HULL_TEST_";

/// What the lane's script is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// Run programs and power off; what they make for a while lies on the first scratch disk.
    Run,
    /// Run programs that work on the scratch disk themselves.
    Disk,
    /// Have everything in place and open a shell.
    Shell,
}

/// Makes the disk in `folder`, with a folder of its content beside it for the time it takes. Programs are to end
/// within `limit`.
///
/// A program stands in the guest where it stands here. Tests look for other programs beside themselves, and have
/// paths of the source tree compiled in.
pub(super) fn make(
    folder: &Path,
    root: &Path,
    built: &Built,
    mode: Mode,
    limit: Duration,
) -> Result<PathBuf> {
    let image = folder.join("payload.img");
    let content = image.with_extension("content");
    let cannot = |error: std::io::Error| format!("cannot fill {}: {error}", content.display());
    fs::create_dir_all(content.join("tree")).map_err(cannot)?;
    for (name, text) in SCRIPTS {
        fs::write(content.join(name), text).map_err(cannot)?;
    }
    let mode = match mode {
        Mode::Run => "run\n",
        Mode::Disk => "disk\n",
        Mode::Shell => "shell\n",
    };
    fs::write(content.join("mode"), mode).map_err(cannot)?;
    fs::write(content.join("manifest"), manifest(built, limit)?).map_err(cannot)?;
    fs::write(content.join("environment"), environment(variables())).map_err(cannot)?;
    let files = built.programs.iter().map(|program| &program.file).chain(&built.helpers);
    let mut binds: BTreeSet<&Path> = files.clone().map(|file| bound(file)).collect();
    for file in files {
        place(file, &content)?;
    }
    let templates = root.join(TEMPLATES);
    copy_files(&templates, &inside(&content, &templates)).map_err(cannot)?;
    binds.insert(&templates);
    let binds: String = binds.iter().map(|folder| format!("{}\n", folder.display())).collect();
    fs::write(content.join("binds"), binds).map_err(cannot)?;

    let mut disk = process::command("mke2fs");
    disk.args(["-q", "-t", "ext4", "-O", "^has_journal", "-m", "0", "-d"]).arg(&content).arg(&image);
    process::capture(disk.arg(format!("{}k", size(&content).map_err(cannot)? / 1024 + 1)))?;
    fs::remove_dir_all(&content).map_err(cannot)?;
    Ok(image)
}

/// The variables that are text.
fn variables() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
}

/// What tests are told here by variables, they are told in the guest, too.
fn environment(variables: impl Iterator<Item = (String, String)>) -> String {
    let of_tests =
        variables.filter(|(name, _)| name.starts_with(VARIABLES) && name != crate::test::skips::VARIABLE);
    of_tests.map(|(name, value)| format!("export {name}='{}'\n", value.replace('\'', r"'\''"))).collect()
}

/// One line for each program, its words separated by tabs: seconds it may take, folder to run in, the command.
fn manifest(built: &Built, limit: Duration) -> Result<String> {
    let mut text = String::new();
    for program in &built.programs {
        let limit = limit.as_secs().to_string();
        let words = [limit, program.folder.display().to_string(), program.file.display().to_string()];
        let words: Vec<String> = words.into_iter().chain(program.target.arguments.iter().cloned()).collect();
        if words.iter().any(|word| word.contains(['\t', '\n'])) {
            return Err(format!("a tab or a line's end in {words:?}; the guest could not read it"));
        }
        text.push_str(&words.join("\t"));
        text.push('\n');
    }
    Ok(text)
}

/// The folder that is bound over the guest's for `file`. It is cargo's folder of the profile also for tests, which
/// are in `deps` below it: what is bound last must not hide the other.
fn bound(file: &Path) -> &Path {
    let folder = file.parent().unwrap_or(file);
    if folder.ends_with("deps") { folder.parent().unwrap_or(folder) } else { folder }
}

/// Where `path`, an absolute one, is in the payload's content.
fn inside(content: &Path, path: &Path) -> PathBuf {
    content.join("tree").join(path.strip_prefix("/").unwrap_or(path))
}

/// Copies a program without its debugging symbols, which are most of it.
fn place(program: &Path, content: &Path) -> Result<()> {
    let to = inside(content, program);
    let cannot = |error: std::io::Error| format!("cannot copy {}: {error}", program.display());
    fs::create_dir_all(to.parent().unwrap_or(&to)).map_err(cannot)?;
    let mut strip = process::command("strip");
    let stripped = process::capture(strip.args(["--strip-debug", "-o"]).arg(&to).arg(program));
    // A script, or a machine without strip(1).
    if stripped.is_err() {
        fs::copy(program, &to).map_err(cannot)?;
    }
    Ok(())
}

fn copy_files(from: &Path, to: &Path) -> std::io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            fs::copy(entry.path(), to.join(entry.file_name()))?;
        }
    }
    Ok(())
}

/// Bytes that a disk needs for what is in `folder`, with room for inodes and block lists.
fn size(folder: &Path) -> std::io::Result<u64> {
    let mut size = 8 << 20;
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let metadata = entry.metadata()?;
            if metadata.is_dir() {
                folders.push(entry.path());
            }
            size += metadata.len() + metadata.len() / 16 + 4096;
        }
    }
    Ok(size)
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Duration;

    use super::{Built, bound, environment, inside, manifest};
    use crate::vm::targets::{Program, Target};

    fn built(argument: &str) -> Built {
        let target =
            Target { package: "p".into(), test: "t".into(), arguments: vec!["--x".into(), argument.into()] };
        let program =
            Program { target, file: "/o/deps/t-1".into(), folder: "/src/p".into(), cases: Vec::new() };
        Built { programs: vec![program], helpers: Vec::new() }
    }

    #[test]
    fn the_manifest_is_words_between_tabs() {
        let text = manifest(&built("one two"), Duration::from_secs(90)).expect("it can be written");
        assert_eq!(text, "90\t/src/p\t/o/deps/t-1\t--x\tone two\n");
        assert!(manifest(&built("one\ttwo"), Duration::from_secs(90)).is_err());
    }

    #[test]
    fn variables_of_tests_reach_the_guest() {
        let variables = [("HULL_TEST_STRIDE", "it's 1"), ("HULL_TEST_SKIPS", "/here"), ("HOME", "/root")];
        let text = environment(variables.map(|(name, value)| (name.into(), value.into())).into_iter());
        assert_eq!(text, "export HULL_TEST_STRIDE='it'\\''s 1'\n");
    }

    #[test]
    fn tests_and_programs_share_a_bound_folder() {
        assert_eq!(bound(Path::new("/o/debug/deps/t-1")), Path::new("/o/debug"));
        assert_eq!(bound(Path::new("/o/debug/hull")), Path::new("/o/debug"));
        assert_eq!(inside(Path::new("c"), Path::new("/o/debug/hull")), Path::new("c/tree/o/debug/hull"));
    }
}
