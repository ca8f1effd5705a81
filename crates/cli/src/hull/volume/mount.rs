//! Mounting volumes where people can look at them.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use hull_mount::DetachedMount;
use hull_storage::Access;
use rustix::fs::{CWD, Mode, OFlags};
use rustix::mount::UnmountFlags;

use super::{Context, locate, store};
use crate::errors::Failure;
use crate::output;
use crate::session::Purpose;

/// Mount a volume at a directory
#[derive(Debug, clap::Args)]
pub(super) struct Mount {
    /// The volume
    #[arg(value_name = "LOCATOR")]
    at: OsString,
    /// The directory
    dir: PathBuf,
    /// Mount it read-only
    #[arg(short, long)]
    read_only: bool,
    /// Print how it would be mounted and do nothing
    #[arg(long)]
    dry_run: bool,
}

pub(super) fn mount(args: &Mount, context: &Context) -> Result<(), Failure> {
    let at = locate(&args.at)?;
    let access = if args.read_only { Access::ReadOnly } else { Access::ReadWrite };
    // Held until the mount is in place; then the kernel keeps the device.
    let activation = store(context, Purpose::Look)?.activate(&at, access)?;
    if args.dry_run {
        return output::line(activation.plan.to_string());
    }
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let dir = rustix::fs::openat(CWD, &args.dir, flags, Mode::empty())
        .map_err(|e| Failure::io("open", &args.dir, &e.into()))?;
    let mount = DetachedMount::build(&activation.plan, None).map_err(|e| Failure::from(e).about(&at))?;
    let _attached = mount.attach(&dir, Path::new("")).map_err(|e| Failure::from(e).about(&at))?.keep();
    context.say(format!("mounted {at} at {}", args.dir.display()))
}

/// Unmount what is mounted at a directory
#[derive(Debug, clap::Args)]
pub(super) struct Unmount {
    /// The directory
    dir: PathBuf,
}

pub(super) fn unmount(args: &Unmount, context: &Context) -> Result<(), Failure> {
    rustix::mount::unmount(&args.dir, UnmountFlags::NOFOLLOW).map_err(|e| match e {
        rustix::io::Errno::INVAL => Failure::new(format!("nothing is mounted at {}", args.dir.display())),
        rustix::io::Errno::BUSY => Failure::new(format!(
            "{} is in use: leave it, close its files, then try again",
            args.dir.display()
        )),
        e => Failure::io("unmount", &args.dir, &e.into()),
    })?;
    context.say(format!("unmounted {}", args.dir.display()))
}
