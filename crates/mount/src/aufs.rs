//! Builds an aufs mount of any number of branches whose paths may hold any byte.
//!
//! aufs takes a branch as text, `PATH=PERMISSION`, and nothing in it can be escaped: the first `=` ends the path, and
//! in `br=` every `:` ends a branch. So the branches are opened first and named by their `/proc/self/fd/N`: any path
//! will do, however long, and nothing can be swapped between check and use. Each is an option of its own, because
//! fsconfig(2) takes at most 255 bytes a value. An aufs of the time before fsconfig(2) gets the same options from the
//! kernel as one text, in which there is no comma to be afraid of.

use rustix::fd::{BorrowedFd, OwnedFd};
use rustix::io::Errno;
use rustix::mount::MountAttrFlags;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use hull_sys::mount::FsContext;

use crate::detached::{open_dir, refuse_mapping, set_data};
use crate::{Error, Result, UpperDir};

/// The kernel's name of the file system type.
pub(crate) const NAME: &str = "aufs";

/// The branches of a union, uppermost first, and what aufs is to do with each.
///
/// Whiteouts in a branch that is only read are looked at where it is marked so (`wh`); below the lowest there is
/// nothing to hide.
pub(crate) fn branches<'a>(
    lower: &'a [PathBuf],
    upper: Option<&'a UpperDir>,
) -> impl Iterator<Item = (&'a Path, &'static str)> {
    let lowest = lower.len().saturating_sub(1);
    let upper = upper.map(|dirs| (dirs.upper.as_path(), "rw"));
    let lower = lower.iter().enumerate();
    upper
        .into_iter()
        .chain(lower.map(move |(n, path)| (path.as_path(), if n == lowest { "ro" } else { "ro+wh" })))
}

/// Builds the mount. Owners cannot be mapped: aufs has no idmapped mounts.
pub(crate) fn build(
    lower: &[PathBuf],
    upper: Option<&UpperDir>,
    data: &[String],
    attributes: MountAttrFlags,
    userns: Option<BorrowedFd<'_>>,
) -> Result<OwnedFd> {
    refuse_mapping(NAME, userns)?;
    let opened = branches(lower, upper)
        .map(|(path, access)| Ok((path, access, open_dir(path)?)))
        .collect::<Result<Vec<_>>>()?;
    let context = FsContext::open(NAME).map_err(|e| match e.errno() {
        Errno::NODEV => Error::new(
            format!("{}, which no mainline kernel has; boot one with aufs, or clone into overlay", e.call()),
            e.errno(),
        ),
        _ => e,
    })?;
    context.set("source", OsStr::new(NAME))?;
    if upper.is_none() {
        context.flag("ro")?;
    }
    for (path, access, fd) in &opened {
        let mut branch = hull_sys::fd::proc_path(fd).into_os_string();
        branch.push(format!("={access}"));
        context.set("append", &branch).map_err(|e| about(&e, path))?;
    }
    set_data(&context, data)?;
    context.mount(attributes).map_err(|e| match e.errno() {
        Errno::INVAL => {
            Error::new(format!("{} (aufs says in the kernel's log, dmesg, why)", e.call()), e.errno())
        }
        _ => e,
    })
}

/// The failure, with the branch by its name instead of its descriptor's.
fn about(e: &Error, branch: &Path) -> Error {
    Error::new(format!("{} ({})", e.call(), branch.display()), e.errno())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Access, DetachedMount, MountPlan, MountSource, Union};

    fn plan(lower: &[&str], upper: Option<&str>) -> MountPlan {
        let upper = upper.map(|upper| UpperDir { upper: upper.into(), work: None });
        let access = if upper.is_some() { Access::ReadWrite } else { Access::ReadOnly };
        let lower = lower.iter().map(PathBuf::from).collect();
        MountPlan::new(MountSource::Union { flavour: Union::Aufs, lower, upper }, access)
    }

    #[test]
    fn a_plan_reads_like_the_line_lxc_mounts_by() {
        for (plan, line) in [
            (
                plan(&["/l"], Some("/u")).option("xino=/dev/shm/aufs.xino"),
                "aufs aufs rw,br=/u=rw:/l=ro,xino=/dev/shm/aufs.xino",
            ),
            (plan(&["/l1", "/l2"], Some("/u")), "aufs aufs rw,br=/u=rw:/l1=ro+wh:/l2=ro"),
            (plan(&["/u", "/l"], None), "aufs aufs ro,br=/u=ro+wh:/l=ro"),
        ] {
            assert_eq!(plan.to_string(), line);
        }
    }

    #[test]
    fn what_cannot_be_mounted_is_said_in_one_line() {
        let gone = DetachedMount::build(&plan(&["/gone"], None), None).unwrap_err();
        assert_eq!((gone.errno(), gone.to_string().contains("/gone")), (Errno::NOENT, true), "{gone}");
        let known = std::fs::read_to_string("/proc/filesystems").unwrap();
        if !known.contains("\taufs\n") && rustix::process::geteuid().is_root() {
            let e = DetachedMount::build(&plan(&["/etc"], None), None).unwrap_err();
            assert_eq!(e.errno(), Errno::NODEV);
            assert!(e.to_string().contains("which no mainline kernel has; boot one with aufs"), "{e}");
        }
    }
}
