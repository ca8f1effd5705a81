//! Making, moving and removing volumes.

use std::ffi::OsString;

use hull_storage::{Access, Bytes, CloneMode, Locator, Method, NewVolume, Store, Tie, TxId, VolumeSpec};

use super::ties::Ties;
use super::{Context, Target, locate, registry, store, target};
use crate::errors::Failure;
use crate::output;
use crate::session::{Purpose, default_store};
use crate::sizes;

/// Make an empty volume
#[derive(Debug, clap::Args)]
pub(super) struct Create {
    /// Where: STORE:PATH, or only an absolute path for a directory
    #[arg(value_name = "LOCATOR")]
    at: OsString,
    /// Size, for stores whose volumes have one (1G, 512M)
    #[arg(long, value_parser = |text: &str| sizes::parse(text, 1 << 20))]
    size: Option<Bytes>,
    /// File system, for stores that make one (ext4, xfs, btrfs)
    #[arg(long, value_name = "TYPE")]
    fstype: Option<String>,
    /// Print what would be done and do nothing
    #[arg(long)]
    dry_run: bool,
}

pub(super) fn create(args: &Create, context: &Context) -> Result<(), Failure> {
    let store = store(context, purpose(args.dry_run))?;
    let (registry, settings) = registry();
    let Target { into, to, at } = target(&store, &registry, &args.at)?;
    let driver = into.map_or_else(|| default_store(&registry, &settings), Ok)?;
    let wishes = args.size.map(|_| "--size").or(args.fstype.as_ref().map(|_| "--fstype"));
    if let (Some(option), false) = (wishes, store.driver(driver)?.capabilities().block_backed) {
        return Err(Failure::new(format!(
            "volumes of the store {driver} have no file system of their own: leave {option} out"
        )));
    }
    if !store.driver(driver)?.capabilities().standalone {
        return Err(Failure::new(format!(
            "a volume of the store {driver} needs another one below it: use `hull volume clone`"
        )));
    }
    let spec = VolumeSpec { size: args.size, fstype: args.fstype.clone(), owner: None };
    let planned = store.plan_create(driver, &to, &spec, TxId(0))?;
    require_place(at.as_ref(), &planned)?;
    if args.dry_run {
        return output::print(planned.plan.to_string());
    }
    let made = store.create(driver, &to, &spec)?;
    context.say(format!("created {made}"))
}

/// Make a volume of another one
///
/// Shares blocks with the source where the store can, else copies.
#[derive(Debug, clap::Args)]
pub(super) struct Clone {
    /// The source
    from: OsString,
    /// Where: STORE:PATH, or only an absolute path for whatever store fits
    to: OsString,
    /// Share with the source, or fail
    #[arg(short, long, conflicts_with = "copy")]
    snapshot: bool,
    /// Depend on the source in nothing
    #[arg(short, long)]
    copy: bool,
    /// Print what would be done and do nothing
    #[arg(long)]
    dry_run: bool,
}

pub(super) fn clone(args: &Clone, context: &Context) -> Result<(), Failure> {
    let mode = match (args.snapshot, args.copy) {
        (true, _) => CloneMode::Snapshot,
        (_, true) => CloneMode::Copy,
        (_, false) => CloneMode::SnapshotElseCopy,
    };
    make((&args.from, &args.to), mode, Access::ReadWrite, args.dry_run, context)
}

/// Make a read-only volume of another one
#[derive(Debug, clap::Args)]
pub(super) struct Snapshot {
    /// The source
    from: OsString,
    /// Where: STORE:PATH, or only an absolute path for whatever store fits
    to: OsString,
    /// Print what would be done and do nothing
    #[arg(long)]
    dry_run: bool,
}

pub(super) fn snapshot(args: &Snapshot, context: &Context) -> Result<(), Failure> {
    let mode = CloneMode::SnapshotElseCopy;
    make((&args.from, &args.to), mode, Access::ReadOnly, args.dry_run, context)
}

/// Put a volume back to a snapshot
///
/// The volume as it is goes only once a clone of the snapshot is in place; the snapshot stays.
#[derive(Debug, clap::Args)]
pub(super) struct Restore {
    /// The snapshot
    snapshot: OsString,
    /// The volume to put back
    volume: OsString,
    /// Print what would be done and do nothing
    #[arg(long)]
    dry_run: bool,
}

pub(super) fn restore(args: &Restore, context: &Context) -> Result<(), Failure> {
    let (snapshot, volume) = (locate(&args.snapshot)?, locate(&args.volume)?);
    let store = store(context, purpose(args.dry_run))?;
    if args.dry_run {
        return output::print(store.plan_restore(&snapshot, &volume, TxId(0))?.plan.to_string());
    }
    ties(context).require_none(&store, &volume, "restored in place")?;
    let made = store.restore(&snapshot, &volume)?;
    store.leftovers().iter().for_each(|e| context.warn(&format!("{e}; `hull recover` tries again")));
    context.say(format!("restored {} to {snapshot}", made.at))
}

/// Move a volume within its store
#[derive(Debug, clap::Args)]
pub(super) struct Rename {
    /// The volume
    from: OsString,
    /// Where to: STORE:PATH, or only an absolute path
    to: OsString,
    /// Print what would be done and do nothing
    #[arg(long)]
    dry_run: bool,
}

pub(super) fn rename(args: &Rename, context: &Context) -> Result<(), Failure> {
    let from = locate(&args.from)?;
    let store = store(context, purpose(args.dry_run))?;
    let Target { into, to, at } = target(&store, &registry().0, &args.to)?;
    if let Some(other) = into.filter(|name| *name != from.driver()) {
        return Err(Failure::new(format!("{from} cannot be renamed into the store {other}: clone it")));
    }
    let planned = store.plan_rename(&from, &to)?;
    require_place(at.as_ref(), &planned)?;
    if args.dry_run {
        return output::print(planned.plan.to_string());
    }
    ties(context).require_none(&store, &from, "renamed")?;
    ties(context).renamed(&from, &planned.at)?;
    let made = store.rename(&from, &to)?;
    context.say(format!("renamed {from} to {made}"))
}

/// Delete volumes that Hull made
#[derive(Debug, clap::Args)]
pub(super) struct Remove {
    /// The volumes
    #[arg(required = true, value_name = "LOCATOR")]
    at: Vec<OsString>,
    /// Delete also what Hull did not make
    #[arg(long)]
    foreign: bool,
    /// Print what would be done and do nothing
    #[arg(long)]
    dry_run: bool,
}

pub(super) fn remove(args: &Remove, context: &Context) -> Result<(), Failure> {
    let volumes = args.at.iter().map(locate).collect::<Result<Vec<_>, _>>()?;
    let store = store(context, purpose(args.dry_run))?;
    for at in &volumes {
        if !args.foreign && !store.inspect(at)?.ours {
            return Err(Failure::new(format!(
                "Hull did not make {at}: to delete it all the same, give --foreign"
            )));
        }
        ties(context).require_none(&store, at, "deleted")?;
        if args.dry_run {
            output::print(store.plan_destroy(at, TxId(0))?.to_string())?;
            continue;
        }
        store.destroy(at)?;
        store.leftovers().iter().for_each(|e| context.warn(&format!("{e}; `hull recover` tries again")));
        context.say(format!("deleted {at}"))?;
    }
    Ok(())
}

fn make(
    (from, to): (&OsString, &OsString),
    mode: CloneMode,
    access: Access,
    dry_run: bool,
    context: &Context,
) -> Result<(), Failure> {
    let from = locate(from)?;
    let store = store(context, purpose(dry_run))?;
    let Target { into, to, at } = target(&store, &registry().0, to)?;
    let planned = store.plan_clone(&from, into, &to, mode, access, TxId(0))?;
    require_place(at.as_ref(), &planned)?;
    if dry_run {
        return output::print(planned.plan.to_string());
    }
    if matches!(planned.method, Some(Method::Clone(offer)) if offer.tie == Tie::Unguarded) {
        for source in sources(&store, &from)? {
            ties(context).record(&store, &source, &planned.at)?;
        }
    }
    let made = store.clone_volume(&from, into, &to, mode, access)?;
    let how = made.method.map(|method| format!(", {method}")).unwrap_or_default();
    context.say(format!("made {} of {from}{how}", made.at))
}

/// Whom a clone of `from` that is tied to it needs: what `from` is made of, and itself where it stands alone.
fn sources(store: &Store, from: &Locator) -> Result<Vec<Locator>, Failure> {
    let alone = store.driver(from.driver())?.capabilities().standalone;
    let mut all: Vec<Locator> = alone.then(|| from.clone()).into_iter().collect();
    for origin in store.inspect(from)?.origins {
        // A place names a volume only where a store recognises it.
        all.extend(hull_drivers::builtin().locate(&origin).ok());
    }
    Ok(all)
}

fn ties(context: &Context) -> Ties {
    Ties::of(&context.environment.state_dir())
}

/// Refuses a whole locator that says something else than what the volume's locator would be.
fn require_place(written: Option<&Locator>, planned: &NewVolume) -> Result<(), Failure> {
    match written {
        Some(written) if *written != planned.at => Err(Failure::new(format!(
            "the volume would be {}, not {written}: write that, or only where it shall be",
            planned.at
        ))),
        _ => Ok(()),
    }
}

fn purpose(dry_run: bool) -> Purpose {
    if dry_run { Purpose::Look } else { Purpose::Change }
}
