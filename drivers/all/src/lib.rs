//! Every storage driver of this build, in detection order, and every store that LXC knows and this build lacks.
//!
//! ```
//! use hull_storage::Availability;
//!
//! for driver in hull_drivers::builtin().drivers() {
//!     match (driver.probe)(&hull_storage::Settings::default()) {
//!         Availability::Ready { notes } => println!("{}: ready {notes:?}", driver.name),
//!         Availability::Missing { why, remedy } => println!("{}: {why}; {remedy}", driver.name),
//!     }
//! }
//! ```
#![forbid(unsafe_code)]

use hull_storage::{Absent, DriverName, Registry};

/// The drivers of this build.
///
/// The order is the one in which a bare path is offered to them. zfs and btrfs come before dir, unlike in LXC since
/// 2.1: a dataset or subvolume taken for a plain directory is copied, and removed file by file, where it could be
/// snapshotted, and LXC's rename of such a container lost it. aufs comes after overlayfs, which neither detects
/// paths: who asks for a snapshot without naming a store gets an overlay, as from LXC, also on a kernel with aufs.
pub fn builtin() -> Registry {
    Registry::default()
        .with(hull_driver_zfs::REGISTRATION)
        .with(hull_driver_lvm::REGISTRATION)
        .with(hull_driver_btrfs::REGISTRATION)
        .with(hull_driver_dir::REGISTRATION)
        .with(hull_driver_overlayfs::REGISTRATION)
        .with(hull_driver_aufs::REGISTRATION)
        .with(hull_driver_loop::REGISTRATION)
        .without(absent("nbd", "Hull attaches no network block devices; attach it, mount it and use dir"))
        .without(absent("rbd", "Hull maps no Ceph block devices; map it, mount it and use dir"))
}

const fn absent(name: &'static str, why: &'static str) -> Absent {
    Absent { name: DriverName::new(name), why }
}

#[cfg(test)]
mod tests {
    use super::builtin;

    #[test]
    fn locators_of_every_store_are_read() {
        let registry = builtin();
        for (text, shown) in [
            ("dir:/srv/x", "dir:/srv/x"),
            ("btrfs:/srv/x", "btrfs:/srv/x"),
            ("overlay:/a:/b", "overlay:/a:/b"),
            ("overlayfs:/a:/b", "overlay:/a:/b"),
            ("loop:/srv/x/rootdev", "loop:/srv/x/rootdev"),
            ("aufs:/a:/b", "aufs:/a:/b"),
            ("zfs:pool/c1", "zfs:pool/c1"),
            ("lvm:/dev/vg/c1", "lvm:/dev/vg/c1"),
        ] {
            assert_eq!(registry.locate(text.as_ref()).unwrap().to_string(), shown);
        }
        for wrong in ["o:/a:/b", "btrf:/x", "zfss:a/b", ":", "dir:", "relative"] {
            assert!(registry.locate(wrong.as_ref()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_is_absent_says_why_in_one_line() {
        let registry = builtin();
        for absent in registry.absent() {
            let e = registry.resolve(absent.name.as_str()).unwrap_err().to_string();
            assert!(e.contains(absent.why) && !e.contains('\n'), "{e}");
        }
    }

    #[test]
    fn a_bare_path_is_a_directory_or_an_image() {
        let here = tempfile::tempdir().unwrap();
        let at = builtin().locate(here.path().as_os_str()).unwrap();
        assert_eq!(at.driver(), hull_driver_dir::NAME);
        let image = here.path().join("rootdev");
        std::fs::write(&image, "").unwrap();
        assert_eq!(builtin().locate(image.as_os_str()).unwrap().driver(), hull_driver_loop::NAME);
        assert!(builtin().locate(here.path().join("gone").as_os_str()).is_err());
    }
}
