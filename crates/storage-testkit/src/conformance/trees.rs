//! A tree with everything awkward in it survives every way of copying, and goes without a trace.

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use hull_storage::{Access, CloneMode, Locator, Store, VolumeSpec};
use hull_treefixture::{CompareOptions, Shape, build, compare};

use super::Bench;
use super::bench::Open;
use super::case::{Case, CaseResult, Verdict, require};
use crate::plain;

pub(super) const CASES: &[Case] = &[
    Case { name: "trees::survive_every_way_of_copying", needs: &[], run: preserved },
    Case { name: "trees::immutable_and_very_deep_go_without_a_trace", needs: &[], run: destroyed },
];

fn shape() -> Shape {
    if rustix::process::geteuid().is_root() { Shape::privileged() } else { Shape::unprivileged() }
}

fn preserved(bench: &Bench) -> CaseResult {
    let store = bench.store();
    let original = store.create(plain::NAME, &bench.plain_place("original"), &VolumeSpec::default())?;
    {
        let open = Open::new(&store, &original, Access::ReadWrite)?;
        // In a user namespace, root may still make no devices: the file system's refusal is not the driver's.
        if build(open.fd(), &shape()).is_err() {
            let store = bench.store();
            store.destroy(&original)?;
            store.create(plain::NAME, &bench.plain_place("original"), &VolumeSpec::default())?;
            let open = Open::new(&store, &original, Access::ReadWrite)?;
            build(open.fd(), &Shape::unprivileged())?;
        }
    }
    let original = Locator::new(plain::NAME, original.at());
    if !bench.driver().capabilities().standalone {
        // A layer of a union cannot hold what has a meaning of its own there.
        let open = Open::new(&store, &original, Access::ReadWrite)?;
        remove_union_marks(&open.path())?;
    }
    let into = Some(bench.driver().name());
    let mode = CloneMode::SnapshotElseCopy;
    let volume = store.clone_volume(&original, into, &bench.place("v"), mode, Access::ReadWrite)?.at;
    let holes = keeps_holes(&store, &original, &volume)?;
    same(&store, (&original, &volume), holes, "made of a plain directory")?;
    let clone = bench.clone_of(&store, &volume, "c")?;
    same(&store, (&original, &clone), holes, "a clone")?;
    let snapshot = bench.snapshot_of(&store, &volume, "s")?;
    same(&store, (&original, &snapshot), holes, "a snapshot")?;
    bench.write(&store, &clone, "spoilt", "x")?;
    let restored = store.restore(&snapshot, &clone)?.at;
    same(&store, (&original, &restored), holes, "restored")?;
    let out = Some(plain::NAME);
    let copy =
        store.clone_volume(&volume, out, &bench.plain_place("o"), CloneMode::Copy, Access::ReadWrite)?.at;
    same(&store, (&original, &copy), holes, "a copy in a plain directory")?;
    for at in [restored, snapshot, copy, volume, original] {
        store.destroy(&at)?;
    }
    bench.require_clean()?;
    Ok(Verdict::Held)
}

/// Whether holes survive on the way over `other`: where its blocks are larger, so is its least hole.
fn keeps_holes(store: &Store, one: &Locator, other: &Locator) -> Result<bool, Box<dyn std::error::Error>> {
    let block = |at| -> Result<u64, Box<dyn std::error::Error>> {
        let open = Open::new(store, at, Access::ReadOnly)?;
        Ok(rustix::fs::fstatvfs(open.fd())?.f_bsize)
    };
    Ok(block(one)? >= block(other)?)
}

fn same(
    store: &Store,
    (one, other): (&Locator, &Locator),
    holes: bool,
    what: &str,
) -> Result<(), Box<dyn std::error::Error>> {
    let first = Open::new(store, one, Access::ReadOnly)?;
    let second = Open::new(store, other, Access::ReadOnly)?;
    // Hull's own mark on a volume's root names the very directory.
    let ignored = vec!["user.hull.volume".to_owned()];
    let options = CompareOptions { ignored_xattrs: ignored, holes, ..CompareOptions::default() };
    let differences = compare(first.fd(), second.fd(), &options)?;
    require(differences.is_empty(), format!("{what}: {differences:?}"))
}

/// Extended attributes by which overlayfs remembers what it did: Documentation/filesystems/overlayfs.rst.
const OVERLAY_MARKS: &[&str] = &[
    "trusted.overlay.opaque",
    "trusted.overlay.redirect",
    "trusted.overlay.metacopy",
    "trusted.overlay.origin",
    "trusted.overlay.impure",
    "trusted.overlay.whiteout",
    "user.overlay.opaque",
    "user.overlay.redirect",
    "user.overlay.metacopy",
    "user.overlay.origin",
    "user.overlay.impure",
    "user.overlay.whiteout",
];

/// Removes whiteouts and the attributes of an overlay.
fn remove_union_marks(dir: &Path) -> std::io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        let metadata = path.symlink_metadata()?;
        for name in OVERLAY_MARKS {
            let _ = rustix::fs::lremovexattr(&path, *name);
        }
        if metadata.is_dir() {
            // Directories keep their times.
            let times =
                fs::FileTimes::new().set_accessed(metadata.accessed()?).set_modified(metadata.modified()?);
            remove_union_marks(&path)?;
            fs::File::open(&path)?.set_times(times)?;
        } else if metadata.file_type().is_char_device() && metadata.rdev() == 0 {
            fs::remove_file(path)?;
        }
    }
    Ok(())
}

fn destroyed(bench: &Bench) -> CaseResult {
    let store = bench.store();
    let volume = bench.make_empty(&store, "v")?;
    let root = rustix::process::geteuid().is_root();
    let shape = Shape { immutable: root, deep: 5000, ..shape() };
    {
        let open = Open::new(&store, &volume, Access::ReadWrite)?;
        if let Err(e) = build(open.fd(), &shape) {
            // What was built so far must go as well.
            drop(open);
            store.destroy(&volume)?;
            bench.require_clean()?;
            return Ok(Verdict::DoesNotApply(format!("such a tree cannot be made in its volumes: {e}")));
        }
    }
    store.destroy(&volume)?;
    bench.require_clean()?;
    Ok(Verdict::Held)
}
