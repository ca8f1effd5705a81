//! What this kernel has of aufs, for `hull doctor` and for whoever is about to make a volume.

use hull_mount::{Access, DetachedMount, Union};
use hull_storage::Availability;
use hull_sys::mount::FsContext;
use hull_unionfs::{is_known, trial};
use rustix::io::Errno;

use crate::{NAME, xino};

/// Whether this kernel has aufs, built in or as a module, which asking loads.
pub fn has_aufs() -> bool {
    match FsContext::open(NAME.as_str()) {
        Ok(_) => true,
        Err(e) => e.errno() != Errno::NODEV && is_known(NAME.as_str()),
    }
}

/// Whether aufs may be mounted in user namespaces: its module was told so (`allow_userns=1`).
pub(crate) fn lets_users_mount() -> bool {
    std::fs::read_to_string("/sys/module/aufs/parameters/allow_userns").is_ok_and(|text| text.trim() == "Y")
}

/// Mounts an aufs of two directories, attached nowhere, and lets it go.
pub(crate) fn probe() -> Availability {
    let missing = |why: String, remedy: &str| Availability::Missing { why, remedy: remedy.into() };
    if !has_aufs() {
        return missing(
            "this kernel has no aufs, as no mainline kernel has".into(),
            "use overlay for new clones; for containers that are aufs already, boot a kernel with aufs built in or \
             with its module installed",
        );
    }
    let mut plan = trial(Union::Aufs);
    match xino::place("/etc".as_ref(), Access::ReadOnly) {
        Ok(file) => plan.options.extend(file.map(|file| format!("xino={}", file.display()))),
        Err(e) => return missing(e.to_string(), "mount a tmpfs on /dev/shm"),
    }
    match DetachedMount::build(&plan, None) {
        Ok(_) => Availability::Ready { notes: Vec::new() },
        Err(e) if matches!(e.errno(), Errno::PERM | Errno::ACCESS) => {
            Availability::Ready { notes: vec!["mounting needs root of the machine".into()] }
        }
        Err(e) => missing(format!("mounting one failed: {e}"), "look into the kernel's log (dmesg)"),
    }
}
