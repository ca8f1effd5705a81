//! A tree with everything awkward in it survives every way of copying, and goes without a trace.

use std::fs;
use std::path::Path;

use hull_storage::{Access, CloneMode, Locator, Store, VolumeSpec};
use hull_treefixture::{CompareOptions, Shape, build, compare};

use super::Bench;
use super::bench::{Open, whole_trees};
use super::case::{Case, CaseResult, Verdict, require};
use crate::plain;

pub(super) const CASES: &[Case] = &[
    Case { name: "trees::survive_every_way_of_copying", needs: &[], run: preserved },
    Case { name: "trees::immutable_and_very_deep_go_without_a_trace", needs: &[], run: destroyed },
];

/// As much as the caller can make and the driver's mounts can show.
fn shape(bench: &Bench, store: &Store) -> Result<Shape, Box<dyn std::error::Error>> {
    let all = if rustix::process::geteuid().is_root() { Shape::privileged() } else { Shape::unprivileged() };
    let volume = bench.make_empty(store, "probe")?;
    let shape = {
        let open = Open::new(store, &volume, Access::ReadWrite)?;
        let longest = rustix::fs::fstatvfs(open.fd())?.f_namemax;
        Shape {
            user_xattrs: bench.keeps_user_attributes(),
            holes: tells_holes(&open.path())?,
            longest_name: usize::try_from(longest).unwrap_or(255).min(255),
            // Only the case that deletes such files asks for it.
            immutable: all.devices && rustix::fs::ioctl_getflags(open.fd()).is_ok(),
            // A layer of a union cannot hold what has a meaning of its own there.
            union_marks: bench.driver().capabilities().standalone,
            ..all
        }
    };
    store.destroy(&volume)?;
    Ok(shape)
}

/// Whether lseek(2) finds the hole in a file in `dir`.
fn tells_holes(dir: &Path) -> std::io::Result<bool> {
    let file = fs::File::create(dir.join("hole"))?;
    file.set_len(1 << 20)?;
    Ok(rustix::fs::seek(&file, rustix::fs::SeekFrom::Hole(0))? == 0)
}

fn preserved(bench: &Bench) -> CaseResult {
    let store = bench.store();
    let shape = Shape { immutable: false, ..shape(bench, &store)? };
    let original = store.create(plain::NAME, &bench.plain_place("original"), &VolumeSpec::default())?;
    {
        let open = Open::new(&store, &original, Access::ReadWrite)?;
        // In a user namespace, root may still make no devices: the file system's refusal is not the driver's.
        if build(open.fd(), &shape).is_err() {
            let store = bench.store();
            store.destroy(&original)?;
            store.create(plain::NAME, &bench.plain_place("original"), &VolumeSpec::default())?;
            let open = Open::new(&store, &original, Access::ReadWrite)?;
            let shape = Shape {
                user_xattrs: shape.user_xattrs,
                holes: shape.holes,
                longest_name: shape.longest_name,
                union_marks: shape.union_marks,
                ..Shape::unprivileged()
            };
            build(open.fd(), &shape)?;
        }
    }
    let original = Locator::new(plain::NAME, original.at());
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
    let options = CompareOptions { holes, ..whole_trees() };
    let differences = compare(first.fd(), second.fd(), &options)?;
    require(differences.is_empty(), format!("{what}: {differences:?}"))
}

fn destroyed(bench: &Bench) -> CaseResult {
    let store = bench.store();
    let shape = Shape { deep: 5000, ..shape(bench, &store)? };
    let volume = bench.make_empty(&store, "v")?;
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
