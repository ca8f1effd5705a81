//! Streams: `zfs send` of the snapshot that a read-only volume equals.
//!
//! A read-only clone equals the snapshot it was made of, and that is what is sent: two snapshots of one volume have
//! origins in one dataset, so the difference between them can be sent, too. That nobody has written to it meanwhile is
//! known by a snapshot of its own, [`UNCHANGED`]. A volume that equals no snapshot gets one called [`STILL`]; on a volume
//! that never changes it costs nothing, and it goes with the volume. A received volume has it, too: it is what the next
//! difference is applied to.

use hull_mount::Access;
use hull_storage::{Error, ErrorKind, Layout, Locator, Result, StreamFormat, Transfer, TxId};
use rustix::fd::BorrowedFd;

use crate::backend::{Asked, Key, When};
use crate::driver::taken;
use crate::{NAME, ZfsDriver, naming};

/// The name of the snapshot that a read-only volume equals.
const STILL: &str = "hull-still";
/// The name of the first snapshot of a read-only clone, made together with it.
pub(crate) const UNCHANGED: &str = "hull-unchanged";

impl ZfsDriver {
    /// The snapshot that the read-only volume `at` equals. Makes it if need be.
    fn still(&self, at: &Locator) -> Result<String> {
        let (name, found) = self.existing(at, Asked::All)?;
        if !found.read_only {
            return Err(Error::new(
                ErrorKind::InvalidInput,
                format!("{at} may be written to, so it cannot be sent: make a snapshot of it and send that"),
            ));
        }
        let backend = self.backend()?;
        let still = format!("{name}@{STILL}");
        let tree = backend.tree(&name)?;
        let mut own = tree.first().into_iter().flat_map(|node| node.snapshots.iter().rev()).map(|s| &*s.name);
        match (own.next(), found.written) {
            // If the clone has been promoted, what it was made of is its own now.
            (Some(newest), 0) if newest.ends_with(&format!("@{UNCHANGED}")) => {
                Ok(own.next().or(found.origin.as_deref()).unwrap_or(newest).to_owned())
            }
            (Some(newest), 0) => Ok(newest.to_owned()),
            _ => match backend.snapshot(&still) {
                Err(e) if e.kind() == ErrorKind::AlreadyExists => Err(Error::new(
                    ErrorKind::AlreadyExists,
                    format!("{still} is in the way, for {name} was changed since: remove that snapshot"),
                )),
                made => made.map(|()| still),
            },
        }
    }
}

impl Transfer for ZfsDriver {
    fn format(&self) -> StreamFormat {
        StreamFormat("zfs")
    }

    fn is_incremental(&self) -> bool {
        true
    }

    /// Of what is encrypted only the encrypted blocks are sent, which nobody can read without the key: of no use for a
    /// copy that is to start at once.
    fn can_send(&self, at: &Locator) -> bool {
        self.existing(at, Asked::All).is_ok_and(|(_, found)| found.key == Key::None)
    }

    fn send(&self, at: &Locator, since: Option<&Locator>, to: BorrowedFd<'_>) -> Result<()> {
        let encrypted = self.existing(at, Asked::All)?.1.key != Key::None;
        let since = since.map(|since| self.still(since)).transpose()?;
        self.backend()?.send(&self.still(at)?, since.as_deref(), encrypted, to).map_err(|e| unreadable(e, at))
    }

    fn receive(
        &self,
        from: BorrowedFd<'_>,
        since: Option<&Locator>,
        to: &Layout,
        access: Access,
        by: TxId,
    ) -> Result<()> {
        let (name, backend) = (self.dataset(&to.at)?, self.backend()?);
        let origin = since.map(|since| self.still(since)).transpose()?;
        if backend.exists(&name)? {
            return Err(taken(Error::new(ErrorKind::AlreadyExists, ""), &name));
        }
        let properties = self.properties(&name, access, by)?;
        let still = format!("{name}@{STILL}");
        backend
            .receive(from, &still, origin.as_deref(), &properties)
            .map_err(|e| damaged(taken(e, &name)))?;
        match access {
            Access::ReadOnly => Ok(()),
            // A volume that changes has no use for it, and it would keep what is removed.
            Access::ReadWrite => backend.destroy_snapshot(&still, When::Now),
        }
    }
}

/// A stream that ends because zfs cannot read what it is made of; which files those are, zfs knows.
fn unreadable(e: Error, at: &Locator) -> Error {
    // Both implementations say it in the kernel's words; the program has no error number.
    if !e.to_string().contains("Input/output error") {
        return e;
    }
    let Some(name) = naming::named(at).ok().flatten() else { return e };
    // A copy is sent from a clone that stands still, of which nobody has heard.
    let (name, pool) = (naming::unstamped(name), naming::pool(name));
    let text = format!("{NAME}:{name} cannot be read: `zpool status -v {pool}` says which files are damaged");
    Error::new(ErrorKind::Os, text).because(e)
}

/// Whatever else `zfs receive` complains about is the stream.
fn damaged(e: Error) -> Error {
    match e.kind() {
        ErrorKind::ToolFailed => Error::new(ErrorKind::Corrupt, "the stream cannot be received").because(e),
        ErrorKind::InvalidInput => {
            let text = "the stream is what is new since another volume: receive it on that one";
            Error::new(ErrorKind::InvalidInput, text).because(e)
        }
        _ => e,
    }
}
