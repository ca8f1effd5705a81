//! Overwrites a small file inside a volume, without mounting it where that can be avoided.
//!
//! On a union the file is put into the writable layer directly: mounting the union and unmounting it again
//! would make the kernel sync the whole file system below it.

use std::path::PathBuf;

use hull_mount::{DetachedMount, MountSource, UpperDir};
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags, Stat};
use rustix::io::Errno;

use crate::error::{Error, Result};
use crate::volume::Activation;

/// Overwrites the regular file `dir/name` of the volume with `content`. A volume without that file stays as it
/// is. Symlinks are followed only inside the volume; on unions not at all.
pub fn overwrite(volume: &Activation, dir: &str, name: &str, content: &[u8]) -> Result<()> {
    overwrite_and(volume, dir, name, content, || Ok(()))
}

/// [`overwrite`], and then does `act`, before the volume is unmounted if it had to be mounted: a file system may wait for
/// its disk to be, and then waits for both.
pub fn overwrite_and(
    volume: &Activation,
    dir: &str,
    name: &str,
    content: &[u8],
    act: impl FnOnce() -> Result<()>,
) -> Result<()> {
    let file = Target { dir, name, content };
    let mut mounted = None;
    let written = match &volume.plan.source {
        MountSource::Tree(path) => open_dir(CWD, path).and_then(|root| file.in_tree(&root)),
        MountSource::Union { lower, upper: Some(upper), .. } => file.in_layer(lower, upper),
        MountSource::Union { upper: None, .. } => Ok(()),
        MountSource::Filesystem { .. } => {
            let root = mounted.insert(OwnedFd::from(DetachedMount::build(&volume.plan, None)?));
            file.in_tree(root)
        }
    };
    written.map_err(|e| Error::os(format!("cannot write {dir}/{name} in {}", volume.plan), e))?;
    act()
}

type Attempt<T> = rustix::io::Result<T>;

/// The file, and what it shall hold.
struct Target<'a> {
    dir: &'a str,
    name: &'a str,
    content: &'a [u8],
}

impl Target<'_> {
    /// Overwrites the file below `root`; symlinks stay inside it. No such file: nothing.
    fn in_tree(&self, root: &OwnedFd) -> Attempt<()> {
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS | ResolveFlags::NO_XDEV;
        // NONBLOCK: a fifo or device planted there must not hold us up.
        let flags = OFlags::WRONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
        let path = format!("{}/{}", self.dir, self.name);
        let file = match rustix::fs::openat2(root, path, flags, Mode::empty(), resolve) {
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
        rustix::io::write(&file, self.content).map(drop)
    }

    /// Puts the file into the upper layer, as the union itself would copy it up. Nothing where the merged view
    /// has no regular file of that name in a real directory.
    fn in_layer(&self, lower: &[PathBuf], upper: &UpperDir) -> Attempt<()> {
        let upper = open_dir(CWD, &upper.upper)?;
        if is_whited_out(&upper, self.dir)? {
            return Ok(());
        }
        match stat(&upper, self.dir)? {
            Some(dir) if !kind(&dir).is_dir() => return Ok(()),
            Some(_) => {
                let dir = open_dir(&upper, self.dir)?;
                match stat(&dir, self.name)? {
                    Some(file) if kind(&file).is_file() => return self.in_tree(&upper),
                    Some(_) => return Ok(()),
                    None if is_whited_out(&dir, self.name)? || is_opaque(&dir) => return Ok(()),
                    None => {}
                }
            }
            None if is_opaque(&upper) => return Ok(()),
            None => {}
        }
        for layer in lower {
            let layer = open_dir(CWD, layer)?;
            if is_whited_out(&layer, self.dir)? {
                return Ok(());
            }
            let Some(below) = stat(&layer, self.dir)? else { continue };
            if !kind(&below).is_dir() {
                return Ok(());
            }
            let below_dir = open_dir(&layer, self.dir)?;
            match stat(&below_dir, self.name)? {
                Some(file) if kind(&file).is_file() => return self.add(&upper, &below, &file),
                Some(_) => return Ok(()),
                None if is_whited_out(&below_dir, self.name)? || is_opaque(&below_dir) => return Ok(()),
                None => {}
            }
        }
        Ok(())
    }

    /// Adds the file to the layer with the owners and modes the lower layer shows.
    fn add(&self, upper: &OwnedFd, dir: &Stat, file: &Stat) -> Attempt<()> {
        match rustix::fs::mkdirat(upper, self.dir, Mode::RWXU) {
            Ok(()) => own(&open_dir(upper, self.dir)?, dir)?,
            Err(Errno::EXIST) => {}
            Err(e) => return Err(e),
        }
        let dir = open_dir(upper, self.dir)?;
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let new = rustix::fs::openat(&dir, self.name, flags, Mode::RUSR | Mode::WUSR)?;
        rustix::io::write(&new, self.content)?;
        own(&new, file)
    }
}

fn own(fd: &OwnedFd, like: &Stat) -> Attempt<()> {
    let (uid, gid) = (rustix::fs::Uid::from_raw(like.st_uid), rustix::fs::Gid::from_raw(like.st_gid));
    rustix::fs::fchown(fd, Some(uid), Some(gid))?;
    rustix::fs::fchmod(fd, Mode::from_raw_mode(like.st_mode & 0o7777))
}

fn open_dir(at: impl AsFd, path: impl AsRef<std::path::Path>) -> Attempt<OwnedFd> {
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

/// Whether aufs' marker file says that nothing below is called `name`. overlayfs' markers are devices of that name.
fn is_whited_out(dir: &OwnedFd, name: &str) -> Attempt<bool> {
    Ok(stat(dir, &format!(".wh.{name}"))?.is_some())
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
    fn only_a_tree_that_has_the_file_is_changed() {
        let dir = tempfile::tempdir().unwrap();
        let at = volume(MountSource::Tree(dir.path().into()));
        overwrite(&at, "etc", "hostname", b"n1\n").unwrap();
        assert!(!dir.path().join("etc").exists());
        fs::create_dir(dir.path().join("etc")).unwrap();
        fs::write(dir.path().join("etc/hostname"), "a longer old name\n").unwrap();
        overwrite(&at, "etc", "hostname", b"n1\n").unwrap();
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
        overwrite(&volume(MountSource::Tree(root.clone())), "etc", "hostname", b"evil").unwrap();
        assert_eq!(fs::read_to_string(&victim).unwrap(), "host");
        fs::remove_dir_all(root.join("etc")).unwrap();
        std::os::unix::fs::symlink(dir.path(), root.join("etc")).unwrap();
        fs::write(dir.path().join("hostname"), "host").unwrap();
        overwrite(&volume(MountSource::Tree(root)), "etc", "hostname", b"evil").unwrap();
        assert_eq!(fs::read_to_string(dir.path().join("hostname")).unwrap(), "host");
    }

    #[test]
    fn what_a_union_hides_stays_hidden() {
        for marker in [".wh.etc", "etc/.wh.hostname", "etc/.wh..wh..opq"] {
            let dir = tempfile::tempdir().unwrap();
            let (lower, upper) = (dir.path().join("l"), dir.path().join("u"));
            fs::create_dir_all(lower.join("etc")).unwrap();
            fs::write(lower.join("etc/hostname"), "old\n").unwrap();
            fs::create_dir_all(upper.join(marker).parent().unwrap()).unwrap();
            fs::write(upper.join(marker), "").unwrap();
            let source = MountSource::Union {
                flavour: Union::Aufs,
                lower: vec![lower],
                upper: Some(UpperDir { upper: upper.clone(), work: None }),
            };
            overwrite(&volume(source), "etc", "hostname", b"n1\n").unwrap();
            assert!(!upper.join("etc/hostname").exists(), "{marker}");
        }
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
        overwrite(&at, "etc", "hostname", b"n1\n").unwrap();
        overwrite(&at, "etc", "hostname", b"n2\n").unwrap();
        assert_eq!(fs::read_to_string(upper.join("etc/hostname")).unwrap(), "n2\n");
        assert_eq!(fs::read_to_string(lower.join("etc/hostname")).unwrap(), "old\n");
    }
}
