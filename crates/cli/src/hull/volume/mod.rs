//! `hull volume`: volumes without containers, for scripts and for those who measure.

mod change;
mod exchange;
mod look;
mod mount;
mod ties;

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use clap::Subcommand;
use hull_storage::{DriverName, Locator, Placement, Registry, Settings, Store};
use hull_sys::entry::ExitCode;

use super::context::Context;
use super::volumes::{self, Volumes};
use crate::errors::{Failure, Outcome};
use crate::session::Purpose;

pub(super) use change::takes_size;
pub(super) use look::UsageRow;

/// Work on volumes without containers
///
/// A volume is named by its locator, as lxc.rootfs.path writes it: dir:/srv/x, btrfs:/srv/x,
/// overlay:/lower:/upper/delta, or a bare path to one that exists.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Create(change::Create),
    Clone(change::Clone),
    Snapshot(change::Snapshot),
    Restore(change::Restore),
    Rename(change::Rename),
    Rm(change::Remove),
    Resize(change::Resize),
    Send(exchange::Send),
    Receive(exchange::Receive),
    Mount(mount::Mount),
    Umount(mount::Unmount),
    Info(look::Info),
    Usage(look::Usage),
    Ls(look::List),
}

pub(super) fn run(args: &Args, context: &Context) -> Outcome {
    match &args.command {
        Command::Create(args) => change::create(args, context),
        Command::Clone(args) => change::clone(args, context),
        Command::Snapshot(args) => change::snapshot(args, context),
        Command::Restore(args) => change::restore(args, context),
        Command::Rename(args) => change::rename(args, context),
        Command::Rm(args) => change::remove(args, context),
        Command::Resize(args) => change::resize(args, context),
        Command::Send(args) => exchange::send(args, context),
        Command::Receive(args) => exchange::receive(args, context),
        Command::Mount(args) => mount::mount(args, context),
        Command::Umount(args) => mount::unmount(args, context),
        Command::Info(args) => look::info(args, context),
        Command::Usage(args) => look::usage(args, context),
        Command::Ls(args) => look::list(args, context),
    }?;
    Ok(ExitCode::SUCCESS)
}

/// The store of volumes without containers.
///
/// What dead commands left is settled before anything is changed.
pub(super) fn store(context: &Context, purpose: Purpose) -> Result<Volumes, Failure> {
    let store = volumes::open(&context.environment, purpose, context.quiet)?;
    if purpose == Purpose::Change {
        let recovered = store.recover()?;
        recovered
            .settled
            .iter()
            .for_each(|operation| context.warn(&format!("settled an interrupted {operation}")));
        recovered.failed.iter().for_each(|error| context.warn(&error.to_string()));
    }
    Ok(store)
}

/// Fails when a volume without a container needs `at`.
pub(super) fn require_untied(context: &Context, store: &Store, at: &Locator) -> Result<(), Failure> {
    Ok(ties::Ties::of(&context.environment.state_dir()).require_none(store, at, "deleted")?)
}

/// The volume that `text` names; nothing is looked up unless it is a bare path.
fn locate(text: &OsString) -> Result<Locator, Failure> {
    Ok(hull_drivers::builtin().locate(text)?)
}

/// Where a new volume shall be.
#[derive(Debug)]
struct Target {
    /// The kind of store, unless only a path was given.
    into: Option<DriverName>,
    to: Placement,
    /// The locator, when it was written in full.
    at: Option<Locator>,
}

/// Reads the place of a volume to be made: `STORE:PATH`, a whole locator, or only a path.
fn target(store: &Store, registry: &Registry, text: &OsString) -> Result<Target, Failure> {
    let exactly = |path: &Path| match path.is_absolute() {
        true => Placement::exactly(path)
            .ok_or_else(|| Failure::new(format!("{} is no place for a volume", path.display()))),
        false => Err(Failure::new(format!("{} is not an absolute path", path.display()))),
    };
    if text.as_bytes().first() == Some(&b'/') {
        return Ok(Target { into: None, to: exactly(Path::new(text))?, at: None });
    }
    let at = registry.locate(text)?;
    let driver = store.driver(at.driver())?;
    match driver.placement(&at) {
        Ok(to) => Ok(Target { into: Some(at.driver()), to, at: Some(at) }),
        // Of a store whose locators say more than where, this is only where.
        Err(_) => Ok(Target { into: Some(at.driver()), to: exactly(at.path())?, at: None }),
    }
}

/// The stores of this build, and what `lxc.conf` says of them.
fn registry(context: &Context) -> (Registry, Settings) {
    (hull_drivers::builtin(), context.environment.settings())
}
