//! A folder that goes however the bench ends, be it by return, Ctrl-C or SIGKILL.
//!
//! A million files are left to nobody. A child in a process group of its own, which Ctrl-C does not reach, waits for
//! the end of a pipe that we hold, and then removes the folder.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use crate::{Result, process};

/// Tries again for a while: if we were killed, the program we were running may still be writing.
const REMOVE: &str =
    "cat > /dev/null; for n in 1 2 3 4 5 6 7 8 9 10; do rm -rf -- \"$0\" && exit 0; sleep 1; done; exit 1";

/// The folder.
#[derive(Debug)]
#[must_use = "the folder goes when this does"]
pub(super) struct Scratch {
    folder: PathBuf,
    remover: Child,
}

impl Scratch {
    /// Makes a folder of our own in `parent`.
    pub(super) fn new(parent: &Path) -> Result<Self> {
        let folder = parent.join(format!("hull-xtask-bench-{}", std::process::id()));
        std::fs::create_dir(&folder).map_err(|error| format!("cannot make {}: {error}", folder.display()))?;
        let mut remover = process::command("sh");
        remover.args(["-c", REMOVE]).arg(&folder).stdin(Stdio::piped()).process_group(0);
        let remover = remover.spawn().map_err(|error| {
            // Nothing is in it yet.
            let _ = std::fs::remove_dir(&folder);
            format!("cannot run {}: {error}", process::shown(&remover))
        })?;
        Ok(Self { folder, remover })
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.folder
    }
}

impl Drop for Scratch {
    /// Waits until the folder is gone.
    fn drop(&mut self) {
        drop(self.remover.stdin.take());
        if !self.remover.wait().is_ok_and(|status| status.success()) {
            eprintln!("xtask bench: left behind: {}: remove it by hand", self.folder.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Scratch;

    #[test]
    fn the_folder_goes_with_all_that_is_in_it() {
        let scratch = Scratch::new(&std::env::temp_dir()).expect("it is made");
        let folder = scratch.path().to_path_buf();
        std::fs::create_dir(folder.join("in")).expect("it may be used");
        drop(scratch);
        assert!(!folder.exists());
    }
}
