//! Looking through a dataset: what Hull made in it, by its property, and what transactions named.

use hull_storage::{Bytes, Enumerate, Listed, Locator, Resource, Result};

use crate::backend::{Asked, Backend, DEVICE, Node};
use crate::{NAME, ZfsDriver, naming};

impl Enumerate for ZfsDriver {
    /// Lists the datasets that lie directly in the one of the settings, and snapshots for clones that were never made.
    /// Where there is no zfs there is nothing.
    fn list(&self) -> Result<Vec<Listed>> {
        if !std::path::Path::new(DEVICE).exists() {
            return Ok(Vec::new());
        }
        let backend = self.backend()?;
        let mut all = Vec::new();
        for node in backend.tree(self.root())? {
            if naming::parent(&node.name) != Some(self.root()) {
                continue;
            }
            all.extend(volume(backend, &node)?);
            // One with clones goes with the last of them.
            let lonely = node.snapshots.iter().filter(|snapshot| snapshot.clones.is_empty());
            let snapshots = lonely.map(|snapshot| Resource::new(NAME, snapshot.name.as_str()));
            all.extend(snapshots.filter_map(|what| {
                let (_, by) =
                    what.stamped().filter(|_| what.path().file_name().is_some_and(is_of_a_clone))?;
                Some(Listed { what, at: None, by: Some(by), size: None })
            }));
        }
        Ok(all)
    }
}

/// The dataset, if Hull made it or is deleting it.
fn volume(backend: &dyn Backend, node: &Node) -> Result<Option<Listed>> {
    let Some(found) = backend.look(&node.name, Asked::All)? else { return Ok(None) };
    let what = Resource::new(NAME, node.name.as_str());
    // What the power left without the property has its origin, and nobody uses it.
    let made = || found.origin.as_deref().filter(|_| !found.ours).and_then(naming::maker_of_clones);
    let by = what.stamped().map(|(_, by)| by).or_else(made);
    if found.kind != "filesystem" || (by.is_none() && !found.ours) {
        return Ok(None);
    }
    let at = by.is_none().then(|| Locator::new(NAME, node.name.as_str()));
    Ok(Some(Listed { what, at, by, size: Some(Bytes(found.used)) }))
}

/// Whether the stamp in a snapshot's name is behind the `@`: in front of it, it is the dataset's.
fn is_of_a_clone(leaf: &std::ffi::OsStr) -> bool {
    let snapshot = leaf.to_str().and_then(|leaf| leaf.split_once('@'));
    snapshot.is_some_and(|(_, name)| Resource::new(NAME, name).stamped().is_some())
}
