//! What the store itself does to the world: owners' directories, small files, tree copies.
//!
//! A trait, so that the crash loop can run it all on a simulated machine.

pub mod patch;

use std::fmt::Debug;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use hull_mount::{DetachedMount, MountSource};
use hull_sys::lock::{Contention, Kind};
use hull_treecopy::{CopyOptions, Draft, ImageOptions, Observer};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags};
use rustix::io::Errno;
use rustix::pipe::SpliceFlags;

use crate::driver::Outcome;
use crate::error::{Error, ErrorKind, Result};
use crate::facets::BlockImage;
use crate::files;
use crate::journal::Durability;
use crate::name::{Mark, Resource, TxId};
use crate::plan::{HOME, Step};
use crate::volume::Activation;

/// What the store itself does to the world. Each act is exclusive or idempotent, as a driver's are.
pub trait Host: Debug + Send + Sync {
    /// Makes the owner's directory `home` with the marker `partial` in it, both at once; fails with
    /// [`ErrorKind::AlreadyExists`] rather than adopt one.
    fn make_home(&self, home: &Path, mode: u32, owner: Option<(u32, u32)>, by: TxId) -> Result<()>;
    /// Undoes [`Host::make_home`]: removes what `by` made, and nothing else.
    fn unmake_home(&self, home: &Path, by: TxId) -> Result<()>;
    /// Takes the marker away: the home is whole.
    fn finish_home(&self, home: &Path, by: TxId) -> Result<()>;
    /// Renames a home as [`crate::Driver::rename`] does.
    fn rename_home(&self, from: &Resource, to: &Resource) -> Result<Outcome>;
    /// Removes a home as [`crate::Driver::reclaim_observed`] does.
    fn reclaim_home(&self, what: &Resource, observer: &dyn Observer) -> Result<Outcome>;
    /// Replaces the content of a small file; `None` removes it. A new one gets `mode`.
    fn write(&self, file: &Path, content: Option<&[u8]>, mode: u32, by: TxId) -> Result<()>;
    /// Copies all files of one volume into another, empty one.
    fn fill(&self, from: &Activation, to: &Activation) -> Result<()>;
    /// Copies what can be copied of the files of one volume, which may be changed meanwhile, into another, empty one, for
    /// [`Host::catch_up`] to do the rest.
    fn draft(&self, from: &Activation, to: &Activation) -> Result<Draft>;
    /// Copies what has changed since the draft, or is not in it: then a volume holds the files of another as they are now.
    fn catch_up(&self, from: &Activation, to: &Activation, draft: &Draft) -> Result<()>;
    /// Copies the blocks of one volume into another, whose blocks are at least as many.
    fn fill_blocks(&self, from: &BlockImage, to: &BlockImage) -> Result<()>;
    /// Carries what comes out of one pipe into another until it ends.
    fn carry(&self, from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> Result<()>;
    /// Overwrites the regular file `dir/name` inside a volume, if it has that file.
    fn patch(&self, volume: &Activation, dir: &str, name: &str, content: &[u8]) -> Result<()>;
    /// What the journal, and all it tells of, is meant to survive.
    fn durability(&self) -> Durability;
    /// Returns once everything in a volume would survive what the journal is meant to survive; `ready` readies it where
    /// that takes a look at it.
    fn persist_volume(&self, ready: &dyn Fn() -> Result<Activation>) -> Result<()>;
    /// Returns once the effect of `step` would survive what the journal is meant to survive.
    fn persist(&self, step: &Step) -> Result<()>;
}

/// LXC's marker of a half-made container. Ours holds the transaction's id; LXC looks only whether it exists.
pub const PARTIAL: &str = "partial";

/// The machine this process runs on.
pub struct RealHost {
    observer: Box<dyn Observer + Send>,
    durability: Durability,
    /// The markers of homes being made, kept locked so that LXC, too, sees that somebody is at work.
    markers: Mutex<Vec<(PathBuf, OwnedFd)>>,
}

impl Debug for RealHost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RealHost").field("durability", &self.durability).finish_non_exhaustive()
    }
}

impl RealHost {
    /// A host that tells `observer` how far copies have come; it may cancel them.
    pub fn new(observer: Box<dyn Observer + Send>, durability: Durability) -> Self {
        Self { observer, durability, markers: Mutex::new(Vec::new()) }
    }

    fn markers(&self) -> std::sync::MutexGuard<'_, Vec<(PathBuf, OwnedFd)>> {
        // Each change of the list is complete in itself.
        self.markers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has `act` copy one volume's files into another.
    fn copy<T>(
        &self,
        from: &Activation,
        to: &Activation,
        act: impl FnOnce(BorrowedFd<'_>, BorrowedFd<'_>, &CopyOptions<'_>) -> hull_treecopy::Result<T>,
    ) -> Result<T> {
        let (source, target) = (open(from)?, open(to)?);
        let options = CopyOptions { observer: &*self.observer, ..CopyOptions::default() };
        act(source.as_fd(), target.as_fd(), &options)
            .map_err(|e| Error::tree(format!("cannot copy {} to {}", place(from), place(to)), e))
    }

    /// Whether the marker in `home` says that `tx` is making it.
    fn is_being_made(home: &Path, tx: TxId) -> Result<bool> {
        Ok(files::read(&home.join(PARTIAL))?.is_some_and(|text| text == tx.to_string().as_bytes()))
    }
}

impl Host for RealHost {
    fn make_home(&self, home: &Path, mode: u32, owner: Option<(u32, u32)>, by: TxId) -> Result<()> {
        let staged = Mark::New.sibling(home, by);
        files::make_dir(&staged, mode, owner)?;
        let marker = staged.join(PARTIAL);
        let failed = |e| Error::os(format!("cannot write {}", marker.display()), e);
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::RDWR | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(CWD, &marker, flags, Mode::RUSR | Mode::WUSR).map_err(failed)?;
        rustix::io::write(&fd, by.to_string().as_bytes()).map_err(failed)?;
        if self.durability == Durability::Power {
            // A home that is there after a power cut, and its marker empty, would be nobody's to remove.
            rustix::fs::fsync(&fd).map_err(failed)?;
        }
        let _ = hull_sys::lock::lock(&fd, Kind::Exclusive, Contention::Fail)?;
        files::rename(&Resource::new(HOME, staged), &Resource::new(HOME, home))?;
        self.markers().push((home.to_path_buf(), fd));
        Ok(())
    }

    fn unmake_home(&self, home: &Path, by: TxId) -> Result<()> {
        self.markers().retain(|(path, _)| path != home);
        let aside = Mark::Old.sibling(home, by);
        if Self::is_being_made(home, by)? {
            // Moved aside first: once the marker is gone from it, only its name proves whose it is.
            files::rename(&Resource::new(HOME, home), &Resource::new(HOME, aside.clone()))?;
        }
        for mine in [aside, Mark::New.sibling(home, by)] {
            // Undoing does not stop when the caller has asked to.
            files::reclaim(&Resource::new(HOME, mine), &())?;
        }
        Ok(())
    }

    fn finish_home(&self, home: &Path, by: TxId) -> Result<()> {
        if Self::is_being_made(home, by)? {
            let marker = home.join(PARTIAL);
            rustix::fs::unlinkat(CWD, &marker, AtFlags::empty())
                .map_err(|e| Error::os(format!("cannot remove {}", marker.display()), e))?;
        }
        self.markers().retain(|(path, _)| path != home);
        Ok(())
    }

    fn rename_home(&self, from: &Resource, to: &Resource) -> Result<Outcome> {
        files::rename(from, to)
    }

    fn reclaim_home(&self, what: &Resource, observer: &dyn Observer) -> Result<Outcome> {
        files::reclaim(what, observer)
    }

    fn write(&self, file: &Path, content: Option<&[u8]>, mode: u32, by: TxId) -> Result<()> {
        files::replace(file, &Mark::New.sibling(file, by), content, mode)
    }

    fn fill(&self, from: &Activation, to: &Activation) -> Result<()> {
        self.copy(from, to, |from, to, options| hull_treecopy::copy_tree(from, to, options).map(drop))
    }

    fn draft(&self, from: &Activation, to: &Activation) -> Result<Draft> {
        self.copy(from, to, hull_treecopy::draft_tree)
    }

    fn catch_up(&self, from: &Activation, to: &Activation, draft: &Draft) -> Result<()> {
        self.copy(from, to, |from, to, options| {
            hull_treecopy::update_tree(from, to, draft, options).map(drop)
        })
    }

    fn fill_blocks(&self, from: &BlockImage, to: &BlockImage) -> Result<()> {
        let options = ImageOptions { zeroed: to.zeroed, share: true, observer: &*self.observer };
        hull_treecopy::copy_image(from.file.as_fd(), to.file.as_fd(), from.size.0, &options)
            .map_err(|e| Error::tree("cannot copy the blocks of a volume", e))?;
        if self.durability == Durability::Crash {
            // Whoever reads it past the page cache, as a loop device does, has the kernel write those pages out first.
            return Ok(());
        }
        rustix::fs::fdatasync(&to.file).map_err(|e| Error::os("cannot write the blocks of a volume out", e))
    }

    fn carry(&self, from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> Result<()> {
        const STEP: usize = 1 << 20;
        let mut carried = 0;
        loop {
            if self.observer.progress(0, carried) == ControlFlow::Break(()) {
                return Err(Error::new(ErrorKind::Cancelled, "cancelled"));
            }
            match rustix::pipe::splice(from, None, to, None, STEP, SpliceFlags::empty()) {
                Ok(0) => return Ok(()),
                Ok(count) => carried += count as u64,
                Err(Errno::INTR) => {}
                Err(e) => return Err(Error::os("cannot carry the stream from store to store", e)),
            }
        }
    }

    fn patch(&self, volume: &Activation, dir: &str, name: &str, content: &[u8]) -> Result<()> {
        patch::overwrite(volume, dir, name, content)
    }

    fn durability(&self) -> Durability {
        self.durability
    }

    fn persist_volume(&self, ready: &dyn Fn() -> Result<Activation>) -> Result<()> {
        if self.durability == Durability::Crash {
            return Ok(());
        }
        sync(&ready()?)
    }

    fn persist(&self, step: &Step) -> Result<()> {
        if self.durability == Durability::Crash {
            return Ok(());
        }
        let parent = |path: &Path| path.parent().map_or(Ok(()), crate::journal::sync_dir);
        match step {
            Step::MakeHome { home, .. } => parent(home),
            Step::Write { file, .. } => {
                if let Ok(file) = std::fs::File::open(file) {
                    file.sync_all().map_err(|e| Error::new(ErrorKind::Os, "cannot sync").because(e))?;
                }
                parent(file)
            }
            Step::Move { from, to } if to.path().is_absolute() => {
                parent(from.path())?;
                parent(to.path())
            }
            Step::Create { at, .. }
            | Step::Clone { at, .. }
            | Step::CreateBlocks { at, .. }
            | Step::Receive { at, .. }
            | Step::Import { at, .. } => {
                let mut paths = at.parts.iter().map(Resource::path).filter(|path| path.is_absolute());
                paths.try_for_each(|path| sync_image(path).and_then(|()| parent(path)))
            }
            Step::Fill { at, .. } if at.path().is_absolute() => {
                let dir = rustix::fs::openat(CWD, at.path(), OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
                    .map_err(|e| Error::os(format!("cannot open {at}"), e))?;
                rustix::fs::syncfs(dir).map_err(|e| Error::os(format!("cannot sync {at}"), e))
            }
            // Stores with a pool commit each verb themselves.
            Step::Move { .. } | Step::Fill { .. } | Step::FillBlocks { .. } => Ok(()),
        }
    }
}

/// Syncs the file system that what is new in the volume is in.
pub(crate) fn sync(volume: &Activation) -> Result<()> {
    // What is new in a union is in its upper layer. A mount's own descriptor is only a name, which cannot be synced.
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let dir = match &volume.plan.source {
        MountSource::Union { upper: Some(upper), .. } => {
            rustix::fs::openat(CWD, &upper.upper, flags, Mode::empty())
        }
        _ => rustix::fs::openat(open(volume)?, c".", flags, Mode::empty()),
    };
    dir.and_then(rustix::fs::syncfs).map_err(|e| Error::os(format!("cannot sync {}", place(volume)), e))
}

/// Syncs the volume at `path` if it is one file, an image; a directory's content has been synced where it was made.
fn sync_image(path: &Path) -> Result<()> {
    match rustix::fs::lstat(path) {
        Ok(found) if FileType::from_raw_mode(found.st_mode) == FileType::RegularFile => {
            let file = rustix::fs::openat(CWD, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
            let synced = file.and_then(rustix::fs::fdatasync);
            synced.map_err(|e| Error::os(format!("cannot sync {}", path.display()), e))
        }
        _ => Ok(()),
    }
}

/// A volume by its directory, for messages.
fn place(volume: &Activation) -> String {
    match &volume.plan.source {
        MountSource::Tree(path) => path.display().to_string(),
        _ => volume.plan.to_string(),
    }
}

/// The root of an activated volume, without attaching a mount anywhere.
pub fn open(volume: &Activation) -> Result<OwnedFd> {
    match &volume.plan.source {
        // A plain directory needs no mount, hence no privilege.
        MountSource::Tree(path) => {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
            rustix::fs::openat(CWD, path, flags, Mode::empty())
                .map_err(|e| Error::os(format!("cannot open {}", path.display()), e))
        }
        _ => Ok(DetachedMount::build(&volume.plan, None)?.into()),
    }
}
