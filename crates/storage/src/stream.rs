//! Streams: from one store to another of its kind, and through any pipe to any.

mod exchange;
mod frame;

use rustix::fd::AsFd;
use rustix::pipe::{PipeFlags, pipe_with};

use hull_mount::Access;

use crate::error::{Error, ErrorKind, Result};
use crate::facets::Transfer;
use crate::name::{Layout, Locator, TxId};

pub use exchange::{Incoming, Reception, Sent};
pub use frame::{Header, TREE};

/// Makes `to` of the stream that `sender` writes of `from`.
pub(crate) fn between(
    sender: &dyn Transfer,
    from: &Locator,
    receiver: &dyn Transfer,
    to: &Layout,
    access: Access,
    by: TxId,
) -> Result<()> {
    let (read, write) = pipe_with(PipeFlags::CLOEXEC).map_err(|e| Error::os("cannot make a pipe", e))?;
    std::thread::scope(|scope| {
        let sent = scope.spawn(move || {
            let sent = sender.send(from, None, write.as_fd());
            // The receiver waits for its end.
            drop(write);
            sent
        });
        let received = receiver.receive(read.as_fd(), None, to, access, by);
        // A sender must not wait for a receiver that has given up.
        drop(read);
        let sent = sent
            .join()
            .unwrap_or_else(|_| Err(Error::new(ErrorKind::Os, format!("the sender of {from} has crashed"))));
        match (sent, received) {
            (Ok(()), received) => received,
            // Whoever gave up first knows why: a broken pipe is the sender's word for the receiver's failure.
            (Err(_), Err(e)) if e.kind() != ErrorKind::Corrupt => Err(e),
            (Err(e), _) => Err(e),
        }
    })
}
