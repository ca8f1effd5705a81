//! Who starts containers: no library below the roots can, so a root hands one in.

use std::fmt::Debug;
use std::path::Path;

use hull_storage::{Locator, Result};

/// Starts containers for the workload `start`.
pub trait Starter: Debug {
    /// Whether it can; else why not, in words.
    fn is_ready(&self) -> std::result::Result<(), String>;

    /// Puts the init into the volume with the root `root`, by a path that may lead through `/proc`.
    fn furnish(&self, root: &Path) -> Result<()>;

    /// Starts a container whose root file system is the volume `at`; returns once its init runs, and the container's
    /// name.
    fn start(&self, at: &Locator) -> Result<String>;

    /// Ends the container; returns once nothing of it is left and nothing uses the volume.
    fn stop(&self, name: &str) -> Result<()>;
}
