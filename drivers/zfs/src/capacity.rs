//! Limits: the property `refquota`, which counts the volume itself and not what others share with it.

use hull_storage::{Bytes, Capacity, Error, ErrorKind, Locator, Outcome, Result};

use crate::ZfsDriver;
use crate::backend::{Asked, Property};

impl Capacity for ZfsDriver {
    fn resize(&self, at: &Locator, to: Option<Bytes>) -> Result<Outcome> {
        let (name, found) = self.existing(at, Asked::All)?;
        if found.size == to.map(|bytes| bytes.0) {
            return Ok(Outcome::AlreadyDone);
        }
        if let Some(to) = to.filter(|to| to.0 <= found.referenced) {
            let text = format!(
                "{name} holds {} and cannot be limited to {to}: remove something first, or allow more",
                Bytes(found.referenced)
            );
            return Err(Error::new(ErrorKind::CannotShrink, text));
        }
        let limit = to.map_or_else(|| Property::text("refquota", "none"), |to| Property::size(to.0));
        self.backend()?.set(&name, &limit)?;
        Ok(Outcome::Done)
    }
}
