//! Clones: an empty upper layer over a tree, or a copy of a volume's upper layer over the same trees.

use hull_mount::Access;
use hull_storage::{
    CopyOnWrite, Error, ErrorKind, Kept, Layout, Offer, Placement, Result, Source, TxId, files, mark,
};
use hull_unionfs::{Chain, layer};

use crate::{AufsDriver, STORE, kernel, upper};

impl CopyOnWrite for AufsDriver {
    fn offer(&self, from: Source<'_>, _to: &Placement, _access: Access) -> Option<Offer> {
        STORE.offer(from)
    }

    fn clone_volume(&self, from: Source<'_>, to: &Layout, access: Access, _by: TxId) -> Result<Kept> {
        if !kernel::has_aufs() {
            // The clone could be made, and nobody could look into it.
            return Err(Error::new(
                ErrorKind::Unsupported,
                "this kernel has no aufs, as no mainline kernel has: clone into overlay, or boot a kernel with aufs",
            ));
        }
        make(from, to, access).map(|()| None)
    }
}

/// Makes the clone. Needs nothing of the kernel.
pub(crate) fn make(from: Source<'_>, to: &Layout, access: Access) -> Result<()> {
    let Chain { lower, upper } = Chain::read(&to.at)?;
    STORE.require_lower(&to.at, &lower)?;
    STORE.require_stackable(&lower, "aufs", &upper::UNSUITED_AS_LOWER)?;
    let changes = STORE.changes(from)?;
    files::make_dir(&upper, 0o755, None)?;
    upper::require_usable(&upper)?;
    // In the merged tree, what the upper layer's root has is seen.
    let like = match &changes {
        // The source stays writable, so its changes can be no layer of the clone. They are copied as they are:
        // whiteouts and opaque marks are files, and mean the same over the same trees.
        Some(changes) => {
            files::copy(changes, &upper, &())?;
            upper::forget_mount(&upper)?;
            changes
        }
        None => &lower[0],
    };
    layer::copy_root(like, &upper, STORE.private)?;
    if access == Access::ReadOnly {
        STORE.set_read_only(&upper)?;
    }
    mark::set(&upper, &mark::inode(&upper)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::NAME;
    use hull_mount::MountSource;
    use hull_storage::{Driver, Locator, Placement, Registry, Settings, Store};
    use hull_storage_testkit::plain;
    use std::fs;
    use std::os::unix::fs::MetadataExt;
    use std::path::Path;

    /// A tree, a volume over it that somebody changed, and a store of both.
    struct Scene {
        dir: tempfile::TempDir,
        store: Store,
    }

    impl Scene {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let registry = Registry::default().with(crate::REGISTRATION).with(plain::REGISTRATION);
            let store =
                hull_storage::open(&registry, &Settings::default(), &dir.path().join("state")).unwrap();
            fs::create_dir_all(dir.path().join("base/etc")).unwrap();
            Self { dir, store }
        }

        fn base(&self) -> Locator {
            Locator::new(plain::NAME, self.dir.path().join("base"))
        }

        fn clone(&self, from: &Locator, name: &str, access: Access) -> Result<Locator> {
            let to = Placement::exactly(&self.dir.path().join(name)).unwrap();
            let layout = AufsDriver.new_layout(&to, Some(from))?;
            make(Source { driver: self.store.driver(from.driver())?, at: from }, &layout, access)?;
            Ok(layout.at)
        }
    }

    #[test]
    fn a_clone_of_a_clone_has_its_whiteouts_and_nothing_of_its_mount() {
        let scene = Scene::new();
        let a = scene.clone(&scene.base(), "a", Access::ReadWrite).unwrap();
        let upper = Chain::read(&a).unwrap().upper;
        // As aufs leaves a layer behind: every whiteout is a link to one file.
        fs::write(upper.join(".wh..wh.aufs"), "").unwrap();
        fs::create_dir_all(upper.join("etc")).unwrap();
        for whiteout in [".wh.usr", "etc/.wh.hostname", "etc/.wh..wh..opq"] {
            fs::hard_link(upper.join(".wh..wh.aufs"), upper.join(whiteout)).unwrap();
        }
        for (dir, file) in [(".wh..wh.plnk", "12.34"), (".wh..wh.orph", ".wh.1f")] {
            fs::create_dir(upper.join(dir)).unwrap();
            fs::write(upper.join(dir).join(file), "stale").unwrap();
        }
        let b = scene.clone(&a, "b", Access::ReadWrite).unwrap();
        let copy = Chain::read(&b).unwrap();
        assert_eq!(copy.lower, [scene.dir.path().join("base")]);
        let inode = |file: &str| fs::metadata(copy.upper.join(file)).unwrap().ino();
        for whiteout in [".wh.usr", "etc/.wh.hostname", "etc/.wh..wh..opq"] {
            assert_eq!(inode(whiteout), inode(".wh..wh.aufs"), "{whiteout}");
        }
        assert!(!copy.upper.join(".wh..wh.plnk").exists() && !copy.upper.join(".wh..wh.orph").exists());
        assert_eq!(fs::metadata(&copy.upper).unwrap().mtime(), fs::metadata(&upper).unwrap().mtime());
        for at in [&a, &b] {
            scene.store.destroy(at).unwrap();
        }
        assert!(!upper.exists() && !copy.upper.exists());
    }

    #[test]
    fn plans_read_as_lxc_mounts_them() {
        let scene = Scene::new();
        let at = scene.clone(&scene.base(), "a", Access::ReadWrite).unwrap();
        let top = scene.dir.path().display().to_string();
        let writable = AufsDriver.activate(&at, Access::ReadWrite).unwrap().plan;
        let text = writable.to_string();
        assert!(text.starts_with(&format!("aufs aufs rw,br={top}/a=rw:{top}/base=ro,acl")), "{text}");
        assert!(matches!(writable.source, MountSource::Union { upper: Some(_), .. }));
        // Read, it may be in use meanwhile: nothing is put into its layer, not even what aufs deletes at once.
        let text = AufsDriver.activate(&at, Access::ReadOnly).unwrap().plan.to_string();
        assert!(
            text.starts_with(&format!("aufs aufs ro,br={top}/a=ro+wh:{top}/base=ro,acl,xino=/")),
            "{text}"
        );
        assert!(!text.contains(&format!("xino={top}/a/")), "{text}");
    }

    #[test]
    fn a_snapshot_is_read_only_and_its_clones_are_not() {
        let scene = Scene::new();
        let a = scene.clone(&scene.base(), "a", Access::ReadWrite).unwrap();
        let s = match scene.clone(&a, "s", Access::ReadOnly) {
            // trusted.* is root's.
            Err(e) if e.kind() == ErrorKind::PermissionDenied => return,
            made => made.unwrap(),
        };
        let info = AufsDriver.inspect(&s).unwrap();
        assert_eq!((info.access, info.origins), (Access::ReadOnly, vec![scene.base().at().to_owned()]));
        assert_eq!(
            AufsDriver.activate(&s, Access::ReadWrite).unwrap_err().kind(),
            ErrorKind::PermissionDenied
        );
        let c = scene.clone(&s, "c", Access::ReadWrite).unwrap();
        assert_eq!(AufsDriver.inspect(&c).unwrap().access, Access::ReadWrite);
    }

    #[test]
    fn what_cannot_be_is_refused_in_words() {
        let scene = Scene::new();
        let deep: Vec<_> = (0..81).map(|n| format!("/l{n}").into()).collect();
        let deep = Chain { lower: deep, upper: "/u".into() }.locator(NAME);
        let over_proc = Locator::new(plain::NAME, "/gone");
        for (from, says) in [
            (deep, "81 lower layers are more than the 80"),
            (over_proc, "lies over /gone, which is not there"),
            (Locator::new(NAME, "/only"), "names one layer only: write aufs:/LOWER"),
        ] {
            let e = scene.clone(&from, "x", Access::ReadWrite).unwrap_err().to_string();
            assert!(e.contains(says) && !e.contains('\n'), "{e}");
        }
        let e = scene.clone(&scene.base(), "base/x", Access::ReadWrite).unwrap_err().to_string();
        assert!(e.contains("the changes of an aufs volume cannot lie in the tree it lies over"), "{e}");
        let alone = AufsDriver.new_layout(&Placement::exactly(Path::new("/x")).unwrap(), None).unwrap_err();
        assert!(alone.to_string().contains("cannot be made alone"), "{alone}");
    }

    #[test]
    fn a_kernel_without_aufs_is_named_before_anything_is_made() {
        if kernel::has_aufs() {
            return;
        }
        let scene = Scene::new();
        let base = scene.base();
        let to = Placement::exactly(&scene.dir.path().join("x")).unwrap();
        let mode = hull_storage::CloneMode::Snapshot;
        let e = scene.store.clone_volume(&base, Some(NAME), &to, mode, Access::ReadWrite).unwrap_err();
        assert_eq!(e.kind(), ErrorKind::Unsupported);
        assert!(
            e.to_string().contains("this kernel has no aufs, as no mainline kernel has: clone into overlay"),
            "{e}"
        );
        assert!(!scene.dir.path().join("x").exists());
    }
}
