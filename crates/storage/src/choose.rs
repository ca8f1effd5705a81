//! How a new volume gets its content from an existing one.

use std::fmt;

use hull_mount::Access;
use serde::{Deserialize, Serialize};

use crate::capability::{Cost, Offer, Tie};
use crate::driver::{Driver, Source};
use crate::error::{Error, ErrorKind, Result};
use crate::facets::StreamFormat;
use crate::placement::Placement;
use crate::volume::Bytes;

/// What the caller wants of the new volume.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CloneMode {
    /// It shall stand alone. Blocks may be shared where nothing ties the two together.
    Copy,
    /// It shall share everything with its source (`LXC_CLONE_SNAPSHOT`).
    Snapshot,
    /// It shall share where the store can, else be copied (`LXC_CLONE_MAYBE_SNAPSHOT`).
    SnapshotElseCopy,
}

/// How it is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// The store clones.
    Clone(Offer),
    /// The source sends a stream of which the store makes a volume.
    Stream(StreamFormat),
    /// The blocks of the source, so many bytes, are copied as far as they hold data.
    BlockCopy(Bytes),
    /// An empty volume is made and the file tree copied into it, blocks shared where the file system can.
    TreeCopy,
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Clone(offer) => write!(f, "clone (cost: {})", offer.cost.describe()),
            Self::Stream(format) => write!(f, "{format} stream"),
            Self::BlockCopy(size) => write!(f, "copy of blocks ({size})"),
            Self::TreeCopy => f.write_str("copy of the file tree"),
        }
    }
}

/// Chooses how `driver` gives a volume at `to` the content of `from`. No side effects.
///
/// Fails with [`ErrorKind::Unsupported`] when the mode cannot be had, naming what can.
pub fn choose(
    from: Source<'_>,
    driver: &dyn Driver,
    to: &Placement,
    mode: CloneMode,
    access: Access,
) -> Result<Method> {
    let offer = driver.copy_on_write().and_then(|cow| cow.offer(from, to, access));
    let standalone = driver.capabilities().standalone;
    match (mode, offer) {
        (CloneMode::Snapshot, Some(offer)) if offer.cost < Cost::PerByte => Ok(Method::Clone(offer)),
        (CloneMode::SnapshotElseCopy, Some(offer)) => Ok(Method::Clone(offer)),
        (CloneMode::Copy, Some(offer)) if offer.tie == Tie::None => Ok(Method::Clone(offer)),
        (CloneMode::Copy | CloneMode::SnapshotElseCopy, _) if standalone => copy(from, driver),
        (CloneMode::Snapshot, _) => Err(Error::new(
            ErrorKind::Unsupported,
            format!("the store {} cannot share the blocks of {}: ask for a copy", driver.name(), from.at),
        )),
        (CloneMode::Copy | CloneMode::SnapshotElseCopy, _) => Err(Error::new(
            ErrorKind::Unsupported,
            format!(
                "a volume of the store {} always needs another one, so it cannot be a copy of {}: \
                 ask for a snapshot, or for another store",
                driver.name(),
                from.at
            ),
        )),
    }
}

/// The cheapest way to a volume that shares nothing.
fn copy(from: Source<'_>, driver: &dyn Driver) -> Result<Method> {
    if let (Some(sender), Some(receiver)) = (from.driver.transfer(), driver.transfer())
        && sender.format() == receiver.format()
        && sender.can_send(from.at)
    {
        return Ok(Method::Stream(sender.format()));
    }
    if let (Some(source), Some(_)) = (from.driver.blocks(), driver.blocks())
        && let Some(size) = source.stable_size(from.at)?
    {
        return Ok(Method::BlockCopy(size));
    }
    Ok(Method::TreeCopy)
}
