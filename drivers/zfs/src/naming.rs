//! Where volumes are: `zfs:POOL/…/NAME`, one dataset below a root dataset; pure, nothing is looked up.

use std::ffi::OsStr;
use std::path::Path;

use hull_storage::{Error, ErrorKind, Layout, Locator, Mark, Placement, Resource, Result, TxId};

use crate::NAME;

/// What a name may have at most: 255 bytes, less what `@`, a stamp and one byte take in a snapshot's name.
const LONGEST: usize = 255 - 24;
/// The length of the stamp that proves whose a name is: `.new-` or `.old-` and sixteen digits.
const STAMP: usize = 21;
/// What a name is refused with.
const ALLOWED: &str =
    "a name in zfs has letters, digits and - _ . : and spaces, and with its dataset at most 231 bytes";

/// The dataset in which the volume at `to` will be: the placement's own, where it is a name in a pool; else that of
/// the source it is cloned from; else `root`.
pub(crate) fn root_for<'a>(to: &'a Placement, source: Option<&'a str>, root: &'a str) -> Result<&'a str> {
    let dir = to.dir();
    if dir.is_relative() && !dir.as_os_str().is_empty() {
        return text(dir.as_os_str());
    }
    if dir.is_relative() {
        let name = to.pooled();
        return Err(Error::new(
            ErrorKind::InvalidInput,
            format!("{} names a pool: write POOL/NAME, or POOL/DATASET/NAME", Path::new(&name).display()),
        ));
    }
    Ok(source.and_then(parent).unwrap_or(root))
}

/// The dataset of the volume that is called `pooled` in `root`.
pub(crate) fn dataset(root: &str, pooled: &OsStr) -> Result<String> {
    let name = text(pooled)?;
    let mut whole = format!("{root}/{name}");
    if name.contains('/') || !root.split('/').chain([name]).all(is_component) {
        return Err(refused(&whole));
    }
    if let (true, Some(stamp)) = (whole.len() > LONGEST, stamp(name)) {
        // The stamp alone makes the name unique; the rest is for people.
        let kept = LONGEST.checked_sub(stamp.len()).filter(|&kept| kept > root.len() + 1);
        whole = format!("{}{stamp}", &whole[..kept.ok_or_else(|| refused(&whole))?]);
    }
    match whole.len() > LONGEST {
        true => Err(refused(&whole)),
        false => Ok(whole),
    }
}

/// The layout of the volume that is `dataset`; if it is a clone that a transaction is making, with the snapshot it is
/// made of.
pub(crate) fn layout(dataset: &str, origin: Option<&str>) -> Layout {
    let parts = origin.into_iter().chain([dataset]).map(|name| Resource::new(NAME, name)).collect();
    Layout { at: Locator::new(NAME, dataset), parts }
}

/// The snapshot of `source` that the clone called `pooled` is made of, when a transaction makes it.
pub(crate) fn origin_for(source: &str, pooled: &OsStr) -> Option<String> {
    let name = pooled.to_str()?;
    stamp(name).map(|stamp| origin(source, &name[..name.len() - stamp.len()], stamp))
}

/// The snapshot of `source` for a clone called `name`, which `stamp` makes the transaction's.
pub(crate) fn origin(source: &str, name: &str, stamp: &str) -> String {
    let room = 255usize.saturating_sub(source.len() + 1 + stamp.len());
    format!("{source}@{}{stamp}", &name[..name.len().min(room)])
}

/// The snapshot among a layout's parts.
pub(crate) fn snapshot_in(layout: &Layout) -> Option<&str> {
    layout.parts.iter().filter_map(|p| p.name.to_str()).find(|name| name.contains('@'))
}

/// The transaction that made the snapshot `name` for the clone it was making.
pub(crate) fn maker_of_clones(name: &str) -> Option<TxId> {
    // A stamp in front of the `@` is the dataset's.
    let (_, name) = name.split_once('@')?;
    Resource::new(NAME, name).stamped().filter(|(mark, _)| *mark == Mark::New).map(|(_, by)| by)
}

/// The dataset that holds `dataset`.
pub(crate) fn parent(dataset: &str) -> Option<&str> {
    dataset.rsplit_once('/').map(|(parent, _)| parent)
}

/// The pool that `name` is in.
pub(crate) fn pool(name: &str) -> &str {
    name.split(['/', '@']).next().unwrap_or(name)
}

/// Whether `name` is `dataset` or something in it: a child, a snapshot.
pub(crate) fn is_within(name: &str, dataset: &str) -> bool {
    name.strip_prefix(dataset).is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '@']))
}

/// `mountpoint` as it should read once the dataset `from` is called `to`, where it lies in a home of that name.
pub(crate) fn moved_mountpoint(mountpoint: &str, from: &str, to: &str) -> Option<String> {
    let (old, new) = (from.rsplit('/').next()?, to.rsplit('/').next()?);
    let homes = mountpoint.strip_suffix("/rootfs")?.strip_suffix(old)?;
    (homes.ends_with('/') && old != new && stamp(old).is_none() && stamp(new).is_none())
        .then(|| format!("{homes}{new}/rootfs"))
}

/// The locator's dataset; `None` for the path of a mount point, as LXC before 2.1 wrote it.
pub(crate) fn named(at: &Locator) -> Result<Option<&str>> {
    let name = text(at.at())?;
    match name.starts_with('/') {
        true => Ok(None),
        // What exists may be longer than what we would make.
        false if name.len() <= 255 && name.split('/').all(is_component) => Ok(Some(name)),
        false => Err(refused(name)),
    }
}

/// Whether a transaction makes or removes what is called so.
pub(crate) fn is_stamped(name: &str) -> bool {
    stamp(name).is_some()
}

/// `name` without what a transaction added to it.
pub(crate) fn unstamped(name: &str) -> &str {
    stamp(name).and_then(|stamp| name.strip_suffix(stamp)).unwrap_or(name)
}

/// The end of a name that proves whose it is.
fn stamp(name: &str) -> Option<&str> {
    let stamp = name.get(name.len().checked_sub(STAMP)?..)?;
    let digits = stamp.strip_prefix(".new-").or_else(|| stamp.strip_prefix(".old-"))?;
    digits.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)).then_some(stamp)
}

/// `%` is for zfs itself.
fn is_component(name: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-_.: ".contains(&b);
    !name.is_empty() && name != "." && name != ".." && name.bytes().all(allowed)
}

fn text(name: &OsStr) -> Result<&str> {
    name.to_str().ok_or_else(|| refused(&name.to_string_lossy()))
}

fn refused(name: &str) -> Error {
    Error::new(ErrorKind::InvalidInput, format!("there can be no dataset {name:?}: {ALLOWED}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exactly(path: &str) -> Placement {
        Placement::exactly(Path::new(path)).unwrap()
    }

    #[test]
    fn the_root_is_the_places_the_sources_or_the_settings() {
        let home = Placement::in_home("/lxc/c1", "c1");
        for (to, source, expected) in [
            (&home, None, "lxc/c1"),
            (&home, Some("tank/lxc/base"), "tank/lxc/c1"),
            (&exactly("/srv/x"), None, "lxc/x"),
            (&exactly("tank/a b/x"), Some("tank/lxc/base"), "tank/a b/x"),
            (&home.staged(TxId(7)), None, "lxc/c1.new-0000000000000007"),
            (&home.doomed(TxId(7)), None, "lxc/c1.old-0000000000000007"),
        ] {
            let root = root_for(to, source, "lxc").unwrap();
            assert_eq!(dataset(root, &to.pooled()).unwrap(), expected);
        }
        assert!(root_for(&exactly("tank"), None, "lxc").is_err());
    }

    #[test]
    fn only_names_that_zfs_takes() {
        for good in ["c1", "a b", " a", "a:b", "-rf", "a.b_c-d", "..a"] {
            assert_eq!(dataset("tank/lxc", good.as_ref()).unwrap(), format!("tank/lxc/{good}"));
        }
        for bad in ["", ".", "..", "a/b", "a@b", "a#b", "a%b", "a,b", "a\\b", "a=b", "ü", "a\nb", "'"] {
            let e = dataset("tank/lxc", bad.as_ref()).unwrap_err();
            assert_eq!(e.kind(), ErrorKind::InvalidInput, "{bad}");
            assert_eq!(e.to_string().lines().count(), 1, "{e}");
        }
        assert!(dataset("tank/%recv", "c1".as_ref()).is_err());
        assert!(named(&Locator::new(NAME, "tank/lxc/")).is_err());
        assert_eq!(named(&Locator::new(NAME, "/srv/c1/rootfs")).unwrap(), None);
    }

    /// Every name that may be made can be staged, doomed and snapshotted.
    #[test]
    fn long_names_lose_what_is_for_people() {
        let longest = "n".repeat(LONGEST - "lxc/".len());
        assert!(dataset("lxc", format!("{longest}n").as_ref()).is_err());
        let whole = dataset("lxc", longest.as_ref()).unwrap();
        let to = Placement::in_home("/lxc/c", &longest);
        for to in [to.staged(TxId(9)), to.doomed(TxId(9))] {
            let marked = dataset("lxc", &to.pooled()).unwrap();
            assert!(
                marked.len() <= LONGEST && Resource::new(NAME, marked.as_str()).carries(TxId(9)),
                "{marked}"
            );
            let origin = origin_for(&whole, &to.pooled()).unwrap();
            assert!(origin.len() <= 255 && Resource::new(NAME, origin.as_str()).carries(TxId(9)), "{origin}");
        }
        assert_eq!(origin_for("lxc/a", "b".as_ref()), None);
        assert_eq!(origin("lxc/a", "b", ".new-0000000000000009"), "lxc/a@b.new-0000000000000009");
    }

    /// `c1` is in many names that are not its own.
    #[test]
    fn whole_names_are_compared() {
        assert!(is_within("tank/c1", "tank/c1") && is_within("tank/c1/x", "tank/c1"));
        assert!(is_within("tank/c1@x", "tank/c1") && !is_within("tank/c10", "tank/c1"));
        assert_eq!(pool("tank/c1@x"), "tank");
        assert_eq!(pool("tank"), "tank");
    }

    #[test]
    fn a_mountpoint_in_a_home_follows_it() {
        let moved = |m| moved_mountpoint(m, "tank/c1", "tank/web");
        assert_eq!(moved("/lxc/c1/rootfs").as_deref(), Some("/lxc/web/rootfs"));
        for other in ["/lxc/xc1/rootfs", "/lxc/c1/root", "legacy", "none", "/srv/rootfs"] {
            assert_eq!(moved(other), None, "{other}");
        }
        let aside = "tank/c1.old-0000000000000007";
        assert_eq!(moved_mountpoint("/lxc/c1/rootfs", "tank/c1", aside), None);
    }
}
