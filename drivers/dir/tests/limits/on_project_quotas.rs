//! On file systems that keep project quotas.

use std::error::Error;
use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::Path;

use hull_driver_dir::NAME;
use hull_storage::{Access, Bytes, CloneMode, ErrorKind, Locator, Store, VolumeSpec};
use hull_sys::inode::{Project, project, set_project};
use hull_sys::quota;
use hull_treefixture::ScratchFs;

use super::{MIB, Tested, place, sized, store};

fn project_of(path: &Path) -> Project {
    project(File::open(path).unwrap()).unwrap()
}

/// What is kept of a project.
fn account(at: &Path, id: u32) -> quota::Account {
    quota::account(File::open(at).unwrap(), id).unwrap()
}

/// Runs `test` in a store on each kind of file system that keeps project quotas.
fn each(name: &str, test: impl Fn(&Path, &Store) -> Tested) -> Tested {
    for kind in ["ext4+prjquota", "xfs+prjquota"] {
        match ScratchFs::new(kind, 64 << 20) {
            Ok(scratch) => {
                let store = store(&scratch.path().join("state"));
                test(scratch.path(), &store).map_err(|e| format!("on {kind}: {e}"))?;
            }
            Err(reason) => hull_testskip::skip(&format!("on_project_quotas::{name}"), reason.to_string()),
        }
    }
    Ok(())
}

/// A volume, not limited yet, with everything in it that can be.
fn filled(store: &Store, path: &Path) -> Result<Locator, Box<dyn Error>> {
    let at = store.create(NAME, &place(path), &VolumeSpec::default())?;
    // Deeper than as many directories as a walk keeps open.
    let deep = at.path().join("a/b").join("c/".repeat(60));
    fs::create_dir_all(&deep)?;
    fs::write(deep.join("file"), "deep")?;
    fs::write(at.path().join("file"), vec![7; MIB as usize])?;
    fs::hard_link(at.path().join("file"), at.path().join("a/link"))?;
    symlink("/etc", at.path().join("symlink"))?;
    rustix::fs::mknodat(
        rustix::fs::CWD,
        at.path().join("fifo"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RWXU,
        0,
    )?;
    Ok(at)
}

#[test]
fn a_new_volume_has_the_limit_and_its_id_is_free_again_afterwards() -> Tested {
    each("a_new_volume_has_the_limit_and_its_id_is_free_again_afterwards", |top, store| {
        let at = store.create(NAME, &place(top.join("v")), &sized(8 * MIB))?;
        assert_eq!(store.inspect(&at)?.size, Some(Bytes(8 * MIB)));
        let available = store.usage(&at)?.available.ok_or("it is known")?.0;
        assert!((7 * MIB..=8 * MIB).contains(&available), "{available}");
        let id = project_of(at.path()).id;
        assert!(id >= 0x4000_0000 && project_of(at.path()).inherited);
        fs::create_dir(at.path().join("etc"))?;
        assert_eq!(project_of(&at.path().join("etc")), project_of(at.path()));
        assert!(!account(top, id).is_free());
        store.destroy(&at)?;
        // What is deleted is counted until it is written out.
        rustix::fs::syncfs(File::open(top)?)?;
        assert_eq!(account(top, id).limit, None);
        Ok(())
    })
}

#[test]
fn everything_in_a_volume_is_charged_once_it_is_limited() -> Tested {
    each("everything_in_a_volume_is_charged_once_it_is_limited", |top, store| {
        let at = filled(store, &top.join("v"))?;
        let outside = top.join("outside");
        fs::create_dir(&outside)?;
        symlink(&outside, at.path().join("a/out"))?;
        assert_eq!((project_of(at.path()).id, store.inspect(&at)?.size), (0, None));
        store.resize(&at, Some(Bytes(8 * MIB)))?;
        let own = project_of(at.path());
        let mut dir = at.path().join("a/b");
        while dir.is_dir() {
            assert_eq!(project_of(&dir), own, "{}", dir.display());
            dir.push("c");
        }
        for file in ["file", "a/link"] {
            assert_eq!(project_of(&at.path().join(file)).id, own.id, "{file}");
        }
        assert_eq!(project_of(&outside).id, 0, "what a symlink points to is not charged");
        assert!(account(top, own.id).bytes >= MIB);
        let e = store.resize(&at, Some(Bytes(MIB / 2))).unwrap_err();
        assert_eq!(e.kind(), ErrorKind::CannotShrink, "{e}");
        Ok(())
    })
}

/// Killed while it visits the files, it has set no limit; then they are visited again.
#[test]
fn what_was_interrupted_is_done_again() -> Tested {
    each("what_was_interrupted_is_done_again", |top, store| {
        let at = filled(store, &top.join("v"))?;
        store.resize(&at, Some(Bytes(8 * MIB)))?;
        let own = project_of(at.path());
        let late = at.path().join("a/b/c");
        quota::set_limit(File::open(top)?, own.id, None)?;
        set_project(File::open(&late)?, Project { id: 0, inherited: false })?;
        assert_eq!(store.inspect(&at)?.size, None);
        store.resize(&at, Some(Bytes(8 * MIB)))?;
        assert_eq!(project_of(&late), own);
        assert_eq!(store.inspect(&at)?.size, Some(Bytes(8 * MIB)));
        Ok(())
    })
}

#[test]
fn a_volume_that_was_never_large_enough_is_left_as_it_was() -> Tested {
    each("a_volume_that_was_never_large_enough_is_left_as_it_was", |top, store| {
        let at = filled(store, &top.join("v"))?;
        let e = store.resize(&at, Some(Bytes(MIB / 2))).unwrap_err();
        assert_eq!(e.kind(), ErrorKind::CannotShrink, "{e}");
        assert_eq!(project_of(at.path()), Project { id: 0, inherited: false });
        Ok(())
    })
}

#[test]
fn an_id_that_somebody_uses_is_not_taken() -> Tested {
    each("an_id_that_somebody_uses_is_not_taken", |top, store| {
        let at = store.create(NAME, &place(top.join("v")), &sized(8 * MIB))?;
        let first = project_of(at.path());
        // The limit is somebody else's now: the volume is charged to nobody.
        set_project(File::open(at.path())?, Project { id: 0, inherited: false })?;
        store.resize(&at, Some(Bytes(16 * MIB)))?;
        let second = project_of(at.path());
        assert_ne!(first.id, second.id);
        assert_eq!(account(top, first.id).limit, Some(8 * MIB));
        store.destroy(&at)?;
        assert_eq!(account(top, first.id).limit, Some(8 * MIB), "another's limit stays");
        assert_eq!(account(top, second.id).limit, None);
        Ok(())
    })
}

/// Nothing of another project can be moved into a directory that has one, so a limited volume could not be renamed.
#[test]
fn a_volume_in_a_limited_directory_is_refused() -> Tested {
    each("a_volume_in_a_limited_directory_is_refused", |top, store| {
        let outer = store.create(NAME, &place(top.join("outer")), &sized(32 * MIB))?;
        let e = store.create(NAME, &place(outer.path().join("v")), &sized(8 * MIB)).unwrap_err();
        assert_eq!((e.kind(), e.to_string().lines().count()), (ErrorKind::Unsupported, 1), "{e}");
        assert!(!outer.path().join("v").exists());
        // Without a limit it is one of the outer one's directories, and says nothing of the outer one's limit.
        let inner = store.create(NAME, &place(outer.path().join("v")), &VolumeSpec::default())?;
        assert_eq!(store.inspect(&inner)?.size, None);
        store.destroy(&inner)?;
        assert_eq!(store.inspect(&outer)?.size, Some(Bytes(32 * MIB)));
        Ok(())
    })
}

#[test]
fn a_restored_volume_keeps_its_limit_and_copies_have_none() -> Tested {
    each("a_restored_volume_keeps_its_limit_and_copies_have_none", |top, store| {
        let at = store.create(NAME, &place(top.join("v")), &sized(8 * MIB))?;
        fs::write(at.path().join("file"), "as it was")?;
        symlink("file", at.path().join("symlink"))?;
        let old = project_of(at.path()).id;
        let copy = place(top.join("copy"));
        let copy = store.clone_volume(&at, None, &copy, CloneMode::SnapshotElseCopy, Access::ReadWrite)?.at;
        assert_eq!((project_of(copy.path()).id, store.inspect(&copy)?.size), (0, None));
        let at = store.restore(&copy, &at)?.at;
        let new = project_of(at.path()).id;
        assert_eq!(store.inspect(&at)?.size, Some(Bytes(8 * MIB)));
        assert_eq!(project_of(&at.path().join("file")).id, new);
        fs::rename(at.path().join("symlink"), at.path().join("is charged, too"))?;
        assert_ne!(old, new);
        assert_eq!(account(top, old).limit, None);
        Ok(())
    })
}
