//! A file system whose disk fails when asked to: real I/O errors, on any machine.
//!
//! The disk is a sparse file in a tmpfs. When that is full, every write to a block that was never written before fails,
//! and the file system gets `EIO` from its device, as from a thin pool that has run full. What it has been told by then it
//! may have lost: so operations on this ground are those that survive power cuts.

use std::fs::File;
use std::io;
use std::process::Command;
use std::sync::Arc;

use hull_storage::Durability;
use hull_treefixture::ScratchFs;

use crate::ground::{Ground, GroundInstance, Troubles};
use crate::trouble;

/// How large the file system is, and how much of it can ever be written.
const SIZE: u64 = 512 << 20;

/// A ground with a file system of the kind `kind`, called `KIND-on-a-failing-disk`.
pub fn ground(kind: &'static str) -> Ground {
    Ground::new(format!("{kind}-on-a-failing-disk"), move || {
        let disk = ScratchFs::new("tmpfs", SIZE)?;
        let scratch = Arc::new(ScratchFs::new_in(kind, SIZE, disk.path())?);
        let (dir, full) = (scratch.path().to_path_buf(), disk.path().to_path_buf());
        let failing = Arc::clone(&scratch);
        let troubles = Troubles {
            failing: Some(Arc::new(move |left| {
                // What was done before is on the disk.
                rustix::fs::syncfs(File::open(failing.path())?)?;
                // What is free on the file system was never written to, as far as the disk knows.
                let trimmed = Command::new("fstrim").arg(failing.path()).status()?;
                if !trimmed.success() {
                    return Err(io::Error::other(format!("fstrim {}: {trimmed}", failing.path().display())));
                }
                let full = trouble::fill(&full, left)?;
                Ok(Box::new(Broken { full: Some(full), scratch: Arc::clone(&failing) }))
            })),
            ..Troubles::default()
        };
        // The file system goes before its disk.
        Ok(GroundInstance::new(dir, (scratch, disk))
            .with_troubles(troubles)
            .with_durability(Durability::Power))
    })
}

/// A disk that fails until this is dropped; then it is a new one, and the file system is mounted again.
struct Broken {
    full: Option<Box<dyn std::any::Any>>,
    scratch: Arc<ScratchFs>,
}

impl Drop for Broken {
    fn drop(&mut self) {
        self.full.take();
        if let Err(why) = self.scratch.mount_again() {
            // The case looks at what is there and fails; it must know why.
            eprintln!("the file system is not mounted again: {why}");
        }
    }
}
