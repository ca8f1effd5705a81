//! Sending a volume to a pipe and making one of what comes out of another.

use std::io::{self, Read, Write};

use hull_mount::{Access, MountSource};
use hull_treecopy::Observer;
use rustix::fd::AsFd;
use rustix::io::Errno;

use super::{make_pipe, send_all};
use crate::capability::Cost;
use crate::driver::{Driver, Source};
use crate::error::{Error, ErrorKind, Result};
use crate::facets::Transfer;
use crate::host;
use crate::lock::Kind;
use crate::name::{DriverName, Layout, Locator, TxId};
use crate::placement::Placement;
use crate::plan::{Plan, Step};
use crate::store::Store;
use crate::stream::frame::{Header, Receiver, Sender, TREE};
use crate::volume::VolumeSpec;

/// What was sent.
#[derive(Clone, Debug)]
pub struct Sent {
    /// What the stream says of itself.
    pub header: Header,
    /// How many bytes of data it has.
    pub bytes: u64,
}

/// A stream of which only the header has been read.
pub struct Incoming<'a> {
    header: Header,
    receiver: Receiver<'a>,
    observer: &'a dyn Observer,
}

impl std::fmt::Debug for Incoming<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Incoming").field("header", &self.header).finish_non_exhaustive()
    }
}

impl<'a> Incoming<'a> {
    /// Begins to read a stream. `observer` hears how far it has come, and may cancel.
    ///
    /// Fails with [`ErrorKind::InvalidInput`] for what is no stream of [`Store::send`].
    pub fn read(from: &'a mut dyn Read, observer: &'a dyn Observer) -> Result<Self> {
        let (header, receiver) = Receiver::new(from, observer).map_err(|e| e.during("receive"))?;
        Ok(Self { header, receiver, observer })
    }

    /// What the stream says of itself.
    pub fn header(&self) -> &Header {
        &self.header
    }
}

/// What a received volume shall be like.
#[derive(Clone, Debug, Default)]
pub struct Reception<'a> {
    /// The volume here that is the same as the sender's earlier snapshot, for a stream of what is new since then.
    pub since: Option<&'a Locator>,
    /// What else is asked of the volume; its size is the sender's otherwise, where this store has sizes.
    pub spec: VolumeSpec,
    /// Whether it may be written to; as at the sender's otherwise. Stores without a mark for that make it writable.
    pub access: Option<Access>,
}

impl Store {
    /// Writes the volume `at` to `to`: as its store's own stream where it has such, else as a packed tree. With
    /// `since`, only what is new since that earlier snapshot. `format` insists on one: [`TREE`] or the store's own.
    ///
    /// A volume that may be written to is snapshotted first where that costs nothing, else read as it stands.
    /// The snapshot is gone afterwards.
    pub fn send(
        &self,
        at: &Locator,
        since: Option<&Locator>,
        format: Option<&str>,
        to: &mut dyn Write,
        observer: &dyn Observer,
    ) -> Result<Sent> {
        let driver = self.driver(at.driver())?;
        let wanted = std::iter::once(at).chain(since);
        for volume in wanted.clone() {
            self.driver(volume.driver())?.layout(volume).map_err(|e| e.during("send"))?;
        }
        let _locks = self.locks().hold(wanted.map(|volume| (volume, Kind::Shared)))?;
        let native = native(driver, at, since, format).map_err(|e| e.during("send"))?;
        let info = driver.inspect(at).map_err(|e| e.during("send"))?;
        self.transact("send", |tx| {
            let mut plan = Plan::default();
            let source = Source { driver, at };
            let quiet = match native.is_some() || snapshots_cheaply(source, tx.id())? {
                true => plan.quiet(source, tx.id())?,
                false => at.clone(),
            };
            tx.perform(plan)?;
            let mut header = Header {
                format: native.map_or_else(|| TREE.to_owned(), |facet| facet.format().to_string()),
                store: driver.name().to_string(),
                read_only: info.access == Access::ReadOnly,
                size: info.size,
                fstype: None,
                since: since.map(ToString::to_string),
            };
            if let Some(facet) = native {
                let bytes = send_native(facet, &quiet, since, Sender::new(to, &header, observer)?)?;
                return Ok(Sent { header, bytes });
            }
            let ready = driver.activate(&quiet, Access::ReadOnly)?;
            if let MountSource::Filesystem { fstype, .. } = &ready.plan.source {
                header.fstype = Some(fstype.clone());
            }
            let root = host::open(&ready)?;
            // Whoever packs tells the observer himself: of files, too.
            let mut sender = Sender::new(to, &header, &())?;
            if let Err(e) = hull_treecopy::pack_tree(root.as_fd(), &mut sender, observer) {
                let told = sender.take_failure();
                return Err(told.unwrap_or_else(|| Error::tree(format!("cannot send the files of {at}"), e)));
            }
            let bytes = sender.finish()?;
            Ok(Sent { header, bytes })
        })
    }

    /// Makes a volume at `to` of a stream: under a staged name first, moved into place once all of it has come and
    /// has been found whole. A stream that ends early or is damaged leaves nothing.
    ///
    /// Fails with [`ErrorKind::Unsupported`] for a stream in the own format of another store.
    pub fn receive(
        &self,
        mut incoming: Incoming<'_>,
        into: DriverName,
        to: &Placement,
        reception: &Reception<'_>,
    ) -> Result<Locator> {
        let driver = self.driver(into)?;
        let facet = receiving(driver, incoming.header(), reception.since).map_err(|e| e.during("receive"))?;
        let planned = driver.new_layout(to, None).map_err(|e| e.during("receive"))?.at;
        let since = reception.since.map(|at| (at, Kind::Shared));
        let _locks = self.locks().hold(std::iter::once((&planned, Kind::Exclusive)).chain(since))?;
        if driver.layout(&planned).is_ok() {
            // Said before hours of copying; the move at the end is what decides.
            let text = format!("{planned} is there already: remove it first or choose another place");
            return Err(Error::new(ErrorKind::AlreadyExists, text).during("receive"));
        }
        self.transact("receive", |tx| {
            let staged = driver.new_layout(&to.staged(tx.id()), None)?;
            let id = tx.id();
            match facet {
                Some(facet) => {
                    let usual = if incoming.header.read_only { Access::ReadOnly } else { Access::ReadWrite };
                    let access = reception.access.unwrap_or(usual);
                    let step = Step::Import { at: staged.clone(), writable: access == Access::ReadWrite };
                    tx.perform_by(step, || {
                        receive_native(facet, &mut incoming.receiver, reception.since, &staged, access, id)
                    })?;
                }
                None => {
                    let mut spec = reception.spec.clone();
                    if driver.capabilities().block_backed {
                        spec.size = spec.size.or(incoming.header.size);
                    }
                    let mut plan = Plan::default();
                    plan.steps.push(Step::Create { at: staged.clone(), spec });
                    tx.perform(plan)?;
                    self.unpack(driver, &staged.at, &mut incoming)?;
                }
            }
            incoming.receiver.finish()?;
            let mut plan = Plan::default();
            let at = plan.rename_volume(driver, &staged, to)?;
            tx.perform(plan)?;
            Ok(at)
        })
    }

    fn unpack(&self, driver: &dyn Driver, at: &Locator, incoming: &mut Incoming<'_>) -> Result<()> {
        let ready = driver.activate(at, Access::ReadWrite)?;
        let root = host::open(&ready)?;
        incoming.receiver.be_silent();
        let unpacked = hull_treecopy::unpack_tree(&mut incoming.receiver, root.as_fd(), incoming.observer);
        if let Err(e) = unpacked {
            let told = incoming.receiver.take_failure();
            return Err(told.unwrap_or_else(|| Error::tree(format!("cannot make the files of {at}"), e)));
        }
        drop((root, ready));
        self.host().persist(&Step::Fill { from: at.clone(), at: at.clone() })
    }
}

/// Whether a read-only snapshot of the volume costs nothing, so that what is sent is of one moment.
fn snapshots_cheaply(source: Source<'_>, tx: TxId) -> Result<bool> {
    let beside = source.driver.placement(source.at).map(|place| place.staged(tx));
    let Ok(beside) = beside else { return Ok(false) };
    let offer = source.driver.copy_on_write().and_then(|cow| cow.offer(source, &beside, Access::ReadOnly));
    Ok(offer.is_some_and(|offer| offer.cost < Cost::PerByte))
}

/// The store's own stream, if that is how the volume is to be sent.
fn native<'d>(
    driver: &'d dyn Driver,
    at: &Locator,
    since: Option<&Locator>,
    format: Option<&str>,
) -> Result<Option<&'d dyn Transfer>> {
    let name = driver.name();
    let usable = driver.transfer().filter(|facet| facet.can_send(at));
    let unsupported = |text: String| Err(Error::new(ErrorKind::Unsupported, text));
    if let Some(since) = since {
        if format == Some(TREE) {
            return Err(Error::new(
                ErrorKind::InvalidInput,
                format!(
                    "a tree is always sent whole, not what is new since {since}: leave one of the two out"
                ),
            ));
        }
        if since.driver() != name {
            return unsupported(format!(
                "{since} is in another store than {at}, so nothing is known to be new since"
            ));
        }
        if usable.is_none_or(|facet| !facet.is_incremental()) {
            return unsupported(format!("{at} cannot be sent as what is new since {since}: send it whole"));
        }
    }
    match (format, usable) {
        (None, usable) => Ok(usable),
        (Some(TREE), _) => Ok(None),
        (Some(format), Some(facet)) if facet.format().0 == format => Ok(Some(facet)),
        (Some(format), _) => {
            unsupported(format!("{at} cannot be sent as a stream {format:?}: ask for {TREE:?}, or for none"))
        }
    }
}

/// How `driver` receives a stream with this header: by its own facet, or as a packed tree.
fn receiving<'d>(
    driver: &'d dyn Driver,
    header: &Header,
    since: Option<&Locator>,
) -> Result<Option<&'d dyn Transfer>> {
    let name = driver.name();
    if header.format != TREE {
        let facet = driver.transfer().filter(|facet| facet.format().0 == header.format);
        let Some(facet) = facet else {
            return Err(Error::new(
                ErrorKind::Unsupported,
                format!(
                    "the store {name} cannot read streams of {:?}: ask the sender for `--format {TREE}`",
                    header.format
                ),
            ));
        };
        return match (&header.since, since) {
            (Some(theirs), None) => Err(Error::new(
                ErrorKind::InvalidInput,
                format!(
                    "the stream holds only what is new since {theirs:?}: name the same snapshot here with --since"
                ),
            )),
            (None, Some(since)) => Err(whole(since)),
            _ => Ok(Some(facet)),
        };
    }
    if let Some(since) = since {
        return Err(whole(since));
    }
    if !driver.capabilities().standalone {
        return Err(Error::new(
            ErrorKind::Unsupported,
            format!("a volume of the store {name} always needs another one: receive into another store"),
        ));
    }
    Ok(None)
}

fn whole(since: &Locator) -> Error {
    Error::new(
        ErrorKind::InvalidInput,
        format!("the stream holds a whole volume, not what is new since {since}: receive it without --since"),
    )
}

fn crashed() -> Error {
    Error::new(ErrorKind::Os, "the thread at the other end of the stream has crashed")
}

/// Frames what the store itself writes to a pipe.
fn send_native(
    facet: &dyn Transfer,
    at: &Locator,
    since: Option<&Locator>,
    mut to: Sender<'_>,
) -> Result<u64> {
    let (read, write) = make_pipe()?;
    let (framed, sent) = std::thread::scope(|scope| {
        let sending = scope.spawn(move || send_all(facet, at, since, write));
        let mut read = std::fs::File::from(read);
        let framed = io::copy(&mut read, &mut to);
        // A sender must not wait for a reader that has given up.
        drop(read);
        (framed, sending.join().unwrap_or_else(|_| Err(crashed())))
    });
    match framed {
        // Whoever gave up first knows why: the sender's broken pipe is only the answer.
        Err(e) => Err(to.take_failure().unwrap_or_else(|| cannot("read what the store sends", &e))),
        Ok(_) => sent.and_then(|()| to.finish()),
    }
}

/// Hands the data of frames to the store itself through a pipe.
fn receive_native(
    facet: &dyn Transfer,
    from: &mut Receiver<'_>,
    since: Option<&Locator>,
    to: &Layout,
    access: Access,
    by: TxId,
) -> Result<()> {
    let (read, write) = make_pipe()?;
    let (handed, received) = std::thread::scope(|scope| {
        let receiving = scope.spawn(move || {
            let received = facet.receive(read.as_fd(), since, to, access, by);
            // Whoever writes must not wait for a receiver that has given up.
            drop(read);
            received
        });
        let mut write = std::fs::File::from(write);
        let handed = io::copy(&mut *from, &mut write);
        drop(write);
        (handed, receiving.join().unwrap_or_else(|_| Err(crashed())))
    });
    match (from.take_failure(), received, handed) {
        // What ended the stream is the reason why the store found it too short.
        (Some(e), _, _) | (None, Err(e), _) => Err(e),
        (None, Ok(()), Err(e)) => Err(cannot("hand the stream to the store", &e)),
        (None, Ok(()), Ok(_)) => Ok(()),
    }
}

fn cannot(what: &str, e: &io::Error) -> Error {
    Error::os(format!("cannot {what}"), Errno::from_io_error(e).unwrap_or(Errno::IO))
}
