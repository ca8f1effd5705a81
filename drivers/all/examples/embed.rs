//! Clones a volume and mounts the clone for somebody else's runtime: `embed IMAGE CLONE MOUNTPOINT`.
//!
//! Volumes only: no containers, no config files, no daemon. `IMAGE` is a locator (`btrfs:/srv/image`) or a
//! bare path; the clone shares its blocks where the store can.

use std::path::Path;

use hull_mount::DetachedMount;
use hull_storage::{Access, CloneMode, Placement, Settings};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    let [image, clone, mount_point] = arguments.as_slice() else {
        return Err("usage: embed IMAGE CLONE MOUNTPOINT".into());
    };
    let registry = hull_drivers::builtin();
    let store = hull_storage::open(&registry, &Settings::default(), Path::new("/run/embed"))?;
    store.recover()?; // What a run that was killed left behind.

    let image = registry.locate(image)?;
    let to = Placement::exactly(Path::new(clone)).ok_or("CLONE has no name")?;
    let root = store.clone_volume(&image, None, &to, CloneMode::SnapshotElseCopy, Access::ReadWrite)?;
    let ready = store.activate(&root.at, Access::ReadWrite)?;
    println!("{}: {}", root.at, ready.plan);

    // Attached nowhere until now: instead of attaching it, the descriptor could be sent to a container.
    let mount = DetachedMount::build(&ready.plan, None)?;
    mount.attach(rustix::fs::CWD, Path::new(mount_point))?.keep();
    Ok(())
}
