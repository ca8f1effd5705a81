//! What a volume's directories are called, in both layouts that LXC has had.
//!
//! One part, since LXC 4.0: a directory (`overlay` in an owner's directory) that holds `delta` and `work` and
//! nothing else. Two parts, before that and wherever the directory holds other things: the upper directory
//! (`delta0`) and the work directory beside it (`olwork`, else `work`).

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use hull_storage::{Error, ErrorKind, Layout, Placement, Resource, Result};
use hull_unionfs::Chain;

use crate::NAME;

/// What the directory of a volume is called in its owner's directory.
const USUAL: &str = "overlay";
/// The upper directory's name in it.
const DELTA: &str = "delta";
/// The work directory's name in it.
const WORK: &str = "work";
/// The upper directory's name in an owner's directory before LXC 4.0.
const OLD_DELTA: &str = "delta0";
/// The work directory's name there.
const OLD_WORK: &str = "olwork";

/// The layout of a new volume over `lower` whose place is `to`.
pub(crate) fn layout_at(to: &Placement, lower: Vec<PathBuf>) -> Layout {
    let part = to.path(USUAL);
    Layout {
        at: Chain { lower, upper: part.join(DELTA) }.locator(NAME),
        parts: vec![Resource::new(NAME, part)],
    }
}

/// The upper and the work directory of a volume that is one directory.
pub(crate) fn inside(part: &Path) -> (PathBuf, PathBuf) {
    (part.join(DELTA), part.join(WORK))
}

/// The directory that is the whole volume, if `upper` can belong to one.
pub(crate) fn part_of(upper: &Path) -> Option<&Path> {
    let part = upper.parent()?;
    (upper.file_name()? == DELTA && part.file_name().is_some()).then_some(part)
}

/// Whether an entry of the directory that is the volume belongs to it.
pub(crate) fn belongs(name: &OsStr) -> bool {
    name == DELTA || name == WORK
}

/// Where the work directory of `upper` may be, in order of preference.
pub(crate) fn work_candidates(upper: &Path) -> Vec<PathBuf> {
    let name = upper.file_name().unwrap_or_default().as_bytes();
    let (mark, leaf) = split_mark(name);
    let beside = |work: &str| {
        let mut name = OsStr::from_bytes(mark).to_owned();
        name.push(work);
        upper.with_file_name(name)
    };
    work_names(leaf).iter().map(|work| beside(work)).collect()
}

/// The layout of a volume of one or two parts, whose place is `to`.
pub(crate) fn moved(layout: &Layout, to: &Placement) -> Result<Layout> {
    let Chain { lower, upper } = Chain::read(&layout.at)?;
    if layout.parts.len() == 1 && part_of(&upper) == Some(layout.parts[0].path()) {
        return Ok(layout_at(to, lower));
    }
    let leaf = upper.file_name().ok_or_else(|| {
        Error::new(ErrorKind::InvalidInput, format!("the upper directory of {} has no name", layout.at))
    })?;
    let (_, leaf) = split_mark(leaf.as_bytes());
    // A leaf of other bytes than UTF-8 can only stay what it is, and in its owner's directory it is not usual.
    let upper = to.path(std::str::from_utf8(leaf).unwrap_or(OLD_DELTA));
    let mut parts = vec![Resource::new(NAME, upper.clone())];
    if layout.parts.len() > 1 {
        let new = upper.file_name().unwrap_or_default().as_bytes();
        let work = work_names(split_mark(new).1)[0];
        parts.push(Resource::new(NAME, to.beside(OsStr::new(work))));
    }
    Ok(Layout { at: Chain { lower, upper }.locator(NAME), parts })
}

/// What the work directory beside an upper directory called `leaf` is called.
fn work_names(leaf: &[u8]) -> &'static [&'static str] {
    if leaf == OLD_DELTA.as_bytes() { &[OLD_WORK, WORK] } else { &[WORK] }
}

/// The mark of a transaction and its dot (`.new-0123456789abcdef.`), and the rest of the name.
fn split_mark(name: &[u8]) -> (&[u8], &[u8]) {
    const LENGTH: usize = ".new-".len() + 16 + 1;
    let marked = (name.starts_with(b".new-") || name.starts_with(b".old-"))
        && name.get(LENGTH - 1) == Some(&b'.')
        && name[5..LENGTH - 1].iter().all(u8::is_ascii_hexdigit);
    if marked { name.split_at(LENGTH) } else { (b"", name) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hull_storage::{Locator, TxId};

    fn parts(layout: &Layout) -> Vec<&Path> {
        layout.parts.iter().map(Resource::path).collect()
    }

    fn path(text: &str) -> &Path {
        Path::new(text)
    }

    #[test]
    fn new_volumes_are_one_directory() {
        let home = Placement::in_home("/lxc/c1", "c1");
        let exact = Placement::exactly(path("/srv/x")).unwrap();
        for (to, at, part) in [
            (home.clone(), "overlay:/l:/lxc/c1/overlay/delta", "/lxc/c1/overlay"),
            (
                home.staged(TxId(7)),
                "overlay:/l:/lxc/c1/.new-0000000000000007.overlay/delta",
                "/lxc/c1/.new-0000000000000007.overlay",
            ),
            (exact, "overlay:/l:/srv/x/delta", "/srv/x"),
        ] {
            let layout = layout_at(&to, vec!["/l".into()]);
            assert_eq!(layout.at.to_string(), at);
            assert_eq!(parts(&layout), [path(part)]);
            assert_eq!(part_of(&Chain::read(&layout.at).unwrap().upper), Some(path(part)));
        }
    }

    #[test]
    fn both_layouts_move() {
        let old = Layout {
            at: Locator::new(NAME, "/l:/lxc/c1/delta0"),
            parts: ["/lxc/c1/delta0", "/lxc/c1/olwork"].map(|p| Resource::new(NAME, p)).into(),
        };
        let one = layout_at(&Placement::in_home("/lxc/c1", "c1"), vec!["/l".into()]);
        let home = Placement::in_home("/lxc/c2", "c2");
        let aside = Placement::exactly(path("/lxc/c1/delta0")).unwrap().doomed(TxId(7));
        let elsewhere = Placement::exactly(path("/srv/x")).unwrap();
        for (layout, to, at, expected) in [
            (&one, &home, "/l:/lxc/c2/overlay/delta", vec!["/lxc/c2/overlay"]),
            (&one, &elsewhere, "/l:/srv/x/delta", vec!["/srv/x"]),
            (&old, &home, "/l:/lxc/c2/delta0", vec!["/lxc/c2/delta0", "/lxc/c2/olwork"]),
            (&old, &elsewhere, "/l:/srv/x", vec!["/srv/x", "/srv/work"]),
            (
                &old,
                &aside,
                "/l:/lxc/c1/.old-0000000000000007.delta0",
                vec!["/lxc/c1/.old-0000000000000007.delta0", "/lxc/c1/.old-0000000000000007.olwork"],
            ),
        ] {
            let moved = moved(layout, to).unwrap();
            assert_eq!(moved.at.at(), at);
            assert_eq!(parts(&moved), expected.iter().map(|p| path(p)).collect::<Vec<_>>());
        }
    }

    #[test]
    fn the_work_directory_is_beside_the_upper_one() {
        for (upper, works) in [
            ("/c/overlay/delta", vec!["/c/overlay/work"]),
            ("/c/delta0", vec!["/c/olwork", "/c/work"]),
            ("/c/changes", vec!["/c/work"]),
            (
                "/c/.old-0000000000000007.delta0",
                vec!["/c/.old-0000000000000007.olwork", "/c/.old-0000000000000007.work"],
            ),
        ] {
            let expected: Vec<_> = works.iter().map(PathBuf::from).collect();
            assert_eq!(work_candidates(path(upper)), expected);
        }
    }
}
