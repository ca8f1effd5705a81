//! Copying one entry.

use std::ffi::CStr;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{FileType, Mode, OFlags, Statx, makedev};
use rustix::io::Errno;

use crate::attributes::{copy_attributes, copy_mode, copy_owner, copy_times};
use crate::copy::{Copier, Counts, Keep};
use crate::data::copy_content;
use crate::dir::{Identity, Mounts, SCRATCH, file_type, open_dir, open_entry, status};
use crate::error::{Context, Error, ErrorKind, Result};
use crate::links::{Linked, Staging};
use crate::observe::Tally;
use crate::renew::Compared;
use crate::xattr::{Inode, XattrBuffers};

/// A directory of the source and its copy.
#[derive(Debug)]
pub(crate) struct Pair {
    pub(crate) source: OwnedFd,
    pub(crate) target: OwnedFd,
}

/// A directory that was made and whose content is to be copied.
#[derive(Debug)]
pub(crate) struct Child {
    pub(crate) pair: Pair,
    pub(crate) source_status: Statx,
    pub(crate) target_identity: Identity,
}

/// One worker's means to copy entries.
pub(crate) struct EntryCopier<'a> {
    pub(crate) copier: &'a Copier<'a>,
    pub(crate) tally: Tally<'a>,
    pub(crate) xattrs: XattrBuffers,
    pub(crate) scratch: Vec<MaybeUninit<u8>>,
    buffer: Vec<u8>,
}

/// How a name in the destination was taken.
enum Made<T> {
    New(T),
    /// The name was taken.
    Occupied,
    /// It may not be made, and the options say to leave it out.
    LeftOut,
}

impl<'a> EntryCopier<'a> {
    const BUFFER: usize = 256 * 1024;

    pub(crate) fn new(copier: &'a Copier<'a>) -> Self {
        Self {
            copier,
            tally: Tally::new(&copier.progress),
            xattrs: XattrBuffers::new(),
            scratch: vec![MaybeUninit::uninit(); SCRATCH],
            buffer: vec![0; Self::BUFFER],
        }
    }

    /// Copies the entry `name`, said to be of type `kind`. `at_top` says that it lies directly in the root.
    ///
    /// A directory is made, and returned for its content to be copied. An earlier copy's stays, if it is the same one's.
    pub(crate) fn copy(
        &mut self,
        pair: &Pair,
        name: &CStr,
        kind: FileType,
        at_top: bool,
    ) -> Result<Option<Child>> {
        match self.compare(pair, name)? {
            Compared::Same => return Ok(None),
            Compared::Directory(child) => return Ok(Some(*child)),
            Compared::Different => {}
        }
        let mounts = self.copier.mounts;
        if kind == FileType::Directory {
            match open_dir(&pair.source, name, mounts) {
                Ok(source) => {
                    let status = status(&source).call("statx")?;
                    return self.make_directory(pair, source, status, name, at_top);
                }
                Err(Errno::XDEV) => return self.make_mount_point(pair, name, at_top).map(|()| None),
                // It is something else by now, or may not be read: find out below.
                Err(Errno::NOTDIR | Errno::LOOP) => {}
                Err(Errno::NOENT | Errno::STALE) => return self.vanished().map(|()| None),
                Err(errno) => return Err(Error::os("openat2(O_DIRECTORY)", errno)),
            }
        }
        match self.copy_new(pair, name, at_top)? {
            None => Ok(None),
            Some((source, status)) => {
                let readable = open_dir(&source, c".", Mounts::Cross).call("openat2(O_DIRECTORY)")?;
                self.make_directory(pair, readable, status, name, at_top)
            }
        }
    }

    /// Copies the entry `name`, unless it is a directory: then it returns true, and nothing is made.
    pub(crate) fn copy_unless_directory(&mut self, pair: &Pair, name: &CStr, at_top: bool) -> Result<bool> {
        match self.compare(pair, name)? {
            Compared::Same => Ok(false),
            Compared::Directory(_) => Ok(true),
            Compared::Different => Ok(self.copy_new(pair, name, at_top)?.is_some()),
        }
    }

    /// Copies the entry `name`, whose place is free, unless it is a directory: that is returned, and nothing is made.
    fn copy_new(&mut self, pair: &Pair, name: &CStr, at_top: bool) -> Result<Option<(OwnedFd, Statx)>> {
        // O_PATH opens nothing: no fifo blocks, no device wakes up, no symlink is followed.
        let source = match open_entry(&pair.source, name, OFlags::PATH, self.copier.mounts) {
            Ok(source) => source,
            Err(Errno::XDEV) => return self.make_mount_point(pair, name, at_top).map(|()| None),
            Err(Errno::NOENT | Errno::STALE) => return self.vanished().map(|()| None),
            Err(errno) => return Err(Error::os("openat2(O_PATH)", errno)),
        };
        let status = status(&source).call("statx")?;
        if file_type(&status) == FileType::Directory {
            return Ok(Some((source, status)));
        }
        self.copy_leaf(pair, &source, &status, name, at_top)?;
        Ok(None)
    }

    /// Gives a directory whose content is complete the attributes of its source.
    pub(crate) fn finish_directory(&mut self, pair: &Pair, source_status: &Statx) -> Result<()> {
        if self.copier.earlier.is_some() {
            self.xattrs.remove_others(Inode::Open(pair.source.as_fd()), Inode::Open(pair.target.as_fd()))?;
        }
        let lost = copy_attributes(
            Inode::Open(pair.source.as_fd()),
            source_status,
            Inode::Open(pair.target.as_fd()),
            self.copier.options,
            &self.copier.proc,
            &mut self.xattrs,
        )?;
        self.copier.counts.lose(lost);
        Ok(())
    }

    fn make_directory(
        &mut self,
        pair: &Pair,
        source: OwnedFd,
        source_status: Statx,
        name: &CStr,
        at_top: bool,
    ) -> Result<Option<Child>> {
        self.copier.refuse_inside(Identity::of(&source_status))?;
        // Nobody else may look in until the owner and the mode are set.
        match rustix::fs::mkdirat(&pair.target, name, Mode::RWXU) {
            Ok(()) => {}
            Err(Errno::EXIST) => return self.occupied(at_top).map(|()| None),
            Err(errno) => return Err(Error::os("mkdirat", errno)),
        }
        let target = open_dir(&pair.target, name, Mounts::Refuse).call("openat2(O_DIRECTORY)")?;
        let target_identity = Identity::of(&status(&target).call("statx")?);
        if let Some(pairs) = self.copier.pairs {
            pairs.insert(&source_status, target_identity);
        }
        self.tally.add(1, 0)?;
        Ok(Some(Child { pair: Pair { source, target }, source_status, target_identity }))
    }

    /// Leaves a place to mount on. Its attributes are those of what is mounted, without extended ones,
    /// which speak about another file system.
    fn make_mount_point(&mut self, pair: &Pair, name: &CStr, at_top: bool) -> Result<()> {
        let status = match open_entry(&pair.source, name, OFlags::PATH, Mounts::Cross) {
            Ok(mounted) => status(&mounted).call("statx")?,
            Err(Errno::NOENT | Errno::STALE) => return self.vanished(),
            Err(errno) => return Err(Error::os("openat2(O_PATH)", errno)),
        };
        let made = if file_type(&status) == FileType::Directory {
            rustix::fs::mkdirat(&pair.target, name, Mode::RWXU)
        } else {
            rustix::fs::openat(&pair.target, name, Staging::CREATE, Mode::RUSR | Mode::WUSR).map(drop)
        };
        match made {
            Ok(()) => {}
            Err(Errno::EXIST) => return self.occupied(at_top),
            Err(errno) => return Err(Error::os("mkdirat", errno)),
        }
        let target = open_entry(&pair.target, name, OFlags::PATH, Mounts::Refuse).call("openat2(O_PATH)")?;
        let target = Inode::PathOnly(target.as_fd());
        copy_owner(&status, target, self.copier.options)?;
        if file_type(&status) == FileType::Directory || file_type(&status) == FileType::RegularFile {
            copy_mode(&status, target, &self.copier.proc, 0o1777)?;
        }
        copy_times(&status, target)?;
        Counts::one(&self.copier.counts.mount_points);
        self.tally.add(1, 0)
    }

    /// Copies anything but a directory.
    fn copy_leaf(
        &mut self,
        pair: &Pair,
        source: &OwnedFd,
        status: &Statx,
        name: &CStr,
        at_top: bool,
    ) -> Result<()> {
        if status.stx_nlink > 1 {
            return self.copy_linked(pair, source, status, name, at_top);
        }
        match self.make_leaf(&pair.target, name, source, status)? {
            Made::New(target) => {
                self.fill_leaf(source, status, &target)?;
                self.tally.add(1, 0)
            }
            Made::Occupied => self.occupied(at_top),
            Made::LeftOut => Ok(()),
        }
    }

    /// Copies one link of an inode that has several.
    fn copy_linked(
        &mut self,
        pair: &Pair,
        source: &OwnedFd,
        status: &Statx,
        name: &CStr,
        at_top: bool,
    ) -> Result<()> {
        let staging = &self.copier.staging;
        let staged = Staging::name_of(status);
        // Each turn that does not return lost a race against another worker, or against a source whose
        // links come and go.
        for _ in 0..100 {
            match staging.link(&staged, status.stx_nlink, &pair.target, name)? {
                Linked::Done => {
                    Counts::one(&self.copier.counts.hard_links);
                    return self.tally.add(1, 0);
                }
                Linked::Occupied => return self.occupied(at_top),
                Linked::Absent => {}
            }
            let target = match self.make_leaf(staging.directory()?, &staged, source, status)? {
                Made::New(target) => target,
                Made::Occupied => continue,
                Made::LeftOut => return Ok(()),
            };
            // Other workers may link it from now on; they share the inode, so they share what follows.
            let linked = staging.link(&staged, status.stx_nlink, &pair.target, name)?;
            self.fill_leaf(source, status, &target)?;
            match linked {
                Linked::Done => return self.tally.add(1, 0),
                Linked::Occupied => return self.occupied(at_top),
                Linked::Absent => {}
            }
        }
        Err(Error::found(
            ErrorKind::Changed,
            "its links keep changing",
            "stop what changes the tree and try again",
        ))
    }

    /// Makes an entry without content and attributes, readable by nobody but the caller.
    fn make_leaf(
        &self,
        dir: &OwnedFd,
        name: &CStr,
        source: &OwnedFd,
        status: &Statx,
    ) -> Result<Made<OwnedFd>> {
        let kind = file_type(status);
        let private = Mode::RUSR | Mode::WUSR;
        let made = match kind {
            FileType::RegularFile => match rustix::fs::openat(dir, name, Staging::CREATE, private) {
                Ok(target) => return Ok(Made::New(target)),
                Err(errno) => Err((errno, "openat(O_CREAT)")),
            },
            FileType::Symlink => {
                let text = rustix::fs::readlinkat(source, c"", Vec::new()).call("readlinkat")?;
                rustix::fs::symlinkat(&text, dir, name).map_err(|errno| (errno, "symlinkat"))
            }
            FileType::Fifo | FileType::Socket | FileType::CharacterDevice | FileType::BlockDevice => {
                let device = makedev(status.stx_rdev_major, status.stx_rdev_minor);
                rustix::fs::mknodat(dir, name, kind, private, device).map_err(|errno| (errno, "mknodat"))
            }
            _ => {
                return Err(Error::found(
                    ErrorKind::Unsupported,
                    "an entry of unknown type",
                    "remove it first",
                ));
            }
        };
        match made {
            Ok(()) => {}
            Err((Errno::EXIST, _)) => return Ok(Made::Occupied),
            Err((Errno::PERM, _))
                if matches!(kind, FileType::CharacterDevice | FileType::BlockDevice)
                    && self.copier.options.devices == Keep::WherePermitted =>
            {
                Counts::one(&self.copier.counts.devices_left_out);
                return Ok(Made::LeftOut);
            }
            Err((errno, call)) => return Err(Error::os(call, errno)),
        }
        let target = open_entry(dir, name, OFlags::PATH, Mounts::Refuse).call("openat2(O_PATH)")?;
        let now = crate::dir::status(&target).call("statx")?;
        if file_type(&now) != kind {
            return Err(Error::found(
                ErrorKind::Changed,
                "somebody replaced it in the destination",
                "keep others out of the destination and try again",
            ));
        }
        Ok(Made::New(target))
    }

    /// Gives an entry the content and attributes of its source.
    fn fill_leaf(&mut self, source: &OwnedFd, status: &Statx, target: &OwnedFd) -> Result<()> {
        let copier = self.copier;
        if let Some(pairs) = copier.pairs {
            pairs.insert(status, Identity::of(&crate::dir::status(target).call("statx")?));
        }
        let readable;
        let (from, to) = if file_type(status) == FileType::RegularFile {
            readable = self.open_file(source)?;
            if copier.pairs.is_some() {
                // A write to a mapped page that is dirty already would change no time.
                hull_sys::pages::write_out(&readable).map_err(|e| Error::os("sync_file_range", e.errno()))?;
            }
            let tally = &mut self.tally;
            let content = copy_content(
                readable.as_fd(),
                target.as_fd(),
                status.stx_size,
                (status.stx_dev_major, status.stx_dev_minor),
                &copier.refused,
                &mut self.buffer,
                &mut |bytes| tally.add(0, bytes),
            )?;
            if content.cloned {
                Counts::one(&copier.counts.cloned_files);
            }
            if content.changed {
                Counts::one(&copier.counts.changed);
            }
            (Inode::Open(readable.as_fd()), Inode::Open(target.as_fd()))
        } else {
            (Inode::PathOnly(source.as_fd()), Inode::PathOnly(target.as_fd()))
        };
        let lost = copy_attributes(from, status, to, copier.options, &copier.proc, &mut self.xattrs)?;
        copier.counts.lose(lost);
        Ok(())
    }

    /// Opens the regular file behind an `O_PATH` descriptor for reading, without touching its access time
    /// where allowed.
    fn open_file(&self, source: &OwnedFd) -> Result<OwnedFd> {
        let flags = OFlags::RDONLY | OFlags::NOCTTY;
        match self.copier.proc.reopen(source, flags | OFlags::NOATIME) {
            Err(Errno::PERM) => self.copier.proc.reopen(source, flags),
            result => result,
        }
        .call("open(O_RDONLY)")
    }

    /// The name is taken: by an entry this copy made, when the source's directory showed it twice because it
    /// changed while it was read; or by a stranger's.
    fn occupied(&mut self, at_top: bool) -> Result<()> {
        if at_top && !self.copier.started_empty {
            return Err(Error::os("the destination has an entry of that name", Errno::EXIST));
        }
        Counts::one(&self.copier.counts.changed);
        Ok(())
    }

    #[allow(clippy::unnecessary_wraps, reason = "reads as the outcome it is at each caller")]
    fn vanished(&self) -> Result<()> {
        Counts::one(&self.copier.counts.vanished);
        Ok(())
    }
}
