//! A whole operation, decided before its first effect: what `--dry-run` prints and what the journal keeps.

use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use hull_mount::Access;
use serde::{Deserialize, Serialize};

use crate::choose::Method;
use crate::driver::{Driver, Source};
use crate::encode;
use crate::error::{Error, ErrorKind, Result};
use crate::name::{DriverName, Layout, Locator, Mark, Resource, TxId};
use crate::placement::Placement;
use crate::volume::{Bytes, VolumeSpec};

/// The pseudo driver of homes: the directories of volumes' owners, which the store itself renames and reclaims.
pub const HOME: DriverName = DriverName::new("home");

/// One effect on the world and, by its kind, how to undo it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Step {
    /// Makes an owner's directory, exclusively. It holds the marker file `partial` until the commit, as LXC's
    /// half-made containers do. Undone by removing it with all it holds.
    MakeHome {
        /// The directory.
        #[serde(with = "encode::os")]
        home: PathBuf,
        /// Its mode.
        mode: u32,
        /// Its owner and group; the caller's otherwise.
        owner: Option<(u32, u32)>,
    },
    /// Makes an empty volume under a name only this transaction can have chosen. Undone by reclaiming it.
    Create {
        /// The volume.
        at: Layout,
        /// What it shall be like.
        spec: VolumeSpec,
    },
    /// Makes a clone, likewise.
    Clone {
        /// The source.
        from: Locator,
        /// The clone.
        at: Layout,
        /// Whether it may be written to.
        writable: bool,
    },
    /// Copies a file tree into a volume that an earlier step made. Undone with that step.
    Fill {
        /// The source.
        from: Locator,
        /// The volume to fill.
        at: Locator,
    },
    /// Makes a volume of so many bytes without a file system, to be filled block by block. Undone by reclaiming it.
    CreateBlocks {
        /// The volume.
        at: Layout,
        /// Its size.
        size: Bytes,
    },
    /// Copies the blocks of a volume into one that an earlier step made. Undone with that step.
    FillBlocks {
        /// The source.
        from: Locator,
        /// The volume to fill.
        at: Locator,
    },
    /// Makes a volume of a stream that another one of its kind sends. Undone by reclaiming it.
    Receive {
        /// The source, which may only be read.
        from: Locator,
        /// The volume.
        at: Layout,
        /// Whether it may be written to.
        writable: bool,
    },
    /// Makes a volume of a stream that comes from outside. Undone by reclaiming it.
    Import {
        /// The volume.
        at: Layout,
        /// Whether it may be written to.
        writable: bool,
    },
    /// Renames one thing. Undone by renaming it back.
    Move {
        /// Its name before.
        from: Resource,
        /// Its name afterwards.
        to: Resource,
    },
    /// Replaces a small file as a whole; `None` is no file. Undone by putting the old content back. A file that
    /// was there keeps its mode and owner.
    Write {
        /// The file.
        #[serde(with = "encode::os")]
        file: PathBuf,
        /// What it held.
        old: Option<Vec<u8>>,
        /// What it shall hold.
        new: Option<Vec<u8>>,
        /// The mode of a file that was not there.
        mode: u32,
    },
}

/// What is deleted once the plan has committed. Every name carries the transaction's id by then.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Doomed {
    /// A volume.
    Volume(Layout),
    /// An owner's directory and what is left in it.
    Home(Resource),
}

/// A small file inside a volume that is overwritten once the plan has committed, if the volume has it: again by
/// recovery, should the process die before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Patch {
    /// The volume, as it is called by then.
    pub at: Locator,
    /// The directory of the volume's root that the file is in.
    pub dir: String,
    /// The file's name.
    pub name: String,
    /// What it shall hold.
    pub content: String,
}

/// A whole operation, decided before its first effect.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// What happens, in order.
    pub steps: Vec<Step>,
    /// What is overwritten afterwards.
    pub patches: Vec<Patch>,
    /// What is deleted afterwards.
    pub doomed: Vec<Doomed>,
}

/// Where a new volume's content comes from.
#[derive(Clone, Copy, Debug)]
pub enum Content<'a> {
    /// It is empty.
    Empty(&'a VolumeSpec),
    /// It is made of `from` by `method`.
    Of {
        /// The source.
        from: Source<'a>,
        /// How.
        method: Method,
        /// Whether it may be written to.
        access: Access,
    },
}

impl Plan {
    /// Adds what `other` does, after all that is planned so far.
    pub fn append(&mut self, other: Plan) {
        self.steps.extend(other.steps);
        self.patches.extend(other.patches);
        self.doomed.extend(other.doomed);
    }

    /// Whether it makes room: it deletes something, and makes nothing but small files.
    pub fn only_deletes(&self) -> bool {
        !self.doomed.is_empty()
            && self.steps.iter().all(|s| matches!(s, Step::Move { .. } | Step::Write { .. }))
    }

    /// Makes a volume at `to`: under a staged name first, then moved into place; at once, where what is made is
    /// tagged. Returns where it will be.
    pub fn make(
        &mut self,
        driver: &dyn Driver,
        to: &Placement,
        content: Content<'_>,
        tx: TxId,
    ) -> Result<Locator> {
        let can = driver.capabilities();
        // What bears the transaction's tag needs no name that does.
        let layout = match content {
            Content::Of { from, method: Method::Clone(_), access } if can.tags_clones => {
                driver.require_ready()?;
                // What is made beside a clone has no tag, but keeps the name that it would have beside a staged one.
                let at = driver.moved(&driver.new_layout(&to.staged(tx), Some(from.at))?, to)?;
                self.steps.push(clone_step(from, &at, access));
                at
            }
            _ if can.tags_owner => self.make_at(driver, to, content, tx)?,
            _ => return self.make_aside(driver, to, content, tx),
        };
        refuse_unspeakable(&layout.at)?;
        Ok(layout.at)
    }

    /// Makes a volume under a staged name, then moves it to `to`, which may still be taken before those moves.
    pub(crate) fn make_aside(
        &mut self,
        driver: &dyn Driver,
        to: &Placement,
        content: Content<'_>,
        tx: TxId,
    ) -> Result<Locator> {
        let layout = self.make_at(driver, &to.staged(tx), content, tx)?;
        self.rename_volume(driver, &layout, to)
    }

    /// Has new volumes that are copied file by file limited from the beginning: of what lies in a volume before its first
    /// limit, some stores cannot charge all to it.
    pub(crate) fn limit_new(&mut self, limit: Bytes) {
        for step in &mut self.steps {
            if let Step::Create { spec, .. } = step {
                spec.size = spec.size.or(Some(limit));
            }
        }
    }

    fn make_at(
        &mut self,
        driver: &dyn Driver,
        to: &Placement,
        content: Content<'_>,
        tx: TxId,
    ) -> Result<Layout> {
        driver.require_ready()?;
        Ok(match content {
            Content::Empty(spec) => {
                let at = driver.new_layout(to, None)?;
                self.steps.push(Step::Create { at: at.clone(), spec: spec.clone() });
                at
            }
            Content::Of { from, method: Method::Clone(_), access } => {
                let at = driver.new_layout(to, Some(from.at))?;
                self.steps.push(clone_step(from, &at, access));
                at
            }
            Content::Of { from, method: Method::TreeCopy, .. } => {
                let at = driver.new_layout(to, None)?;
                // A copy of a device is as large as its source. A limit is not part of what a volume holds.
                let devices = [driver, from.driver].iter().all(|d| d.capabilities().block_backed);
                let size = if devices { from.driver.inspect(from.at)?.size } else { None };
                let spec = VolumeSpec { size, ..VolumeSpec::default() };
                self.steps.push(Step::Create { at: at.clone(), spec });
                self.steps.push(Step::Fill { from: from.at.clone(), at: at.at.clone() });
                at
            }
            Content::Of { from, method: Method::BlockCopy(size), .. } => {
                let at = driver.new_layout(to, None)?;
                self.steps.push(Step::CreateBlocks { at: at.clone(), size });
                self.steps.push(Step::FillBlocks { from: from.at.clone(), at: at.at.clone() });
                at
            }
            Content::Of { from, method: Method::Stream(_), access } => {
                let at = driver.new_layout(to, None)?;
                let writable = access == Access::ReadWrite;
                let from = self.quiet(from, tx)?;
                self.steps.push(Step::Receive { from, at: at.clone(), writable });
                at
            }
        })
    }

    /// `from` if it may only be read, else a snapshot of it that is deleted after the commit.
    pub(crate) fn quiet(&mut self, from: Source<'_>, tx: TxId) -> Result<Locator> {
        if from.driver.inspect(from.at)?.access == Access::ReadOnly {
            return Ok(from.at.clone());
        }
        let beside = from.driver.placement(from.at)?.staged(tx);
        let at = from.driver.new_layout(&beside, Some(from.at))?;
        self.steps.push(Step::Clone { from: from.at.clone(), at: at.clone(), writable: false });
        let quiet = at.at.clone();
        self.doomed.push(Doomed::Volume(at));
        Ok(quiet)
    }

    /// Moves the existing volume `layout` to `to`, where it will be named by its owner's config. Returns its
    /// new name; fails with [`ErrorKind::InvalidInput`] for one that no config can keep.
    pub fn rename_volume(&mut self, driver: &dyn Driver, layout: &Layout, to: &Placement) -> Result<Locator> {
        let at = self.move_volume(driver, layout, to)?.at;
        if at.at().as_encoded_bytes().iter().any(|b| matches!(b, b'\n' | 0)) {
            let name = at.at();
            return Err(Error::new(
                ErrorKind::InvalidInput,
                format!("the name {name:?} holds a newline, which no config can keep: choose another"),
            ));
        }
        Ok(at)
    }

    /// Moves the existing volume `layout` to `to`, part by part.
    pub fn move_volume(&mut self, driver: &dyn Driver, layout: &Layout, to: &Placement) -> Result<Layout> {
        let moved = driver.moved(layout, to)?;
        refuse_unspeakable(&moved.at)?;
        let pairs = layout.parts.iter().cloned().zip(moved.parts.iter().cloned());
        self.steps.extend(pairs.filter(|(from, to)| from != to).map(|(from, to)| Step::Move { from, to }));
        Ok(moved)
    }

    /// Moves the existing volume `at` aside, to be deleted after the commit. Fails with [`ErrorKind::InUse`] when its
    /// store sees that somebody uses it, and with [`ErrorKind::HasDependents`] when others need it that this plan did
    /// not doom before.
    pub fn doom_volume(&mut self, driver: &dyn Driver, at: &Locator, tx: TxId) -> Result<()> {
        let layout = driver.layout(at)?;
        require_unused(driver, at)?;
        self.require_unneeded(driver, at)?;
        let doomed = self.move_volume(driver, &layout, &driver.placement(at)?.doomed(tx))?;
        self.doomed.push(Doomed::Volume(doomed));
        Ok(())
    }

    fn require_unneeded(&self, driver: &dyn Driver, at: &Locator) -> Result<()> {
        let mut stay = Vec::new();
        for needed in driver.needed_by(at)? {
            let goes = |part| self.steps.iter().any(|s| matches!(s, Step::Move { from, .. } if from == part));
            if !driver.layout(&needed)?.parts.iter().all(goes) {
                stay.push(needed.to_string());
            }
        }
        if stay.is_empty() {
            return Ok(());
        }
        let text = format!("{at} is needed by {}: remove those first", stay.join(", "));
        Err(Error::new(ErrorKind::HasDependents, text))
    }

    /// Makes the owner's directory `home`.
    pub fn make_home(&mut self, home: &Path, mode: u32, owner: Option<(u32, u32)>) {
        self.steps.push(Step::MakeHome { home: home.to_path_buf(), mode, owner });
    }

    /// Renames the owner's directory `from`, with all that lies in it, to `to`.
    pub fn move_home(&mut self, from: &Path, to: &Path) {
        self.steps.push(Step::Move { from: Resource::new(HOME, from), to: Resource::new(HOME, to) });
    }

    /// Moves the owner's directory `home` aside, to be deleted after the commit, and `volumes` that lie in it
    /// with it. Volumes elsewhere are for [`Plan::doom_volume`].
    pub fn doom_home<'a>(
        &mut self,
        home: &Path,
        volumes: impl IntoIterator<Item = (&'a dyn Driver, Layout)>,
        tx: TxId,
    ) -> Result<()> {
        let aside = Mark::Old.sibling(home, tx);
        self.move_home(home, &aside);
        for (driver, layout) in volumes {
            require_unused(driver, &layout.at)?;
            let at = driver.rebased(&layout.at, home, &aside)?;
            let parts = layout.parts.into_iter().map(|p| rebase(p, home, &aside)).collect();
            self.doomed.push(Doomed::Volume(Layout { at, parts }));
        }
        self.doomed.push(Doomed::Home(Resource::new(HOME, aside)));
        Ok(())
    }

    /// Replaces the content `old` of `file` by `new`; `None` is no file.
    pub fn write(&mut self, file: &Path, old: Option<Vec<u8>>, new: Option<Vec<u8>>) {
        if old != new {
            self.steps.push(Step::Write { file: file.to_path_buf(), old, new, mode: 0o640 });
        }
    }

    /// Makes the file `file` with a content and mode.
    pub fn add_file(&mut self, file: &Path, content: Vec<u8>, mode: u32) {
        self.steps.push(Step::Write { file: file.to_path_buf(), old: None, new: Some(content), mode });
    }
}

fn clone_step(from: Source<'_>, at: &Layout, access: Access) -> Step {
    Step::Clone { from: from.at.clone(), at: at.clone(), writable: access == Access::ReadWrite }
}

/// Whether every part of `layout` lies in the directory `home`, and so goes where it goes.
pub fn lies_in(layout: &Layout, home: &Path) -> bool {
    layout.parts.iter().all(|p| p.path().starts_with(home))
}

/// Whoever looks at a volume must not see it vanish; what depends on it, its store may know as well.
fn require_unused(driver: &dyn Driver, at: &Locator) -> Result<()> {
    match driver.user(at)? {
        None => Ok(()),
        Some(user) => Err(Error::new(ErrorKind::InUse, format!("{at} is used by {user}: end that first"))),
    }
}

/// A volume that no config can name could be made and never used: `lxc.rootfs.path` is one line.
fn refuse_unspeakable(at: &Locator) -> Result<()> {
    if !at.at().as_bytes().iter().any(|b| matches!(b, 0 | b'\n')) {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::InvalidInput,
        format!("the locator {:?} holds a NUL or newline byte, which no config can keep", at.to_os_string()),
    ))
}

fn rebase(part: Resource, from: &Path, to: &Path) -> Resource {
    match part.path().strip_prefix(from) {
        Ok(below) => Resource { name: to.join(below).into_os_string(), ..part },
        Err(_) => part,
    }
}

/// One line a step, then one a deletion.
impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.steps.iter().try_for_each(|step| writeln!(f, "{step}"))?;
        self.patches.iter().try_for_each(|p| writeln!(f, "then write {}/{} in {}", p.dir, p.name, p.at))?;
        self.doomed.iter().try_for_each(|doomed| match doomed {
            Doomed::Volume(layout) => writeln!(f, "then delete {}", layout.at),
            Doomed::Home(home) => writeln!(f, "then delete {home}"),
        })
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MakeHome { home, .. } => write!(f, "make directory {}", home.display()),
            Self::Create { at, .. } => write!(f, "make volume {}", at.at),
            Self::Clone { from, at, writable } => {
                let what = if *writable { "clone" } else { "snapshot" };
                write!(f, "make {what} {} of {from}", at.at)
            }
            Self::Fill { from, at } => write!(f, "copy all files of {from} to {at}"),
            Self::CreateBlocks { at, size } => write!(f, "make volume {} of {size}", at.at),
            Self::FillBlocks { from, at } => write!(f, "copy all blocks of {from} to {at}"),
            Self::Receive { from, at, .. } => write!(f, "make volume {} of a stream of {from}", at.at),
            Self::Import { at, .. } => write!(f, "make volume {} of what comes in", at.at),
            Self::Move { from, to } => write!(f, "rename {from} to {to}"),
            Self::Write { file, new: None, .. } => write!(f, "remove {}", file.display()),
            Self::Write { file, new: Some(new), .. } => {
                write!(f, "write {} ({} bytes)", file.display(), new.len())
            }
        }
    }
}
