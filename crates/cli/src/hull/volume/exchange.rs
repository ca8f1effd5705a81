//! Volumes to and from a pipe.

use std::ffi::OsString;
use std::io::{self, IsTerminal, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use hull_storage::stream::{Header, Incoming, Reception};
use hull_storage::{Access, Bytes, DriverName, VolumeSpec};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::FileType;
use rustix::io::Errno;

use super::{Context, Target, locate, registry, store, target};
use crate::errors::Failure;
use crate::progress::Progress;
use crate::session::{Purpose, default_store};
use crate::sizes;

/// Write a volume to standard output, for `hull volume receive` on this machine or another
///
/// A volume that may be written to is snapshotted first where that costs nothing; else stop what writes to it.
#[derive(Debug, clap::Args)]
pub(super) struct Send {
    /// The volume
    #[arg(value_name = "LOCATOR")]
    at: OsString,
    /// Send only what is new since this earlier snapshot of it, which the receiver must have
    #[arg(long, value_name = "SNAPSHOT")]
    since: Option<OsString>,
    /// How: `tree`, which every store can receive, or the store's own; the latter where there is one
    #[arg(long)]
    format: Option<String>,
}

pub(super) fn send(args: &Send, context: &Context) -> Result<(), Failure> {
    let at = locate(&args.at)?;
    let since = args.since.as_ref().map(locate).transpose()?;
    if io::stdout().is_terminal() {
        return Err(Failure::new(
            "a volume is not for a terminal to show: redirect standard output to a file or a pipe",
        ));
    }
    let progress = Progress::new(context.quiet)?;
    let store = store(context, Purpose::Change)?;
    let mut to = Output { to: io::stdout(), cancelled: progress.flag(), in_pieces: is_pipe(io::stdout()) };
    store.send(&at, since.as_ref(), args.format.as_deref(), &mut to, &progress)?;
    // The volume is out: what is left to say goes where it is not read as data.
    store.leftovers().iter().for_each(|e| context.warn(&format!("{e}; `hull recover` tries again")));
    Ok(())
}

/// Make a volume of what `hull volume send` writes, read from standard input
///
/// It is in its place only once all of it has come and was found whole.
#[derive(Debug, clap::Args)]
pub(super) struct Receive {
    /// Where: STORE:PATH, or only an absolute path for a store like the sender's
    #[arg(value_name = "PLACE")]
    to: OsString,
    /// The snapshot here that is the same as the one the sender named
    #[arg(long, value_name = "LOCATOR")]
    since: Option<OsString>,
    /// Size, for stores whose volumes have one (1G, 512M); the sender's otherwise
    #[arg(long, value_parser = |text: &str| sizes::parse(text, 1 << 20))]
    size: Option<Bytes>,
    /// File system, for stores that make one
    #[arg(long, value_name = "TYPE")]
    fstype: Option<String>,
    /// Make it writable although the sender's was not
    #[arg(long)]
    writable: bool,
}

pub(super) fn receive(args: &Receive, context: &Context) -> Result<(), Failure> {
    if io::stdin().is_terminal() {
        return Err(Failure::new(
            "a volume is read from standard input, which is a terminal: redirect it from a file or a pipe",
        ));
    }
    let since = args.since.as_ref().map(locate).transpose()?;
    let progress = Progress::new(context.quiet)?;
    let store = store(context, Purpose::Change)?;
    let (registry, settings) = registry(context);
    let Target { into, to, at } = target(&store, &registry, &args.to)?;
    let mut from = Input { from: io::stdin(), cancelled: progress.flag() };
    let incoming = Incoming::read(&mut from, &progress)?;
    let into = match into {
        Some(into) => into,
        None => like(&store, incoming.header()).map_or_else(|| default_store(&registry, &settings), Ok)?,
    };
    if let Some(written) = &at {
        let planned = store.plan_create(into, &to, &VolumeSpec::default(), hull_storage::TxId(0))?;
        super::change::require_place(Some(written), &planned)?;
    }
    let spec = VolumeSpec { size: args.size, fstype: args.fstype.clone(), owner: None };
    let access = args.writable.then_some(Access::ReadWrite);
    let reception = Reception { since: since.as_ref(), spec, access };
    let made = store.receive(incoming, into, &to, &reception)?;
    context.say(format!("received {made}"))
}

/// The store that the volume was in, if this build has it and it makes volumes of their own.
fn like(store: &hull_storage::Store, header: &Header) -> Option<DriverName> {
    let driver = store.driver(DriverName::parse(&header.store)?).ok()?;
    driver.capabilities().standalone.then(|| driver.name())
}

/// How long Ctrl-C may go unnoticed.
const GLANCE: Timespec = Timespec { tv_sec: 0, tv_nsec: 200_000_000 };

/// Waits until `fd` is ready; a Ctrl-C meanwhile ends the wait, which a read(2) would sleep through.
fn wait(fd: BorrowedFd<'_>, flags: PollFlags, cancelled: &AtomicBool) -> io::Result<()> {
    loop {
        if cancelled.load(Ordering::Relaxed) {
            return Err(Errno::CANCELED.into());
        }
        match poll(&mut [PollFd::from_borrowed_fd(fd, flags)], Some(&GLANCE)) {
            Ok(0) | Err(Errno::INTR) => {}
            Ok(_) => return Ok(()),
            Err(e) => return Err(e.into()),
        }
    }
}

/// Standard input, read without a buffer: what follows the stream is somebody else's.
struct Input {
    from: io::Stdin,
    cancelled: Arc<AtomicBool>,
}

impl Read for Input {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        wait(self.from.as_fd(), PollFlags::IN, &self.cancelled)?;
        Ok(rustix::io::retry_on_intr(|| rustix::io::read(&self.from, &mut *into))?)
    }
}

/// Standard output.
struct Output {
    to: io::Stdout,
    cancelled: Arc<AtomicBool>,
    /// It is a pipe, which takes so much at once without making the writer wait (PIPE_BUF).
    in_pieces: bool,
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        wait(self.to.as_fd(), PollFlags::OUT, &self.cancelled)?;
        let most = if self.in_pieces { bytes.len().min(4096) } else { bytes.len() };
        Ok(rustix::io::retry_on_intr(|| rustix::io::write(&self.to, &bytes[..most]))?)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn is_pipe(fd: impl AsFd) -> bool {
    rustix::fs::fstat(fd).is_ok_and(|status| FileType::from_raw_mode(status.st_mode).is_fifo())
}
