//! The driver: a volume is a chain of layers, of which it owns the upper one.

use std::path::{Path, PathBuf};

use hull_mount::{Access, MountPlan, MountSource, Union, UpperDir};
use hull_storage::files::Found;
use hull_storage::{
    Activation, Capabilities, CopyOnWrite, Driver, DriverName, Error, ErrorKind, Layout, Locator, Observer,
    Outcome, Placement, Resource, Result, TxId, Usage, VolumeInfo, VolumeSpec, files, mark, paths,
};

use crate::chain::Chain;
use crate::{NAME, naming, upper};

/// How many lower layers Linux takes (`OVL_MAX_STACK`, 500), less one: mounted read-only, the upper layer
/// is one more of them.
const DEEPEST: usize = 499;

/// The store of overlays.
#[derive(Clone, Copy, Debug)]
pub struct OverlayDriver;

impl Driver for OverlayDriver {
    fn name(&self) -> DriverName {
        NAME
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::NONE.idmapped_mounts(true).unprivileged(true)
    }

    fn new_layout(&self, to: &Placement, from: Option<&Locator>) -> Result<Layout> {
        let Some(from) = from else { return Err(never_alone()) };
        let lower = match from.driver() == NAME {
            true => Chain::read(from)?.lower,
            false => vec![paths::absolute(from)?],
        };
        limit_depth(&lower)?;
        let layout = naming::layout_at(to, lower);
        let chain = Chain::read(&layout.at)?;
        match chain.lower.iter().find(|lower| chain.upper.starts_with(lower)) {
            Some(lower) => Err(Error::new(
                ErrorKind::InvalidInput,
                format!(
                    "the changes of an overlay cannot lie in the tree it lies over, {}: choose a place outside",
                    lower.display()
                ),
            )),
            None => Ok(layout),
        }
    }

    fn moved(&self, layout: &Layout, to: &Placement) -> Result<Layout> {
        naming::moved(layout, to)
    }

    fn placement(&self, at: &Locator) -> Result<Placement> {
        let upper = Chain::read(at)?.upper;
        paths::placement(upper::sole_owner(&upper).unwrap_or(&upper))
    }

    fn rebased(&self, at: &Locator, from: &Path, to: &Path) -> Result<Locator> {
        let chain = Chain::read(at)?;
        let new = chain.rebased(from, to);
        // A locator that somebody else wrote stays as it is, to the byte, unless it changes.
        Ok(if new == chain { at.clone() } else { new.locator() })
    }

    fn layout(&self, at: &Locator) -> Result<Layout> {
        let Chain { upper, .. } = existing(at)?;
        let parts = match upper::sole_owner(&upper) {
            Some(part) => vec![part.to_path_buf()],
            None => {
                let work = naming::work_candidates(&upper).into_iter().find(|work| files::is_dir(work));
                std::iter::once(upper).chain(work).collect()
            }
        };
        let parts = parts.into_iter().map(|path| Resource::new(NAME, path)).collect();
        Ok(Layout { at: at.clone(), parts })
    }

    fn inspect(&self, at: &Locator) -> Result<VolumeInfo> {
        let chain = existing(at)?;
        let part = upper::sole_owner(&chain.upper);
        let ours = match part {
            Some(part) => mark::is_set(part, &mark::inode(part)?),
            None => false,
        };
        let mut info = VolumeInfo::new(ours);
        info.access = part.map_or(Access::ReadWrite, upper::access);
        info.origins = chain.lower.into_iter().map(PathBuf::into_os_string).collect();
        Ok(info)
    }

    fn usage(&self, at: &Locator) -> Result<Usage> {
        files::measure(&existing(at)?.upper)
    }

    fn activate(&self, at: &Locator, access: Access) -> Result<Activation> {
        let Chain { mut lower, upper } = existing(at)?;
        limit_depth(&lower)?;
        require_lower(at, &lower)?;
        let upper = match access {
            Access::ReadWrite => {
                if naming::part_of(&upper).is_some_and(|part| upper::access(part) == Access::ReadOnly) {
                    return Err(Error::new(
                        ErrorKind::PermissionDenied,
                        format!("{at} is a read-only snapshot: make a clone of it and write to that"),
                    ));
                }
                let work = upper::work(&upper)?;
                Some(UpperDir { upper, work: Some(work) })
            }
            // As one more lower layer it needs no work directory, and a volume that is in use may be read.
            Access::ReadOnly => {
                lower.insert(0, upper);
                None
            }
        };
        let plan = MountPlan::new(MountSource::Union { flavour: Union::Overlay, lower, upper }, access);
        Ok(Activation::of(if upper::needs_userxattr() { plan.option("userxattr") } else { plan }))
    }

    fn create(&self, _at: &Layout, _spec: &VolumeSpec, _by: TxId) -> Result<()> {
        Err(never_alone())
    }

    fn rename(&self, from: &Resource, to: &Resource) -> Result<Outcome> {
        files::rename(from, to)
    }

    fn reclaim(&self, what: &Resource, _by: TxId) -> Result<Outcome> {
        files::reclaim(what, &())
    }

    fn reclaim_observed(&self, what: &Resource, _by: TxId, observer: &dyn Observer) -> Result<Outcome> {
        files::reclaim(what, observer)
    }

    fn copy_on_write(&self) -> Option<&dyn CopyOnWrite> {
        Some(self)
    }
}

/// The layers of a volume whose upper one is there. The lower ones may be gone: then it can still be removed.
pub(crate) fn existing(at: &Locator) -> Result<Chain> {
    let chain = Chain::read(at)?;
    let found = files::find(&chain.upper)?;
    let upper = chain.upper.display();
    Err(match found {
        Found::Directory => return Ok(chain),
        Found::Other => {
            Error::new(ErrorKind::InvalidInput, format!("{upper}, the upper layer, is not a directory"))
        }
        Found::Nothing => {
            Error::new(ErrorKind::NotFound, format!("there is no overlay {at}: {upper} is missing"))
        }
    })
}

/// Fails, naming it, when a lower layer is not there.
pub(crate) fn require_lower(at: &Locator, lower: &[PathBuf]) -> Result<()> {
    match lower.iter().find(|path| !files::is_dir(path)) {
        None => Ok(()),
        Some(missing) => Err(Error::new(
            ErrorKind::NotFound,
            format!(
                "{at} lies over {}, which is not there: put it back, or correct the locator if it was moved",
                missing.display()
            ),
        )),
    }
}

fn limit_depth(lower: &[PathBuf]) -> Result<()> {
    if lower.len() <= DEEPEST {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Unsupported,
        format!(
            "{} lower layers are more than the {DEEPEST} that Linux can stack: make a copy in another store",
            lower.len()
        ),
    ))
}

fn never_alone() -> Error {
    Error::new(
        ErrorKind::Unsupported,
        "an overlay records changes to another volume and cannot be made alone: clone that volume instead",
    )
}
