//! What a dead `lxc-create` of stock LXC left: a container's directory with the marker `partial` that nobody
//! holds locked. (Hull's own is settled by the journal.)

use std::path::Path;

use hull_storage::lock::Kind;
use hull_storage::{Error, ErrorKind, Plan, Result, files, lies_in};
use rustix::fd::OwnedFd;
use rustix::fs::{CWD, Mode, OFlags};

use crate::container::Container;
use crate::name;

const PARTIAL: &str = hull_storage::host::PARTIAL;

/// The containers in `lxcpath` that LXC did not finish making and nobody is making now.
pub(crate) fn leftovers(lxcpath: &Path) -> Result<Vec<String>> {
    let Ok(entries) = std::fs::read_dir(lxcpath) else { return Ok(Vec::new()) };
    let names = entries.filter_map(|e| e.ok()?.file_name().into_string().ok());
    let mut found = Vec::new();
    for name in names.filter(|n| name::check(n).is_ok()) {
        if is_left(&lxcpath.join(&name))? {
            found.push(name);
        }
    }
    found.sort_unstable();
    Ok(found)
}

/// Removes `container` if it is such a leftover. Only what lies in its directory goes.
pub(crate) fn remove(container: &Container<'_>) -> Result<bool> {
    if !is_leftover(container)? {
        return Ok(false);
    }
    let _lock = container.lock(Kind::Exclusive)?;
    if !is_leftover(container)? {
        return Ok(false);
    }
    remove_locked(container)?;
    Ok(true)
}

/// Whether `container` is such a leftover.
pub(crate) fn is_leftover(container: &Container<'_>) -> Result<bool> {
    is_left(&container.home())
}

/// Fails with [`ErrorKind::InUse`] while stock LXC is making `container`. LXC holds only the marker locked then, not
/// the container. (While Hull makes one, the container is locked.)
pub(crate) fn require_not_in_the_making(container: &Container<'_>) -> Result<()> {
    match marker(&container.home())? {
        Some(marker) if hull_sys::lock::is_held(&marker, Kind::Exclusive)? => {
            let text =
                format!("container {} is being created by LXC: wait until that is done", container.name);
            Err(Error::new(ErrorKind::InUse, text))
        }
        _ => Ok(()),
    }
}

/// [`remove`] for a caller that holds the container's lock and has looked.
pub(crate) fn remove_locked(container: &Container<'_>) -> Result<()> {
    let home = container.home();
    let store = container.all.store();
    let at = container.rootfs().ok().flatten();
    let layout = container.layout(at.as_ref()).ok().flatten().filter(|l| lies_in(l, &home));
    let volumes = match layout {
        Some(layout) => vec![(store.driver(layout.at.driver())?, layout)],
        None => Vec::new(),
    };
    store.transact("recover", |tx| {
        let mut plan = Plan::default();
        plan.doom_home(&home, volumes, tx.id())?;
        tx.perform(plan)
    })
}

/// Whether `home` holds LXC's marker and nobody holds it locked.
fn is_left(home: &Path) -> Result<bool> {
    match marker(home)? {
        Some(marker) => Ok(!hull_sys::lock::is_held(&marker, Kind::Exclusive)?),
        None => Ok(false),
    }
}

/// LXC's marker in `home`, if it is there. It is empty; Hull's own is not.
fn marker(home: &Path) -> Result<Option<OwnedFd>> {
    let path = home.join(PARTIAL);
    if !files::exists(&path)? {
        return Ok(None);
    }
    let flags = OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let failed = |e| Error::os(format!("cannot look at {}", path.display()), e);
    let marker = match rustix::fs::openat(CWD, &path, flags, Mode::empty()) {
        Ok(marker) => marker,
        Err(rustix::io::Errno::NOENT) => return Ok(None),
        Err(e) => return Err(failed(e)),
    };
    Ok((rustix::fs::fstat(&marker).map_err(failed)?.st_size == 0).then_some(marker))
}
