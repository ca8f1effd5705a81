//! The operations, as command lines both sides understand.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Whose commands.
#[derive(Clone, Copy)]
pub(crate) enum Side<'a> {
    /// Debian's, in /usr/bin.
    Stock,
    /// Hull's, in this prefix.
    Hull(&'a Path),
}

/// One operation: commands whose time counts, and commands that put things back.
pub(crate) struct Operation {
    /// For people.
    pub(crate) name: &'static str,
    timed: &'static [&'static str],
    after: &'static [&'static str],
    /// The exit code of the timed commands.
    code: i32,
}

/// `{}` stands for the scratch lxcpath.
pub(crate) const OPERATIONS: &[Operation] = &[
    Operation {
        name: "overlay clone of a dir container",
        timed: &["lxc-copy -P {} -n base -N new -s -B overlay"],
        after: &["lxc-destroy -P {} -n new"],
        code: 0,
    },
    Operation {
        name: "copy of a dir container",
        timed: &["lxc-copy -P {} -n base -N new"],
        after: &["lxc-destroy -P {} -n new"],
        code: 0,
    },
    Operation {
        name: "rename of a dir container",
        timed: &["lxc-copy -P {} -n other -N new -R"],
        after: &["lxc-copy -P {} -n new -N other -R"],
        code: 0,
    },
    Operation {
        name: "snapshot of an overlay container",
        timed: &["lxc-snapshot -P {} -n over"],
        after: &["lxc-snapshot -P {} -n over -d snap0"],
        code: 0,
    },
    Operation {
        name: "execute /bin/true",
        timed: &["lxc-execute -P {} -n base -- /bin/true"],
        after: &[],
        code: 0,
    },
    Operation { name: "ls -f, four stopped containers", timed: &["lxc-ls -P {} -f"], after: &[], code: 0 },
    Operation {
        name: "copy of no such container",
        timed: &["lxc-copy -P {} -n none -N new"],
        after: &[],
        code: 1,
    },
];

/// Makes the containers that the operations work on.
pub(crate) fn prepare(lxcpath: &Path, hull: &Path) -> Result<(), String> {
    std::fs::create_dir_all(lxcpath).map_err(|e| format!("{}: {e}", lxcpath.display()))?;
    let config = lxcpath.join("empty.conf");
    std::fs::write(&config, "lxc.net.0.type = empty\n").map_err(|e| format!("{}: {e}", config.display()))?;
    let template = hull.join("share/hull/templates/lxc-busybox");
    for name in ["base", "other", "third"] {
        let line = format!("lxc-create -P {{}} -n {name} -f {} -t {}", config.display(), template.display());
        run(&line, lxcpath, Side::Hull(hull), 0)?;
    }
    run("lxc-copy -P {} -n third -N over -s -B overlay", lxcpath, Side::Hull(hull), 0)
}

/// Removes them.
pub(crate) fn destroy_all(lxcpath: &Path, hull: &Path) -> Result<(), String> {
    ["over", "third", "other", "base"]
        .iter()
        .try_for_each(|name| run(&format!("lxc-destroy -P {{}} -n {name}"), lxcpath, Side::Hull(hull), 0))
}

/// Carries the operation out and puts things back; only the former is timed.
pub(crate) fn time(operation: &Operation, lxcpath: &Path, side: Side<'_>) -> Result<Duration, String> {
    let begun = Instant::now();
    operation.timed.iter().try_for_each(|line| run(line, lxcpath, side, operation.code))?;
    let time = begun.elapsed();
    operation.after.iter().try_for_each(|line| run(line, lxcpath, side, 0))?;
    Ok(time)
}

fn run(line: &str, lxcpath: &Path, side: Side<'_>, code: i32) -> Result<(), String> {
    let mut words = line.split(' ').map(|w| w.replace("{}", &lxcpath.display().to_string()));
    let program = words.next().unwrap_or_default();
    let program = match side {
        Side::Stock => Path::new("/usr/bin").join(program),
        Side::Hull(prefix) => prefix.join("bin").join(program),
    };
    let output = Command::new(&program)
        .args(words)
        .stdin(Stdio::null())
        .output()
        .map_err(|e| format!("{} cannot be run: {e}", program.display()))?;
    if output.status.code() == Some(code) {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!("{} ({line}): {}: {}", program.display(), output.status, said.trim_end()))
}
