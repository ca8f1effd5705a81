//! The stores to measure: as the command line names them, and scratch ones.

use std::path::Path;

use hull_bench::{FsKind, LeftOut, Place, StoreSpec};
use hull_storage::{Availability, DriverName, Registry, Settings};

use crate::errors::Failure;

/// What is to be measured, and what cannot be.
#[derive(Debug, Default)]
pub(super) struct Chosen {
    pub(super) stores: Vec<StoreSpec>,
    pub(super) left_out: Vec<LeftOut>,
}

/// A scratch store: a driver on a file system.
struct Scratch {
    name: &'static str,
    driver: &'static str,
    on: FsKind,
}

/// Everything that needs nothing but a file system. Stores with a pool are named by --store.
const SCRATCH: &[Scratch] = &[
    Scratch { name: "dir@ext4", driver: "dir", on: FsKind::Ext4 },
    Scratch { name: "dir@xfs", driver: "dir", on: FsKind::Xfs },
    Scratch { name: "dir@btrfs", driver: "dir", on: FsKind::Btrfs },
    Scratch { name: "overlay@ext4", driver: "overlay", on: FsKind::Ext4 },
    Scratch { name: "aufs@ext4", driver: "aufs", on: FsKind::Ext4 },
    Scratch { name: "btrfs", driver: "btrfs", on: FsKind::Btrfs },
    Scratch { name: "loop@ext4", driver: "loop", on: FsKind::Ext4 },
    Scratch { name: "loop@xfs", driver: "loop", on: FsKind::Xfs },
];

/// The stores that `named` and `scratch` ask for: `None` is no scratch stores, an empty list all.
pub(super) fn choose(
    named: &[String],
    scratch: Option<&[String]>,
    registry: &Registry,
    settings: &Settings,
) -> Result<Chosen, Failure> {
    let mut chosen = Chosen::default();
    for text in named {
        chosen.stores.push(store(text, registry, settings)?);
    }
    let Some(wanted) = scratch else {
        if named.is_empty() {
            return Err(Failure::usage("say which stores: --store STORE:PLACE, or --scratch to make some"));
        }
        return Ok(chosen);
    };
    if let Some(unknown) = wanted.iter().find(|name| SCRATCH.iter().all(|s| s.name != **name)) {
        let known: Vec<&str> = SCRATCH.iter().map(|s| s.name).collect();
        return Err(Failure::usage(format!(
            "there is no scratch store {unknown:?}: they are {}",
            known.join(", ")
        )));
    }
    for Scratch { name, driver, on } in SCRATCH {
        if !wanted.is_empty() && !wanted.iter().any(|w| w == name) {
            continue;
        }
        let registration = registry.resolve(driver)?;
        let lacking = hull_bench::lacking(*on).or_else(|| match (registration.probe)(settings) {
            Availability::Ready { .. } => None,
            Availability::Missing { why, remedy } => Some(format!("{why}: {remedy}")),
        });
        match lacking {
            // Who names a store wants that one.
            Some(why) if !wanted.is_empty() => {
                return Err(Failure::new(format!("there can be no {name} here: {why}")));
            }
            Some(why) => chosen.left_out.push(LeftOut { name: (*name).into(), why }),
            None => chosen.stores.push(StoreSpec {
                name: (*name).into(),
                driver: registration.name,
                settings: settings.clone(),
                place: Place::Scratch(*on),
            }),
        }
    }
    match chosen.left_out.first() {
        Some(left_out) if chosen.stores.is_empty() => {
            Err(Failure::new(format!("no scratch store can be made here: {}", left_out.why)))
        }
        _ => Ok(chosen),
    }
}

/// Reads `STORE:PLACE`: a directory, or a name in a pool.
fn store(text: &str, registry: &Registry, settings: &Settings) -> Result<StoreSpec, Failure> {
    let (kind, place) = text
        .split_once(':')
        .filter(|(_, place)| !place.is_empty())
        .ok_or_else(|| Failure::usage(format!("--store {text}: write STORE:PLACE, for example dir:/srv")))?;
    let registration = registry.resolve(kind)?;
    let (place, settings) = match Path::new(place).is_absolute() {
        true => (directory(text, Path::new(place))?, settings.clone()),
        false => pool(registration.name, place, settings).ok_or_else(|| {
            Failure::usage(format!("--store {text}: the place is an absolute path of a directory"))
        })??,
    };
    Ok(StoreSpec { name: text.to_owned(), driver: registration.name, settings, place })
}

fn directory(text: &str, path: &Path) -> Result<Place, Failure> {
    let found =
        path.canonicalize().map_err(|e| Failure::io("use", path, &e).about(format!("--store {text}")))?;
    match found.is_dir() {
        true => Ok(Place::Directory(found)),
        false => Err(Failure::new(format!("--store {text}: {} is no directory", path.display()))),
    }
}

/// The place in a pool, and what the driver must be told of it; `None` for a store that has no pools.
fn pool(driver: DriverName, place: &str, settings: &Settings) -> Option<Result<(Place, Settings), Failure>> {
    let wrong = |how: &str| Some(Err(Failure::usage(format!("--store {driver}:{place}: write {how}"))));
    let parts: Vec<&str> = place.split('/').collect();
    if parts.iter().any(|part| part.is_empty() || part.starts_with('.')) {
        return wrong("the names of a pool and what is in it, with a slash between");
    }
    match (driver.as_str(), parts.as_slice()) {
        ("zfs", _) => {
            Some(Ok((Place::Pool(place.into()), settings.clone().with("lxc.bdev.zfs.root", place))))
        }
        // Without a thin pool that is there, volumes are thick.
        ("lvm", [group]) => {
            let settings =
                settings.clone().with("lxc.bdev.lvm.vg", *group).with("lxc.bdev.lvm.thin_pool", "");
            Some(Ok((Place::Pool(Path::new("/dev").join(group)), settings)))
        }
        ("lvm", [group, thin]) => {
            let settings =
                settings.clone().with("lxc.bdev.lvm.vg", *group).with("lxc.bdev.lvm.thin_pool", *thin);
            Some(Ok((Place::Pool(Path::new("/dev").join(group)), settings)))
        }
        ("lvm", _) => wrong("lvm:GROUP or lvm:GROUP/THINPOOL"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(named: &[&str], scratch: Option<&[&str]>) -> Result<Chosen, Failure> {
        let owned = |words: &[&str]| words.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>();
        let scratch = scratch.map(owned);
        choose(&owned(named), scratch.as_deref(), &hull_drivers::builtin(), &Settings::default())
    }

    #[test]
    fn places_are_read() {
        let stores = chosen(&["dir:/tmp", "zfs:tank/x/y", "lvm:vg", "lvm:vg/pool", "overlayfs:/"], None)
            .unwrap()
            .stores;
        let place = |at: usize| stores[at].place.clone();
        assert_eq!(place(0), Place::Directory("/tmp".into()));
        assert_eq!(
            (place(1), stores[1].settings.get("lxc.bdev.zfs.root")),
            (Place::Pool("tank/x/y".into()), Some("tank/x/y"))
        );
        assert_eq!(
            (place(2), stores[2].settings.get("lxc.bdev.lvm.thin_pool")),
            (Place::Pool("/dev/vg".into()), Some(""))
        );
        assert_eq!(stores[3].settings.get("lxc.bdev.lvm.thin_pool"), Some("pool"));
        assert_eq!(stores[4].driver.as_str(), "overlay");
    }

    #[test]
    fn what_cannot_be_meant_is_one_line() {
        for (named, scratch) in [
            (&[][..], None),
            (&["dir"], None),
            (&["dir:"], None),
            (&["dir:relative"], None),
            (&["dir:/no/such/directory"], None),
            (&["dir:/dev/null"], None),
            (&["nonsense:/tmp"], None),
            (&["nbd:/tmp"], None),
            (&["zfs:tank//x"], None),
            (&["zfs:../x"], None),
            (&["lvm:a/b/c"], None),
            (&[], Some(&["nonsense"][..])),
        ] {
            let failure =
                chosen(named, scratch).err().unwrap_or_else(|| panic!("{named:?} {scratch:?} is taken"));
            assert!(!failure.to_string().contains('\n'), "{failure}");
        }
    }

    #[test]
    fn scratch_stores_are_there_or_left_out() {
        let Ok(all) = chosen(&[], Some(&[])) else { return };
        assert_eq!(all.stores.len() + all.left_out.len(), SCRATCH.len());
        assert!(all.left_out.iter().all(|left_out| !left_out.why.is_empty()));
    }
}
