//! Gives a clone its own `/etc/hostname`, where its source has that file.
//!
//! On a union the file is put into the writable layer directly: mounting the union and unmounting it again
//! would make the kernel sync the whole file system below it.

use std::path::Path;

use hull_mount::{DetachedMount, MountSource, UpperDir};
use hull_storage::{Activation, Error, Result};
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags, Stat};
use rustix::io::Errno;

/// Writes `name` into `/etc/hostname` of the volume, if it has that file.
pub(crate) fn write(volume: &Activation, name: &str) -> Result<()> {
    let written = match &volume.plan.source {
        MountSource::Tree(path) => open_dir(CWD, path).and_then(|root| overwrite(&root, name)),
        MountSource::Union { lower, upper: Some(upper), .. } => into_layer(lower, upper, name),
        MountSource::Union { upper: None, .. } => Ok(()),
        MountSource::Filesystem { .. } => {
            let root = OwnedFd::from(DetachedMount::build(&volume.plan, None)?);
            overwrite(&root, name)
        }
    };
    written.map_err(|e| Error::os("cannot write the new name into etc/hostname", e))
}

type Attempt<T> = rustix::io::Result<T>;

/// Overwrites the regular file `etc/hostname` below `root`; symlinks stay inside it. No such file: nothing.
fn overwrite(root: &OwnedFd, name: &str) -> Attempt<()> {
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS | ResolveFlags::NO_XDEV;
    // NONBLOCK: a fifo or device planted there must not hold us up.
    let flags = OFlags::WRONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = match rustix::fs::openat2(root, "etc/hostname", flags, Mode::empty(), resolve) {
        Ok(file) => file,
        Err(Errno::NOENT | Errno::NOTDIR | Errno::NXIO | Errno::LOOP | Errno::XDEV | Errno::ISDIR) => {
            return Ok(());
        }
        Err(e) => return Err(e),
    };
    if !kind(&rustix::fs::fstat(&file)?).is_file() {
        return Ok(());
    }
    rustix::fs::ftruncate(&file, 0)?;
    rustix::io::write(&file, format!("{name}\n").as_bytes()).map(drop)
}

/// Puts the file into the upper layer, as the union itself would copy it up. Nothing where the merged view
/// has no regular file `etc/hostname` in a real directory `etc`.
fn into_layer(lower: &[std::path::PathBuf], upper: &UpperDir, name: &str) -> Attempt<()> {
    let upper = open_dir(CWD, &upper.upper)?;
    match stat(&upper, "etc")? {
        Some(etc) if !kind(&etc).is_dir() => return Ok(()),
        Some(_) => {
            let etc = open_dir(&upper, "etc")?;
            match stat(&etc, "hostname")? {
                Some(file) if kind(&file).is_file() => return overwrite(&upper, name),
                Some(_) => return Ok(()),
                None if is_opaque(&etc) => return Ok(()),
                None => {}
            }
        }
        None if is_opaque(&upper) => return Ok(()),
        None => {}
    }
    for layer in lower {
        let layer = open_dir(CWD, layer)?;
        let Some(below) = stat(&layer, "etc")? else { continue };
        if !kind(&below).is_dir() {
            return Ok(());
        }
        let below_dir = open_dir(&layer, "etc")?;
        match stat(&below_dir, "hostname")? {
            Some(file) if kind(&file).is_file() => return add(&upper, &below, &file, name),
            Some(_) => return Ok(()),
            None if is_opaque(&below_dir) => return Ok(()),
            None => {}
        }
    }
    Ok(())
}

/// Adds `etc/hostname` to the layer with the owners and modes the lower layer shows.
fn add(upper: &OwnedFd, etc: &Stat, file: &Stat, name: &str) -> Attempt<()> {
    match rustix::fs::mkdirat(upper, "etc", Mode::RWXU) {
        Ok(()) => {
            let made = open_dir(upper, "etc")?;
            own(&made, etc)?;
        }
        Err(Errno::EXIST) => {}
        Err(e) => return Err(e),
    }
    let dir = open_dir(upper, "etc")?;
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let new = rustix::fs::openat(&dir, "hostname", flags, Mode::RUSR | Mode::WUSR)?;
    rustix::io::write(&new, format!("{name}\n").as_bytes())?;
    own(&new, file)
}

fn own(fd: &OwnedFd, like: &Stat) -> Attempt<()> {
    let (uid, gid) = (rustix::fs::Uid::from_raw(like.st_uid), rustix::fs::Gid::from_raw(like.st_gid));
    rustix::fs::fchown(fd, Some(uid), Some(gid))?;
    rustix::fs::fchmod(fd, Mode::from_raw_mode(like.st_mode & 0o7777))
}

fn open_dir(at: impl AsFd, path: impl AsRef<Path>) -> Attempt<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::openat(at, path.as_ref(), flags, Mode::empty())
}

fn stat(dir: &OwnedFd, name: &str) -> Attempt<Option<Stat>> {
    match rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some(stat)),
        Err(Errno::NOENT) => Ok(None),
        Err(e) => Err(e),
    }
}

fn kind(stat: &Stat) -> FileType {
    FileType::from_raw_mode(stat.st_mode)
}

/// Whether a layer's directory hides what lies below it: overlayfs' `opaque` attribute, or aufs' marker file.
fn is_opaque(dir: &OwnedFd) -> bool {
    let mut value = [0; 4];
    ["trusted.overlay.opaque", "user.overlay.opaque"]
        .iter()
        .any(|name| matches!(rustix::fs::fgetxattr(dir, *name, &mut value), Ok(1) if value[0] == b'y'))
        || matches!(stat(dir, ".wh..wh..opq"), Ok(Some(_)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use hull_mount::{Access, MountPlan, Union};
    use std::fs;

    fn volume(source: MountSource) -> Activation {
        Activation::of(MountPlan::new(source, Access::ReadWrite))
    }

    #[test]
    fn a_tree_with_the_file_gets_the_name_and_others_do_not() {
        let dir = tempfile::tempdir().unwrap();
        let at = volume(MountSource::Tree(dir.path().into()));
        write(&at, "n1").unwrap();
        assert!(!dir.path().join("etc").exists());
        fs::create_dir(dir.path().join("etc")).unwrap();
        fs::write(dir.path().join("etc/hostname"), "a longer old name\n").unwrap();
        write(&at, "n1").unwrap();
        assert_eq!(fs::read_to_string(dir.path().join("etc/hostname")).unwrap(), "n1\n");
    }

    #[test]
    fn a_planted_symlink_does_not_lead_out() {
        let dir = tempfile::tempdir().unwrap();
        let victim = dir.path().join("victim");
        fs::write(&victim, "host").unwrap();
        let root = dir.path().join("root");
        fs::create_dir_all(root.join("etc")).unwrap();
        std::os::unix::fs::symlink(&victim, root.join("etc/hostname")).unwrap();
        write(&volume(MountSource::Tree(root.clone())), "evil").unwrap();
        assert_eq!(fs::read_to_string(&victim).unwrap(), "host");
        fs::remove_dir_all(root.join("etc")).unwrap();
        std::os::unix::fs::symlink(dir.path(), root.join("etc")).unwrap();
        fs::write(dir.path().join("hostname"), "host").unwrap();
        write(&volume(MountSource::Tree(root)), "evil").unwrap();
        assert_eq!(fs::read_to_string(dir.path().join("hostname")).unwrap(), "host");
    }

    #[test]
    fn a_union_gets_it_in_its_own_layer() {
        let dir = tempfile::tempdir().unwrap();
        let (lower, upper) = (dir.path().join("l"), dir.path().join("u"));
        fs::create_dir_all(lower.join("etc")).unwrap();
        fs::create_dir(&upper).unwrap();
        fs::write(lower.join("etc/hostname"), "old\n").unwrap();
        let source = MountSource::Union {
            flavour: Union::Overlay,
            lower: vec![lower.clone()],
            upper: Some(UpperDir { upper: upper.clone(), work: None }),
        };
        let at = volume(source);
        write(&at, "n1").unwrap();
        write(&at, "n2").unwrap();
        assert_eq!(fs::read_to_string(upper.join("etc/hostname")).unwrap(), "n2\n");
        assert_eq!(fs::read_to_string(lower.join("etc/hostname")).unwrap(), "old\n");
    }
}
