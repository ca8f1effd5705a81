//! What must be so after a storm: recovery settles everything, each container is whole, nothing else is left, and
//! the containers can be destroyed to the last.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use hull_config::Config;
use hull_container::{Containers, DestroyRequest};
use hull_mount::Access;
use hull_storage::{ErrorKind, Locator};

use crate::grounds::Lxcpath;
use crate::manifest::{self, Manifest};
use crate::operation;

/// What Hull and LXC put into a container's home.
const IN_A_HOME: &[&str] =
    &["config", "rootfs", "rootdev", "overlay", "snaps", "lxc_snapshots", "lxc_rdepends", "ts", "comment"];

/// The inode number of every btrfs subvolume's root (btrfs's `BTRFS_FIRST_FREE_OBJECTID`).
const SUBVOLUME_ROOT: u64 = 256;
/// `statfs(2)`: `BTRFS_SUPER_MAGIC`.
const BTRFS: u64 = 0x9123_683e;

/// What is wrong at `at`, where every container's content must be one of `contents`. Nothing is left there after.
pub(super) fn findings(at: &Lxcpath, contents: &[Manifest]) -> Vec<String> {
    match operation::containers(&at.lxcpath, &at.rundir, None) {
        Ok(all) => findings_of(&all, at, contents),
        Err(e) => vec![e.to_string()],
    }
}

/// What is wrong at `at`, opened as `all`.
pub(super) fn findings_of(all: &Containers, at: &Lxcpath, contents: &[Manifest]) -> Vec<String> {
    let mut wrong = Vec::new();
    match all.recover() {
        Ok(recovered) => wrong.extend(recovered.failed.iter().map(|e| format!("recovery: {e}"))),
        Err(e) => wrong.push(format!("recovery: {e}")),
    }
    wrong.extend(records(at));
    wrong.extend(homes(all, at, contents).unwrap_or_else(|e| vec![format!("the containers: {e}")]));
    wrong.extend(mounts(at));
    wrong.extend(loop_devices(at));
    wrong.extend(destroy_all(all));
    let left = fs::read_dir(&at.lxcpath).into_iter().flatten().filter_map(Result::ok);
    let left = left.filter(|entry| entry.file_name() != ".hull");
    wrong.extend(left.map(|entry| format!("after all is destroyed there is {}", entry.path().display())));
    let subvolumes = subvolumes(&at.lxcpath).unwrap_or_default();
    wrong.extend(
        subvolumes.iter().map(|p| format!("after all is destroyed there is subvolume {}", p.display())),
    );
    wrong.extend(records(at));
    wrong
}

/// Records that the journal still holds.
fn records(at: &Lxcpath) -> Vec<String> {
    let entries = fs::read_dir(at.lxcpath.join(".hull/journal")).into_iter().flatten().filter_map(Result::ok);
    let records = entries.filter(|e| e.path().extension().is_some_and(|x| x == "record"));
    records.map(|e| format!("the journal holds {}", e.path().display())).collect()
}

/// Looks into every home: complete, of nothing but what belongs there, with a root file system that is whole.
fn homes(all: &Containers, at: &Lxcpath, contents: &[Manifest]) -> io::Result<Vec<String>> {
    let mut wrong = Vec::new();
    let mut rootfs: Vec<Locator> = Vec::new();
    let mut todo: Vec<PathBuf> =
        names(&at.lxcpath)?.into_iter().filter(|name| name != ".hull").map(|n| at.lxcpath.join(n)).collect();
    while let Some(home) = todo.pop() {
        let hidden = home.file_name().is_some_and(|n| n.to_string_lossy().starts_with('.'));
        if hidden || !home.join("config").is_file() {
            wrong.push(format!("{} is no container", home.display()));
            continue;
        }
        for name in names(&home)?.iter().filter(|name| !IN_A_HOME.contains(&name.as_str())) {
            wrong.push(format!("{} does not belong there", home.join(name).display()));
        }
        if home.join("snaps").exists() {
            todo.extend(names(&home.join("snaps"))?.into_iter().map(|name| home.join("snaps").join(name)));
        }
        match whole(all, &home, contents) {
            Ok(at) => rootfs.push(at),
            Err(why) => wrong.push(format!("{}: {why}", home.display())),
        }
    }
    for subvolume in subvolumes(&at.lxcpath)? {
        if !rootfs.iter().any(|at| at.path() == subvolume) {
            wrong.push(format!("the subvolume {} is nobody's", subvolume.display()));
        }
    }
    Ok(wrong)
}

/// The root file system of the container in `home`, if it can be mounted and holds one of `contents`.
pub(crate) fn whole(all: &Containers, home: &Path, contents: &[Manifest]) -> Result<Locator, String> {
    let config = Config::load(&home.join("config")).map_err(|e| e.to_string())?;
    let text = config.value("lxc.rootfs.path").ok_or("its configuration names no root file system")?;
    let at = all.registry().locate(text.as_ref()).map_err(|e| e.to_string())?;
    let ready = all.store().activate(&at, Access::ReadOnly).map_err(|e| e.to_string())?;
    let root = hull_storage::host::open(&ready).map_err(|e| e.to_string())?;
    let through = format!("/proc/self/fd/{}/.", std::os::fd::AsRawFd::as_raw_fd(&root));
    let content = manifest::of(Path::new(&through));
    let differences = contents.iter().map(|expected| manifest::differences(&content, expected));
    let least = differences.min_by_key(Vec::len).unwrap_or_default();
    match least.as_slice() {
        [] => Ok(at),
        [first, rest @ ..] => Err(format!("its content is not whole: {first}, and {} more", rest.len())),
    }
}

/// Destroys every container, those that others need last, as far as it goes.
fn destroy_all(all: &Containers) -> Vec<String> {
    let request = DestroyRequest { snapshots: true, ..DestroyRequest::default() };
    loop {
        let names = match all.list() {
            Ok(names) if names.is_empty() => return Vec::new(),
            Ok(names) => names,
            Err(e) => return vec![e.to_string()],
        };
        let mut refusals = Vec::new();
        for name in &names {
            match all.existing(name).and_then(|container| container.destroy(&request)) {
                Ok(made) => refusals.extend(made.warnings.iter().map(|w| format!("destroying {name}: {w}"))),
                Err(e) if e.kind() == ErrorKind::HasDependents => refusals.push(e.to_string()),
                Err(e) => return vec![e.to_string()],
            }
        }
        if refusals.len() == names.len() {
            return refusals;
        }
    }
}

/// Mounts that this process can see below `at`.
fn mounts(at: &Lxcpath) -> Vec<String> {
    let table = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let points = table.lines().filter_map(|line| line.split(' ').nth(1));
    let below = points.filter(|point| Path::new(point).starts_with(&at.lxcpath));
    below.map(|point| format!("{point} is still mounted")).collect()
}

/// Loop devices whose files are below `at`, and stay. A device that was let go lives on for as long as somebody else
/// has it open, as udev does when it looks what is on it.
fn loop_devices(at: &Lxcpath) -> Vec<String> {
    let until = Instant::now() + Duration::from_secs(10);
    loop {
        let devices = fs::read_dir("/sys/block").into_iter().flatten().filter_map(Result::ok);
        let files = devices.filter_map(|d| fs::read_to_string(d.path().join("loop/backing_file")).ok());
        let below: Vec<String> =
            files.filter(|file| Path::new(file.trim_end()).starts_with(&at.lxcpath)).collect();
        if below.is_empty() || Instant::now() >= until {
            return below.iter().map(|file| format!("a loop device still has {}", file.trim_end())).collect();
        }
        thread::sleep(Duration::from_millis(50));
    }
}

/// The btrfs subvolumes below `dir`.
fn subvolumes(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let is_btrfs = rustix::fs::statfs(dir).is_ok_and(|fs| u64::try_from(fs.f_type) == Ok(BTRFS));
    let (mut found, mut todo) = (Vec::new(), Vec::new());
    if is_btrfs {
        todo.push(dir.to_path_buf());
    }
    while let Some(dir) = todo.pop() {
        for entry in fs::read_dir(&dir)? {
            let entry = entry?;
            let metadata = entry.metadata()?;
            if metadata.is_dir() {
                todo.push(entry.path());
                if metadata.ino() == SUBVOLUME_ROOT {
                    found.push(entry.path());
                }
            }
        }
    }
    Ok(found)
}

fn names(dir: &Path) -> io::Result<Vec<String>> {
    fs::read_dir(dir)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::findings;
    use crate::grounds::Lxcpath;
    use crate::{manifest, operation};

    type Harm = fn(&Lxcpath);

    /// What is found after `c0`, with a snapshot, was made and `harm` done.
    fn after(harm: Harm) -> Vec<String> {
        let dir = tempfile::tempdir().unwrap();
        let at = Lxcpath { lxcpath: dir.path().join("lxc"), rundir: dir.path().join("run") };
        let tree = dir.path().join("tree");
        fs::create_dir(&tree).unwrap();
        fs::write(tree.join("file"), "text").unwrap();
        let all = operation::containers(&at.lxcpath, &at.rundir, None).unwrap();
        operation::run(&all, &["create", "c0", "dir"]).unwrap();
        fs::copy(tree.join("file"), at.rootfs("c0").join("file")).unwrap();
        operation::run(&all, &["snapshot", "c0"]).unwrap();
        harm(&at);
        findings(&at, &[manifest::of(&tree)])
    }

    #[test]
    fn what_is_in_order_is_left_alone_until_it_is_destroyed() {
        assert_eq!(after(|_| ()), [""; 0]);
    }

    #[test]
    fn each_harm_is_found() {
        let harms: &[(Harm, &str)] = &[
            (|at| fs::create_dir(at.home("stray")).unwrap(), "stray is no container"),
            (|at| fs::write(at.home("c0/odd"), "").unwrap(), "odd does not belong there"),
            (|at| fs::create_dir(at.home("c0/snaps/.new-1.snap1")).unwrap(), ".new-1.snap1 is no container"),
            (|at| fs::write(at.rootfs("c0").join("file"), "other").unwrap(), "its content is not whole"),
            (
                |at| fs::remove_file(at.rootfs("c0/snaps/snap0").join("file")).unwrap(),
                "its content is not whole",
            ),
            (|at| fs::remove_dir_all(at.rootfs("c0")).unwrap(), "c0: "),
            (|at| fs::create_dir(at.home(".hull/journal/x.record")).unwrap(), "x.record"),
        ];
        for (harm, said) in harms {
            let found = after(*harm);
            assert!(found.iter().any(|line| line.contains(said)), "{said:?} is not in {found:?}");
        }
    }
}
