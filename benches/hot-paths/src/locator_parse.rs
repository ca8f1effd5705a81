//! Every form of `lxc.rootfs.path`: read, taken apart where a store does so, and printed again.
//!
//! One of a store that is named. A bare path is looked up on the disk, store by store, so what that costs is the
//! machine's; of it only the part is here that takes the text apart.

use std::ffi::OsString;
use std::hint::black_box;

use hull_config::RootfsPath;
use hull_storage::Registry;
use hull_unionfs::Chain;

use crate::Round;

/// Each form, and what is printed of it.
const FORMS: &[(&str, &str)] = &[
    ("dir:/var/lib/lxc/web/rootfs", "dir:/var/lib/lxc/web/rootfs"),
    ("btrfs:/var/lib/lxc/web/rootfs", "btrfs:/var/lib/lxc/web/rootfs"),
    ("loop:/var/lib/lxc/web/rootdev", "loop:/var/lib/lxc/web/rootdev"),
    ("zfs:tank/lxc/web", "zfs:tank/lxc/web"),
    ("lvm:/dev/vg/web", "lvm:/dev/vg/web"),
    ("nbd:/srv/web.qcow2:1", "nbd:/srv/web.qcow2:1"),
    ("rbd:/dev/rbd/lxc/web", "rbd:/dev/rbd/lxc/web"),
];

/// Each form of a union of trees, and what is printed of it.
const UNIONS: &[(&str, &str)] = &[
    (
        "overlay:/var/lib/lxc/base/rootfs:/var/lib/lxc/web/overlay/delta",
        "overlay:/var/lib/lxc/base/rootfs:/var/lib/lxc/web/overlay/delta",
    ),
    (
        "overlayfs:/var/lib/lxc/base/rootfs:/var/lib/lxc/web/delta0",
        "overlay:/var/lib/lxc/base/rootfs:/var/lib/lxc/web/delta0",
    ),
    (
        "overlay:/srv/three:/srv/two:/srv/a\\:/one:/var/lib/lxc/web/overlay/delta",
        "overlay:/srv/three:/srv/two:/srv/a\\:/one:/var/lib/lxc/web/overlay/delta",
    ),
    (
        "aufs:/var/lib/lxc/base/rootfs:/var/lib/lxc/web/delta0",
        "aufs:/var/lib/lxc/base/rootfs:/var/lib/lxc/web/delta0",
    ),
];

const BARE: &str = "/var/lib/lxc/web/rootfs";

/// Fails when a form is refused or printed differently.
pub(crate) fn prepare() -> Result<Round, String> {
    let registry = hull_drivers::builtin();
    check(&registry)?;
    Ok(Box::new(move || {
        for (text, _) in FORMS {
            black_box(plain(&registry, black_box(text))?);
        }
        for (text, _) in UNIONS {
            black_box(union(&registry, black_box(text))?);
        }
        black_box(RootfsPath::new(black_box(BARE)).path());
        Ok(())
    }))
}

fn check(registry: &Registry) -> Result<(), String> {
    let same = |printed: &OsString, expected: &str| match printed == expected {
        true => Ok(()),
        false => Err(format!("a locator is printed as {printed:?}, and {expected:?} was expected")),
    };
    FORMS.iter().try_for_each(|(text, expected)| same(&plain(registry, text)?, expected))?;
    UNIONS.iter().try_for_each(|(text, expected)| same(&union(registry, text)?, expected))
}

fn plain(registry: &Registry, text: &str) -> Result<OsString, String> {
    let text = RootfsPath::new(text).whole();
    registry.locate(text.as_ref()).map(|at| at.to_os_string()).map_err(|error| error.to_string())
}

fn union(registry: &Registry, text: &str) -> Result<OsString, String> {
    let at = registry.locate(text.as_ref()).map_err(|error| error.to_string())?;
    let chain = Chain::read(&at).map_err(|error| error.to_string())?;
    Ok(chain.locator(at.driver()).to_os_string())
}
