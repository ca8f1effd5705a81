//! Naming for drivers whose volumes are single directories: pure, nothing is looked up.

use std::path::{Path, PathBuf};

use crate::error::{Error, ErrorKind, Result};
use crate::name::{DriverName, Layout, Locator, Resource};
use crate::placement::Placement;

/// The absolute path that `at` names, without what a path may have twice (`//`, `/.`, a slash at its end).
///
/// Fails with [`ErrorKind::InvalidInput`] for a relative path: it would mean something else in each process.
pub fn absolute(at: &Locator) -> Result<PathBuf> {
    let path = at.path();
    if !path.is_absolute() {
        return Err(Error::new(
            ErrorKind::InvalidInput,
            format!("the locator {at} names no absolute path: write {}:/PATH", at.driver()),
        ));
    }
    Ok(path.components().collect())
}

/// The layout of the volume at `path`, which is one directory.
pub fn layout(driver: DriverName, path: PathBuf) -> Layout {
    let parts = vec![Resource::new(driver, path.clone())];
    Layout { at: Locator::new(driver, path), parts }
}

/// Exactly where `path` is.
///
/// Fails with [`ErrorKind::InvalidInput`] for a path without a name, such as `/` or `/srv/..`.
pub fn placement(path: &Path) -> Result<Placement> {
    Placement::exactly(path).ok_or_else(|| {
        Error::new(
            ErrorKind::InvalidInput,
            format!("{} has no name of its own, so nothing can be put aside or moved there", path.display()),
        )
    })
}

/// `path` as it reads once the directory `from` is called `to`; `None` when it does not lie there.
pub fn rebased(path: &Path, from: &Path, to: &Path) -> Option<PathBuf> {
    let below = path.strip_prefix(from).ok()?;
    // Joining nothing would put a slash at the end.
    Some(if below.as_os_str().is_empty() { to.to_path_buf() } else { to.join(below) })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAME: DriverName = DriverName::new("any");

    #[test]
    fn only_absolute_paths_are_places() {
        for (text, path) in [
            ("/srv/rootfs", Some("/srv/rootfs")),
            ("/srv//rootfs/./", Some("/srv/rootfs")),
            ("/", Some("/")),
            ("srv/rootfs", None),
            ("", None),
        ] {
            let read = absolute(&Locator::new(NAME, text));
            assert_eq!(read.ok().as_deref(), path.map(Path::new), "{text:?}");
        }
    }

    #[test]
    fn whole_components_are_rebased() {
        for (path, expected) in [
            ("/lxc/c1", Some("/lxc/c2")),
            ("/lxc/c1/rootfs", Some("/lxc/c2/rootfs")),
            ("/lxc/c10", None),
            ("/lxc", None),
        ] {
            let new = rebased(Path::new(path), Path::new("/lxc/c1"), Path::new("/lxc/c2"));
            assert_eq!(new.as_deref().map(Path::as_os_str), expected.map(std::ffi::OsStr::new), "{path}");
        }
    }

    #[test]
    fn what_has_no_name_has_no_placement() {
        assert!(placement(Path::new("/")).is_err() && placement(Path::new("/a/..")).is_err());
        assert_eq!(placement(Path::new("/a/b")).unwrap().dir(), Path::new("/a"));
    }
}
