//! Streams: what the kernel sends of a subvolume, and subvolumes made of such streams by ourselves.

mod apply;
mod forward;
mod path;
pub mod stream;

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use hull_mount::Access;
use hull_storage::{Error, ErrorKind, Layout, Locator, Result, StreamFormat, Transfer, TxId, mark, paths};
use hull_sys::btrfs::{self, SubvolumeInfo};
use rustix::fd::{BorrowedFd, OwnedFd};
use rustix::fs::Mode;
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::thread::CapabilitySet;

pub use path::StreamPath;

use crate::BtrfsDriver;
use crate::copy_on_write::snapshot;
use crate::subvolume::{self, identity, open_below, open_dir, open_parent};
use apply::Target;
use forward::forward;
use stream::{Command, Reader, Uuid};

/// The kernel's own stream, version 1.
const FORMAT: StreamFormat = StreamFormat("btrfs");

impl Transfer for BtrfsDriver {
    fn format(&self) -> StreamFormat {
        FORMAT
    }

    fn is_incremental(&self) -> bool {
        true
    }

    /// A stream leaves subvolumes inside out, so a volume with some is not sent, nor is a plain directory. Sending
    /// takes root of the first user namespace.
    fn can_send(&self, at: &Locator) -> bool {
        let nothing_is_left_out = || -> Option<bool> {
            let root = open_dir(&paths::absolute(at).ok()?).ok()?;
            Some(btrfs::is_subvolume(&root).ok()? && btrfs::nested_subvolumes(&root).ok()?.is_empty())
        };
        kernel_lets_send() && nothing_is_left_out() == Some(true)
    }

    fn send(&self, at: &Locator, since: Option<&Locator>, to: BorrowedFd<'_>) -> Result<()> {
        let root = sendable(at)?;
        let earlier = since.map(sendable).transpose()?;
        let earlier = match &earlier {
            None => None,
            Some(earlier) if btrfs::filesystem_id(earlier)? == btrfs::filesystem_id(&root)? => {
                Some(btrfs::subvolume_info(earlier)?.id)
            }
            Some(_) => {
                return Err(Error::new(
                    ErrorKind::InvalidInput,
                    "the earlier snapshot lies on another file system: name one of the same",
                ));
            }
        };
        let (read, write) = pipe_with(PipeFlags::CLOEXEC).map_err(|e| Error::os("cannot make a pipe", e))?;
        let (forwarded, sent) = std::thread::scope(|scope| {
            let kernel = scope.spawn(move || {
                // Each signal would make the kernel begin anew.
                hull_sys::signal::keep_from_this_thread()?;
                btrfs::send(&root, earlier, write)
            });
            let forwarded = forward(File::from(read), to);
            // The pipe has no reader any more, so the kernel cannot be waiting.
            let sent = kernel.join();
            (forwarded, sent)
        });
        let sent = sent.unwrap_or_else(|_| Err(hull_sys::Error::new("ioctl(BTRFS_IOC_SEND)", Errno::IO)));
        let sent = sent.map_err(|e| match e.errno() {
            Errno::PERM => Error::os(
                format!("the kernel does not send {at} for this process (it takes CAP_SYS_ADMIN outside containers)"),
                Errno::PERM,
            ),
            Errno::NAMETOOLONG | Errno::NOMEM => Error::os(
                format!("{at} has paths that are too long for btrfs to send: send its files instead (`--format tree`)"),
                e.errno(),
            ),
            _ => e.into(),
        });
        match (forwarded, sent) {
            // Whoever gave up first knows why: a broken pipe is the kernel's word for our failure.
            (Err(e), Err(kernel)) if kernel.errno() == Errno::PIPE => Err(e),
            (_, Err(kernel)) => Err(kernel),
            (forwarded, Ok(())) => forwarded,
        }
    }

    fn receive(
        &self,
        from: BorrowedFd<'_>,
        since: Option<&Locator>,
        to: &Layout,
        access: Access,
        _by: TxId,
    ) -> Result<()> {
        let from = from.try_clone_to_owned().map_err(|e| {
            Error::os("cannot open the stream", Errno::from_io_error(&e).unwrap_or(Errno::IO))
        })?;
        let mut reader = Reader::new(BufReader::with_capacity(128 << 10, File::from(from)))?;
        let path = paths::absolute(&to.at)?;
        let (mut target, uuid, generation) = begin(reader.read()?, since, &path)?;
        loop {
            match reader.read()? {
                Command::End => break,
                command => target.apply(&command)?,
            }
        }
        reader.finish()?;
        let root = target.into_root();
        mark::set(&path, &identity(&root)?)?;
        if access == Access::ReadOnly {
            // Of one that will be written to nobody may think that it is the same as the sender's.
            btrfs::set_received(&root, uuid, generation)?;
            btrfs::set_read_only(&root, true)?;
        }
        Ok(())
    }
}

/// Makes the subvolume `path` as the stream's first command says; also returns what the sender calls it.
fn begin(first: Command<'_>, since: Option<&Locator>, path: &Path) -> Result<(Target, Uuid, u64)> {
    let (uuid, generation, base) = match (first, since) {
        (Command::Subvolume { uuid, generation }, None) => {
            subvolume::create(path, None)?;
            // Nobody else may look in until the stream has set the owner and the mode. (One that continues another
            // sets only what has changed.)
            rustix::fs::chmod(path, Mode::RWXU)
                .map_err(|e| Error::os(format!("cannot close {} to others", path.display()), e))?;
            (uuid, generation, None)
        }
        (Command::Snapshot { uuid, generation, base, base_generation }, Some(since)) => {
            let earlier = open_dir(&paths::absolute(since)?)?;
            require_base(&earlier, since, base, base_generation)?;
            let (parent, name) = open_parent(path)?;
            snapshot(&earlier, &parent, name)?;
            (uuid, generation, Some((earlier, base)))
        }
        (Command::Subvolume { .. }, Some(since)) => {
            return Err(Error::new(
                ErrorKind::InvalidInput,
                format!(
                    "the btrfs stream holds a whole volume and not what is new since {since}: receive it without an earlier one"
                ),
            ));
        }
        (Command::Snapshot { .. }, None) => {
            return Err(Error::new(
                ErrorKind::InvalidInput,
                "the btrfs stream holds only what is new since an earlier snapshot: name the one here that is the same",
            ));
        }
        _ => return Err(stream::corrupt("it does not begin with a volume")),
    };
    let (parent, name) = open_parent(path)?;
    let root = open_below(&parent, Path::new(name))?;
    Ok((Target::new(root, uuid, base), uuid, generation))
}

/// Fails unless the subvolume `earlier`, called `since`, is as the sender's was that it calls `uuid`.
fn require_base(earlier: &OwnedFd, since: &Locator, uuid: Uuid, generation: u64) -> Result<()> {
    let invalid = |why: String| Err(Error::new(ErrorKind::InvalidInput, why));
    if !btrfs::is_subvolume(earlier)? {
        return invalid(format!("{since} is no subvolume, so nothing can be new since then"));
    }
    if !btrfs::is_read_only(earlier)? {
        return invalid(format!(
            "{since} can be written to, so it may differ from the sender's: name a read-only snapshot"
        ));
    }
    let SubvolumeInfo { uuid: own, received_uuid, changed, sent, .. } = btrfs::subvolume_info(earlier)?;
    if (received_uuid, sent) == (uuid, generation) || (own, changed) == (uuid, generation) {
        return Ok(());
    }
    invalid(format!(
        "{since} is not the snapshot that the sender's stream continues: name that one, or ask for a whole stream"
    ))
}

/// Opens a subvolume that the kernel will send.
fn sendable(at: &Locator) -> Result<OwnedFd> {
    let root = open_dir(&paths::absolute(at)?)?;
    if !btrfs::is_subvolume(&root)? {
        return Err(Error::new(
            ErrorKind::Unsupported,
            format!("{at} is no btrfs subvolume, and only those can be sent as a stream of btrfs"),
        ));
    }
    if !btrfs::is_read_only(&root)? {
        return Err(Error::new(
            ErrorKind::InvalidInput,
            format!(
                "{at} can be written to, and only what cannot is sent: make a snapshot of it and send that"
            ),
        ));
    }
    Ok(root)
}

/// Whether this process has `CAP_SYS_ADMIN` in the first user namespace.
fn kernel_lets_send() -> bool {
    let capable = rustix::thread::capabilities(None)
        .is_ok_and(|sets| sets.effective.contains(CapabilitySet::SYS_ADMIN));
    // Only the first user namespace has all ids; one that was given all of them is refused by the kernel.
    let map = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    capable && map.split_whitespace().eq(["0", "0", "4294967295"])
}
