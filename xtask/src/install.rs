//! `cargo xtask install`: everything Hull needs, under one folder, from which it works as it stands.

use std::fs;
use std::path::{Path, PathBuf};

use crate::workspace::root;
use crate::{Result, Subcommand, process};

/// The command's line in the usage text.
pub(crate) const SUBCOMMAND: Subcommand = Subcommand {
    name: "install",
    arguments: "--prefix DIR [--debug]",
    summary: "build Hull and put it under DIR, with LXC's names, manuals and completions",
    run,
};

/// LXC's programs, each a symbolic link to `hull`.
const LXC_NAMES: &[&str] = &[
    "lxc-attach",
    "lxc-config",
    "lxc-copy",
    "lxc-create",
    "lxc-destroy",
    "lxc-execute",
    "lxc-info",
    "lxc-ls",
    "lxc-snapshot",
    "lxc-start",
    "lxc-stop",
    "lxc-wait",
];

/// The folder of the source tree with the built-in templates, and those an installation cannot do without.
const TEMPLATES: &str = "templates";
const NEEDED_TEMPLATES: &[&str] = &["lxc-busybox"];

/// What `hull --generate KIND DIR` writes, and the folder under the prefix for it.
const GENERATED: &[(&str, &str)] = &[("man", "share/man/man1"), ("completions", "share/hull/completions")];

/// Where each shell looks for completions: the ending of the generated file, the folder, and the name there.
const SHELLS: &[(&str, &str)] = &[
    (".bash", "share/bash-completion/completions"),
    (".zsh", "share/zsh/site-functions"),
    (".fish", "share/fish/vendor_completions.d"),
];

/// How the programs are compiled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Profile {
    Debug,
    Release,
}

fn run(arguments: &[String]) -> Result<bool> {
    let (prefix, profile) = options(arguments)?;
    let prefix = std::path::absolute(&prefix).map_err(|error| format!("{}: {error}", prefix.display()))?;
    install(&prefix, profile)?;
    println!("installed under {}; hull is {}", prefix.display(), prefix.join("bin/hull").display());
    Ok(true)
}

fn options(arguments: &[String]) -> Result<(PathBuf, Profile)> {
    let (mut prefix, mut profile) = (None, Profile::Release);
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        match argument.as_str() {
            "--prefix" => prefix = Some(PathBuf::from(rest.next().ok_or("--prefix needs a folder")?)),
            "--debug" => profile = Profile::Debug,
            other => return Err(format!("unknown argument {other:?}; it takes {}", SUBCOMMAND.arguments)),
        }
    }
    Ok((prefix.ok_or("--prefix DIR is needed: where to install")?, profile))
}

/// Builds Hull and puts it under `prefix`, an absolute path; what an earlier installation left there is
/// replaced file by file. Fails when the build, a copy, or the generation of manuals does.
pub(crate) fn install(prefix: &Path, profile: Profile) -> Result<()> {
    let root = root();
    let built = build(&root, profile, &["hull-cli", "hull-monitor"])?;
    let hull = prefix.join("bin/hull");
    place(&program(&built, "hull")?, &hull, 0o755)?;
    place(&program(&built, "hull-monitor")?, &prefix.join("libexec/hull/hull-monitor"), 0o755)?;
    for name in LXC_NAMES {
        link("hull", &prefix.join("bin").join(name))?;
    }
    templates(&root.join(TEMPLATES), &prefix.join("share/hull/templates"))?;
    for (kind, folder) in GENERATED {
        generate(&hull, kind, &prefix.join(folder))?;
    }
    completions(prefix)
}

/// Builds the programs of `packages` and returns what cargo says of its artifacts, one JSON object a line.
pub(crate) fn build(root: &Path, profile: Profile, packages: &[&str]) -> Result<String> {
    let mut cargo = process::cargo(root);
    cargo.arg("build").args(packages.iter().flat_map(|package| ["--package", package]));
    cargo.args(["--message-format", "json-render-diagnostics"]);
    if profile == Profile::Release {
        cargo.arg("--release");
    }
    let output = cargo
        .stderr(std::process::Stdio::inherit())
        .output()
        .map_err(|error| format!("cannot run {}: {error}", process::shown(&cargo)))?;
    if !output.status.success() {
        return Err("the build failed; see above".into());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The program `name` among the artifacts that cargo reported.
pub(crate) fn program(artifacts: &str, name: &str) -> Result<PathBuf> {
    let lines = artifacts.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let found = lines.filter(|artifact| artifact["target"]["name"] == name);
    let path = found.filter_map(|artifact| artifact["executable"].as_str().map(PathBuf::from)).next();
    path.ok_or_else(|| format!("cargo built no program named {name}"))
}

/// Copies `from` to `to` with `mode`, by renaming a finished copy: a running program is never written into.
fn place(from: &Path, to: &Path, mode: u32) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let cannot = |error: std::io::Error| format!("cannot install {}: {error}", to.display());
    fs::create_dir_all(to.parent().unwrap_or(to)).map_err(cannot)?;
    let new = with_suffix(to, ".new");
    fs::copy(from, &new).map_err(cannot)?;
    fs::set_permissions(&new, fs::Permissions::from_mode(mode)).map_err(cannot)?;
    fs::rename(&new, to).map_err(cannot)
}

fn link(target: &str, at: &Path) -> Result<()> {
    let cannot = |error: std::io::Error| format!("cannot link {}: {error}", at.display());
    let new = with_suffix(at, ".new");
    match fs::remove_file(&new) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(cannot(error)),
        _ => {}
    }
    std::os::unix::fs::symlink(target, &new).map_err(cannot)?;
    fs::rename(&new, at).map_err(cannot)
}

fn templates(from: &Path, to: &Path) -> Result<()> {
    for name in NEEDED_TEMPLATES {
        if !from.join(name).is_file() {
            return Err(format!("the source tree lacks the template {TEMPLATES}/{name}"));
        }
    }
    for file in files_of(from)? {
        if let Some(name) = file.file_name() {
            place(&file, &to.join(name), 0o755)?;
        }
    }
    Ok(())
}

/// Has `hull` write its manuals or completions; fails when it does, or when it wrote nothing.
fn generate(hull: &Path, kind: &str, folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).map_err(|error| format!("cannot make {}: {error}", folder.display()))?;
    process::capture(process::command(hull).args(["--generate", kind]).arg(folder))?;
    if files_of(folder)?.is_empty() {
        return Err(format!("{} --generate {kind} wrote nothing to {}", hull.display(), folder.display()));
    }
    Ok(())
}

/// Moves each generated completion to where its shell looks.
fn completions(prefix: &Path) -> Result<()> {
    let generated = prefix.join("share/hull/completions");
    for file in files_of(&generated)? {
        let name = file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let (folder, name) = completion_place(name)
            .ok_or_else(|| format!("{}: no shell is known for this completion", file.display()))?;
        place(&file, &prefix.join(folder).join(name), 0o644)?;
    }
    fs::remove_dir_all(&generated).map_err(|error| format!("cannot remove {}: {error}", generated.display()))
}

/// The folder and name for a generated completion. Generators call zsh's `_hull` and the others `hull.bash`,
/// `hull.fish`; bash wants the bare name, zsh an underscore before it.
fn completion_place(name: &str) -> Option<(&'static str, String)> {
    let folder = |ending: &str| SHELLS.iter().find(|shell| shell.0 == ending).map(|shell| shell.1);
    if let Some(bare) = name.strip_suffix(".bash") {
        return Some((folder(".bash")?, bare.to_owned()));
    }
    if name.ends_with(".fish") {
        return Some((folder(".fish")?, name.to_owned()));
    }
    let bare = name.strip_suffix(".zsh").or_else(|| name.starts_with('_').then_some(name))?;
    Some((folder(".zsh")?, format!("_{}", bare.trim_start_matches('_'))))
}

fn files_of(folder: &Path) -> Result<Vec<PathBuf>> {
    let cannot = |error: std::io::Error| format!("cannot read {}: {error}", folder.display());
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(cannot)? {
        let path = entry.map_err(cannot)?.path();
        if path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::path::{Path, PathBuf};

    use super::{Profile, completion_place, completions, generate, link, options, place, program, templates};

    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("hull-xtask-{name}-{}", std::process::id()));
            fs::create_dir_all(&path).expect("the folder is made");
            Self(path)
        }

        fn script(&self, name: &str, body: &str) -> PathBuf {
            let path = self.0.join(name);
            fs::write(&path, format!("#!/bin/sh\n{body}\n")).expect("the script is written");
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("the script may run");
            path
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn arguments_are_read_or_refused() {
        let read = |words: &[&str]| options(&words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>());
        assert_eq!(read(&["--prefix", "p"]), Ok((PathBuf::from("p"), Profile::Release)));
        assert_eq!(read(&["--debug", "--prefix", "p"]), Ok((PathBuf::from("p"), Profile::Debug)));
        assert!(read(&[]).is_err() && read(&["--prefix"]).is_err() && read(&["p"]).is_err());
    }

    #[test]
    fn placing_and_linking_twice_replaces() {
        let folder = Folder::new("place");
        let (from, to, at) = (folder.script("from", "one"), folder.0.join("a/to"), folder.0.join("a/link"));
        for _ in 0..2 {
            place(&from, &to, 0o644).expect("it is placed");
            link("to", &at).expect("it is linked");
        }
        assert_eq!(fs::metadata(&to).expect("it is there").permissions().mode() & 0o7777, 0o644);
        assert_eq!(fs::read_link(&at).expect("a link"), Path::new("to"));
        assert_eq!(fs::read_dir(folder.0.join("a")).expect("a folder").count(), 2, "nothing is left over");
    }

    #[test]
    fn a_missing_template_is_named() {
        let folder = Folder::new("templates");
        assert!(templates(&folder.0, &folder.0.join("to")).unwrap_err().contains("lxc-busybox"));
        folder.script("lxc-busybox", "");
        templates(&folder.0, &folder.0.join("to")).expect("it is installed");
        assert!(folder.0.join("to/lxc-busybox").is_file());
    }

    #[test]
    fn generation_that_fails_or_writes_nothing_is_an_error() {
        let folder = Folder::new("generate");
        let fails = folder.script("fails", "echo no such option >&2; exit 2");
        let mute = folder.script("mute", "exit 0");
        let works = folder.script("works", "echo \"$1 $2\" > \"$3/hull.bash\"; echo > \"$3/_hull\"");
        let to = folder.0.join("share/hull/completions");
        assert!(generate(&fails, "man", &to).unwrap_err().contains("no such option"));
        assert!(generate(&mute, "man", &to).unwrap_err().contains("wrote nothing"));
        generate(&works, "completions", &to).expect("it writes");
        completions(&folder.0).expect("they are moved");
        let bash = fs::read_to_string(folder.0.join("share/bash-completion/completions/hull"));
        assert_eq!(bash.expect("bash finds it"), "--generate completions\n");
        assert!(folder.0.join("share/zsh/site-functions/_hull").is_file());
        assert!(!to.exists());
    }

    #[test]
    fn completions_go_where_shells_look() {
        let place = |name| completion_place(name).map(|(folder, name)| format!("{folder}/{name}"));
        assert_eq!(place("lxc-ls.bash").as_deref(), Some("share/bash-completion/completions/lxc-ls"));
        assert_eq!(place("hull.fish").as_deref(), Some("share/fish/vendor_completions.d/hull.fish"));
        assert_eq!(place("_hull").as_deref(), Some("share/zsh/site-functions/_hull"));
        assert_eq!(place("hull.zsh").as_deref(), Some("share/zsh/site-functions/_hull"));
        assert_eq!(place("hull.txt"), None);
    }

    #[test]
    fn programs_are_found_among_cargos_artifacts() {
        let artifacts = "{\"target\":{\"name\":\"lib\"},\"executable\":null}\nnot json\n{\"target\":{\"name\":\"hull\"},\"executable\":\"/t/hull\"}\n";
        assert_eq!(program(artifacts, "hull"), Ok(PathBuf::from("/t/hull")));
        assert!(program(artifacts, "hull-monitor").is_err());
    }
}
