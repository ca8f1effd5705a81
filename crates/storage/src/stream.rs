//! Streams: from one store to another of its kind, and through any pipe to any.

mod exchange;
mod frame;

use rustix::fd::{AsFd, OwnedFd};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};

use hull_mount::Access;

use crate::error::{Error, ErrorKind, Result};
use crate::facets::Transfer;
use crate::host::Host;
use crate::name::{Layout, Locator, TxId};

pub use exchange::{Incoming, Reception, Sent};
pub use frame::{Header, TREE};

/// Makes `to` of the stream that `sender` writes of `from`; `host` carries it, so that its observer hears of it.
pub(crate) fn between(
    host: &dyn Host,
    sender: &dyn Transfer,
    from: &Locator,
    receiver: &dyn Transfer,
    to: &Layout,
    access: Access,
    by: TxId,
) -> Result<()> {
    let (sent_to, write) = make_pipe()?;
    let (read, given) = make_pipe()?;
    std::thread::scope(|scope| {
        let sent = scope.spawn(move || send_all(sender, from, None, write));
        let received = scope.spawn(move || {
            let received = receiver.receive(read.as_fd(), None, to, access, by);
            // Nobody must wait for a receiver that has given up.
            drop(read);
            received
        });
        let carried = host.carry(sent_to.as_fd(), given.as_fd());
        drop((sent_to, given));
        let crashed = || Err(Error::new(ErrorKind::Os, format!("the stream of {from} has crashed")));
        let sent = sent.join().unwrap_or_else(|_| crashed());
        let received = received.join().unwrap_or_else(|_| crashed());
        match (carried, sent, received) {
            (Err(e), _, _) if e.kind() == ErrorKind::Cancelled => Err(e),
            // Whoever gave up first knows why: a broken pipe is the others' word for the receiver's failure, and an
            // early end is the receiver's for the sender's.
            (_, _, Err(e)) if e.kind() != ErrorKind::Corrupt => Err(e),
            (_, Err(sent), Err(e)) if sent.errno() == Errno::PIPE => Err(e),
            (_, Err(e), _) | (_, Ok(()), Err(e)) | (Err(e), Ok(()), Ok(())) => Err(e),
            (Ok(()), Ok(()), Ok(())) => Ok(()),
        }
    })
}

fn make_pipe() -> Result<(OwnedFd, OwnedFd)> {
    pipe_with(PipeFlags::CLOEXEC).map_err(|e| Error::os("cannot make a pipe", e))
}

/// Has a store send to a pipe and closes it.
fn send_all(sender: &dyn Transfer, from: &Locator, since: Option<&Locator>, to: OwnedFd) -> Result<()> {
    let sent = sender.send(from, since, to.as_fd());
    // The reader waits for its end.
    drop(to);
    sent
}
