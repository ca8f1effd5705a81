//! Giving a container's root file system another size or limit.

use hull_storage::lock::Kind;
use hull_storage::{Bytes, Error, ErrorKind, Locator, Outcome, Result};

use crate::container::Container;

impl Container<'_> {
    /// Makes the root file system so large, or limits what it may hold; `None` lifts the limit. Returns where it is.
    ///
    /// The container may run; whether its store can do it then, the store says.
    pub fn resize(&self, to: Option<Bytes>) -> Result<(Locator, Outcome)> {
        self.require_defined()?;
        let _lock = self.lock(Kind::Exclusive)?;
        self.require_defined()?;
        let at = self.rootfs()?.ok_or_else(|| {
            let text = format!("container {} has no root file system of its own", self.name());
            Error::new(ErrorKind::InvalidInput, text)
        })?;
        let outcome = self.all.store().resize(&at, to)?;
        Ok((at, outcome))
    }
}
