//! Volumes that somebody writes to, kept still while they are read.

use std::any::Any;
use std::fmt;

use hull_mount::Access;

use crate::error::Result;
use crate::host;
use crate::name::Locator;
use crate::plan::Step;
use crate::store::Store;

/// How whoever writes to a volume is kept from it. The store knows when, its caller how. A directory whose files are copied
/// is copied before that, too, as it is then; what changed since is copied again while they are kept from it.
pub struct Still<'a> {
    /// The volume.
    pub volume: &'a Locator,
    /// Keeps them from it until what is returned is dropped. Fails when they cannot be, and then the step does.
    pub hold: &'a dyn Fn() -> Result<Box<dyn Any>>,
}

impl fmt::Debug for Still<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Still").field("volume", &self.volume).finish_non_exhaustive()
    }
}

impl Still<'_> {
    pub(crate) fn begin(&self) -> Result<Box<dyn Any>> {
        (self.hold)()
    }
}

impl Step {
    /// The volume whose content the step reads.
    pub fn reads(&self) -> Option<&Locator> {
        match self {
            Self::Clone { from, .. }
            | Self::Fill { from, .. }
            | Self::FillBlocks { from, .. }
            | Self::Receive { from, .. } => Some(from),
            Self::MakeHome { .. }
            | Self::Create { .. }
            | Self::CreateBlocks { .. }
            | Self::Import { .. }
            | Self::Move { .. }
            | Self::Write { .. } => None,
        }
    }
}

impl Store {
    /// Has the kernel write out what it holds back of the volume `at`, which may be in use.
    pub fn write_out(&self, at: &Locator) -> Result<()> {
        host::sync(&self.activate(at, Access::ReadOnly)?)
    }
}
