//! Limits on directories, by the project quotas of real file systems and where there are none.
#![allow(clippy::unwrap_used, reason = "what cannot be set up fails the test")]

mod on_project_quotas;

use std::error::Error;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use hull_driver_dir::{NAME, REGISTRATION};
use hull_storage::{Bytes, ErrorKind, Placement, Registry, Settings, Store, VolumeSpec};
use hull_treefixture::ScratchFs;

type Tested = Result<(), Box<dyn Error>>;

const MIB: u64 = 1 << 20;

fn store(state: &Path) -> Store {
    let registry = Registry::default().with(REGISTRATION);
    hull_storage::open(&registry, &Settings::default(), state).unwrap()
}

fn sized(size: u64) -> VolumeSpec {
    VolumeSpec { size: Some(Bytes(size)), ..VolumeSpec::default() }
}

fn place(path: impl AsRef<Path>) -> Placement {
    Placement::exactly(path.as_ref()).unwrap()
}

/// Without quotas nothing is made and nothing changes, and the error says what would help.
#[test]
fn without_quotas_a_size_is_refused_in_one_line() -> Tested {
    for (kind, remedy) in [("ext4", "tune2fs"), ("xfs", "prjquota"), ("tmpfs", "ext4 or xfs")] {
        let scratch = match ScratchFs::new(kind, 64 << 20) {
            Ok(scratch) => scratch,
            Err(reason) => {
                hull_testskip::skip("without_quotas_a_size_is_refused_in_one_line", reason.to_string());
                continue;
            }
        };
        let top = scratch.path();
        let store = store(&top.join("state"));
        let refused = |e: hull_storage::Error| {
            assert_eq!((e.kind(), e.to_string().lines().count()), (ErrorKind::Unsupported, 1), "{e}");
            assert!(e.to_string().contains(remedy), "{e}");
            assert!(e.leftovers().is_empty(), "{e}");
        };
        refused(store.create(NAME, &place(top.join("v")), &sized(8 * MIB)).unwrap_err());
        assert!(!top.join("v").exists());
        let at = store.create(NAME, &place(top.join("v")), &VolumeSpec::default())?;
        let changed = fs::metadata(at.path())?.ctime_nsec();
        refused(store.resize(&at, Some(Bytes(8 * MIB))).unwrap_err());
        assert_eq!(fs::metadata(at.path())?.ctime_nsec(), changed);
        store.resize(&at, None)?;
        assert_eq!(store.inspect(&at)?.size, None);
        store.destroy(&at)?;
    }
    Ok(())
}
