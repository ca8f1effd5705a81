//! What some stores can do and others cannot. What a store cannot do is absent, not an error.

use std::fmt;

use hull_mount::Access;
use rustix::fd::{BorrowedFd, OwnedFd};

use crate::capability::Offer;
use crate::driver::{Outcome, Source};
use crate::error::Result;
use crate::name::{Layout, Locator, Resource, TxId};
use crate::placement::Placement;
use crate::volume::{Bytes, Held};

/// What stays open until the transaction ends that opened it, for what follows would pay for opening it once more. The volume
/// can be used, and undone, with and without it.
pub type Kept = Option<Box<dyn Held>>;

/// Cheap copies: read-only ones are snapshots, writable ones are clones.
pub trait CopyOnWrite {
    /// What this store asks for a clone of `from` that will be at `to`; `None` if it cannot make one.
    /// No side effects.
    fn offer(&self, from: Source<'_>, to: &Placement, access: Access) -> Option<Offer>;

    /// Makes the clone at `to`, exclusively. Whoever writes to the source may be kept waiting until this returns.
    fn clone_volume(&self, from: Source<'_>, to: &Layout, access: Access, by: TxId) -> Result<Kept>;

    /// Does what the new clone at `to` needs besides, and for which the source is not read: an identity of its own.
    /// Called once after [`CopyOnWrite::clone_volume`].
    fn finish_clone(&self, to: &Layout, access: Access, by: TxId) -> Result<()> {
        let _ = (to, access, by);
        Ok(())
    }

    /// Does what else is to be done for the clone that was made at `to` and may wait until its owner has written to it: a
    /// store that waits for its disks at every act waits for all of it once. Called once, before the transaction commits;
    /// should that not come, the clone is undone. It may have another name by then, not so what lies beside it.
    fn seal_clone(&self, to: &Layout, access: Access, by: TxId) -> Result<()> {
        let _ = (to, access, by);
        Ok(())
    }
}

/// A volume's size (where it is a block device) or the limit on what it may hold (where it is a quota).
pub trait Capacity: Sync {
    /// Makes it so large; `None` lifts the limit, where there is one to lift. The file system in it follows.
    ///
    /// May be called again after it was interrupted anywhere. Fails with [`crate::ErrorKind::CannotShrink`], and
    /// changes nothing, for less than is used or for a file system that cannot be made smaller.
    fn resize(&self, at: &Locator, to: Option<Bytes>) -> Result<Outcome>;
}

/// Volumes that are a file system in an image or on a block device, which can be copied block by block.
pub trait Blocks: Sync {
    /// How large the volume is, if its blocks can be copied as they stand; `None` while it is in use.
    fn stable_size(&self, at: &Locator) -> Result<Option<Bytes>>;

    /// Makes a volume of at least `size` bytes with no file system on it, exclusively.
    fn create_blocks(&self, at: &Layout, size: Bytes, by: TxId) -> Result<()>;

    /// Opens what the volume is stored in.
    fn open_blocks(&self, at: &Locator, access: Access) -> Result<BlockImage>;

    /// The blocks of another volume have been copied to `at`: gives the file system the identity (UUID) and size of
    /// its own that it needs to be mounted beside the other.
    fn adopt_blocks(&self, at: &Locator) -> Result<()>;

    /// Overwrites the regular file `dir/name` of a new volume that nobody but the caller knows of yet, and that is thrown
    /// away should this fail, without mounting it; a volume without that file stays as it is. `false` where it has to be
    /// mounted for that: then nothing was changed.
    fn overwrite_unmounted(&self, at: &Locator, dir: &str, name: &str, content: &[u8]) -> Result<bool> {
        let _ = (at, dir, name, content);
        Ok(false)
    }
}

/// What a volume is stored in: an image file or a block device.
#[derive(Debug)]
pub struct BlockImage {
    /// The file.
    pub file: OwnedFd,
    /// How much of it is the volume's.
    pub size: Bytes,
    /// Whether a new one reads as zeroes, so that zeroes need not be written to it.
    pub zeroed: bool,
    /// What keeps it open (an active logical volume).
    pub held: Option<Box<dyn Held>>,
}

/// Streams in the store's own format, between stores of a kind, on this machine or another.
pub trait Transfer: Sync {
    /// The format. A stream is only understood by stores that name the same.
    fn format(&self) -> StreamFormat;

    /// Whether only the difference to an earlier snapshot can be sent.
    fn is_incremental(&self) -> bool;

    /// Whether the volume is one that can be sent. No side effects.
    fn can_send(&self, at: &Locator) -> bool;

    /// Writes the volume, which may only be read, to `to`; with `since`, only what has changed since that earlier
    /// snapshot of the same volume.
    fn send(&self, at: &Locator, since: Option<&Locator>, to: BorrowedFd<'_>) -> Result<()>;

    /// Makes the volume `to`, exclusively, of what can be read from `from`. An incremental stream needs `since`: the
    /// volume here that is the same as the sender's earlier snapshot.
    ///
    /// Fails for a stream that ends too early or is damaged; what was made of it is reclaimed by the caller.
    fn receive(
        &self,
        from: BorrowedFd<'_>,
        since: Option<&Locator>,
        to: &Layout,
        access: Access,
        by: TxId,
    ) -> Result<()>;
}

/// The name of a stream's format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamFormat(pub &'static str);

impl fmt::Display for StreamFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// A pool that can be looked through.
pub trait Enumerate: Sync {
    /// Everything in the pool that Hull made: whole volumes, and parts of those that are half made or condemned.
    /// What somebody else made is not listed.
    fn list(&self) -> Result<Vec<Listed>>;
}

/// One thing in a pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// The thing itself.
    pub what: Resource,
    /// The volume that it is, as a config would name it; `None` for a part that is no volume of its own.
    pub at: Option<Locator>,
    /// The transaction that made or condemned it and has not ended, by its tag or name
    /// ([`Resource::stamped`]).
    pub by: Option<TxId>,
    /// What it occupies, where that is known without measuring.
    pub size: Option<Bytes>,
}
