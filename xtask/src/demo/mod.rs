//! `cargo xtask demo`: Hull's main job on real root file systems, timed, on any Debian machine with root.

mod hull;
mod scratch;
mod table;
mod tarball;

use std::path::Path;

use hull::Hull;
use scratch::Scratch;
use table::Table;

use crate::install::{self, Profile};
use crate::packages::{self, Provision};
use crate::{Result, Subcommand, process};

pub(crate) use scratch::{CLEANUP, clean_up_after_parent};
pub(crate) use tarball::debian;

/// The command's line in the usage text.
pub(crate) const SUBCOMMAND: Subcommand = Subcommand {
    name: "demo",
    arguments: "[--scratch DIR]",
    summary: "build Hull and watch it make, run, snapshot and clone real containers",
    run,
};

/// How many clones run at once in the last act.
const CLONES: usize = 10;

/// The file that is changed and restored, as the container sees it.
const FILE: &str = "/etc/hull-demo";

fn run(arguments: &[String]) -> Result<bool> {
    let parent = match arguments {
        [] => std::env::temp_dir(),
        [flag, folder] if flag == "--scratch" => folder.into(),
        _ => return Err(format!("it takes {}", SUBCOMMAND.arguments)),
    };
    if let Provision::Lacking(reason) = packages::provide(packages::FOR_DEMO) {
        return Err(reason);
    }
    if !process::is_root() {
        return Err("the demo attaches a loop device and mounts it; run it as root".into());
    }
    let target = crate::test::target(&crate::workspace::root())?;
    let mut table = Table::default();
    let prefix = target.join("demo");
    table.time("build and install Hull (release)", || install::install(&prefix, Profile::Release))?;
    let archive = table.time("make a Debian root tarball (cached)", || tarball::debian(&target))?;
    let program = prefix.join("bin/hull");
    let scratch = Scratch::new(&parent, &program)?;
    let outcome = perform(&scratch, &program, &archive, &mut table);
    println!("\n{table}");
    let cleaned = scratch.finish();
    outcome?;
    cleaned?;
    println!("demo: everything worked, nothing is left behind");
    Ok(true)
}

/// The acts in their order; each fails with what went wrong.
fn perform(scratch: &Scratch, program: &Path, archive: &Path, table: &mut Table) -> Result<()> {
    let hull = Hull::new(program, scratch.containers()?);
    let btrfs = Hull::new(program, scratch.btrfs()?);

    table.time("create a busybox container", || hull.create_from_template("busybox", "busybox"))?;
    table.time("create a Debian container from the tarball", || {
        hull.create_from_archive("debian", archive, "dir")
    })?;
    table.time("start busybox", || hull.start("busybox"))?;
    table.time("start Debian", || hull.start("debian"))?;
    said(&hull.execute("busybox", &["hostname"])?, "busybox", "hostname inside the busybox container")?;
    let release =
        table.time("run a command in Debian", || hull.execute("debian", &["cat", "/etc/os-release"]))?;
    if !release.contains("ID=debian") {
        return Err(format!("the Debian container's /etc/os-release does not say so: {release:?}"));
    }
    hull.execute("debian", &["sh", "-c", &format!("echo before > {FILE}")])?;
    table.time("stop busybox", || hull.stop("busybox"))?;
    table.time("stop Debian", || hull.stop("debian"))?;

    restore(&hull, table)?;
    clone_everywhere(&hull, &btrfs, archive, table)?;
    many(&hull, table)?;
    destroy_all(&hull, &btrfs, table)
}

/// Takes a snapshot, changes a file, restores, and proves the file is back.
fn restore(hull: &Hull, table: &mut Table) -> Result<()> {
    let snapshot = table.time("snapshot Debian", || hull.snapshot("debian", "before the change"))?;
    hull.start("debian")?;
    hull.execute("debian", &["sh", "-c", &format!("echo after > {FILE}")])?;
    said(&hull.execute("debian", &["cat", FILE])?, "after", "the changed file")?;
    hull.stop("debian")?;
    table.time("restore the snapshot", || hull.restore("debian", &snapshot))?;
    hull.start("debian")?;
    said(&hull.execute("debian", &["cat", FILE])?, "before", "the file after the restore")?;
    hull.stop("debian")
}

/// One clone by each way, and what it costs.
fn clone_everywhere(hull: &Hull, btrfs: &Hull, archive: &Path, table: &mut Table) -> Result<()> {
    table.time("copy Debian (dir)", || hull.copy("debian", "copy"))?;
    table.space(disk_usage(&hull.folder("copy"))?);
    table.time("clone Debian on overlayfs", || hull.clone("debian", "overlay", "overlayfs"))?;
    table.space(disk_usage(&hull.folder("overlay"))?);
    table.time("create Debian on btrfs", || btrfs.create_from_archive("debian", archive, "btrfs"))?;
    table.time("clone Debian on btrfs", || btrfs.clone("debian", "clone", "btrfs"))?;
    table.space(exclusive_on_btrfs(&btrfs.folder("clone"))?);
    for (hull, name) in [(hull, "overlay"), (btrfs, "clone")] {
        hull.start(name)?;
        let release = hull.execute(name, &["cat", "/etc/os-release"])?;
        if !release.contains("ID=debian") {
            return Err(format!("the clone {name} does not have its source's files: {release:?}"));
        }
        hull.stop(name)?;
    }
    Ok(())
}

/// Makes and starts the clones that run all at once.
fn many(hull: &Hull, table: &mut Table) -> Result<()> {
    let names: Vec<String> = (1..=CLONES).map(|number| format!("clone{number}")).collect();
    let each = |act: &dyn Fn(&str) -> Result<()>| names.iter().try_for_each(|name| act(name));
    table.time(&format!("make {CLONES} clones on overlayfs"), || {
        each(&|name| hull.clone("debian", name, "overlayfs"))
    })?;
    let total = names.iter().map(|name| disk_usage(&hull.folder(name))).sum::<Result<u64>>()?;
    table.space(total);
    table.time(&format!("start {CLONES} clones"), || each(&|name| hull.start(name)))?;
    for name in &names {
        if !hull.is_running(name)? {
            return Err(format!("{name} was started and is not running"));
        }
        said(&hull.execute(name, &["cat", FILE])?, "before", "the source's file in a clone")?;
    }
    table.time(&format!("kill {CLONES} clones"), || each(&|name| hull.kill(name)))?;
    table.time(&format!("destroy {CLONES} clones"), || each(&|name| hull.destroy(name)))
}

/// Destroys what is left, clones before their sources, and proves that nothing remains.
fn destroy_all(hull: &Hull, btrfs: &Hull, table: &mut Table) -> Result<()> {
    table.time("destroy the other containers", || {
        ["overlay", "copy", "debian", "busybox"].iter().try_for_each(|name| hull.destroy(name))?;
        ["clone", "debian"].iter().try_for_each(|name| btrfs.destroy(name))
    })?;
    for (hull, name) in [(hull, "debian"), (hull, "overlay"), (btrfs, "debian"), (btrfs, "clone")] {
        if hull.folder(name).exists() {
            return Err(format!("{name} was destroyed and {} is still there", hull.folder(name).display()));
        }
    }
    Ok(())
}

fn said(output: &str, expected: &str, what: &str) -> Result<()> {
    let output = output.trim();
    if output == expected { Ok(()) } else { Err(format!("{what} is {output:?}, expected {expected:?}")) }
}

/// The bytes that `folder` takes by itself on an ordinary file system.
fn disk_usage(folder: &Path) -> Result<u64> {
    let text = process::capture(process::command("du").args(["-s", "-x", "-B1"]).arg(folder))?;
    first_number(&text).ok_or_else(|| format!("du said {text:?}"))
}

/// The bytes that only `folder` refers to on btrfs: the second column of `btrfs filesystem du`.
fn exclusive_on_btrfs(folder: &Path) -> Result<u64> {
    // Space is given out when data is written back, not when a file is written.
    process::succeed(process::command("sync").arg("-f").arg(folder))?;
    let text =
        process::capture(process::command("btrfs").args(["filesystem", "du", "-s", "--raw"]).arg(folder))?;
    let line = text.lines().last().unwrap_or_default();
    let exclusive = line.split_whitespace().nth(1).and_then(|word| word.parse().ok());
    exclusive.ok_or_else(|| format!("btrfs filesystem du said {text:?}"))
}

fn first_number(text: &str) -> Option<u64> {
    text.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::{disk_usage, first_number, said};

    #[test]
    fn what_a_container_says_is_compared() {
        assert_eq!(said("before\n", "before", "the file"), Ok(()));
        assert_eq!(
            said("after\n", "before", "the file"),
            Err("the file is \"after\", expected \"before\"".into())
        );
    }

    #[test]
    fn space_is_read_from_du() {
        assert_eq!(first_number("4096\t/x\n"), Some(4096));
        assert_eq!(first_number("du: no"), None);
        assert!(disk_usage(&crate::workspace::root().join("xtask/src")).is_ok_and(|bytes| bytes > 0));
    }
}
