//! Who uses a dataset: mounts in all mount namespaces that can be seen, and holds.

use std::collections::HashSet;
use std::fs;

use hull_mount::table;
use hull_storage::Result;

use crate::backend::Node;
use crate::naming::is_within;

/// A mount of `dataset`, or of a dataset or snapshot in it, in the mount namespace of any process.
///
/// The property `mounted` knows only the caller's own mounts. A mount that is attached nowhere shows in no table.
pub(crate) fn mounted(dataset: &str) -> Option<String> {
    let mut seen = HashSet::new();
    let mut all: Vec<(u32, String)> = fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter_map(|name| Some((name.parse().ok()?, name)))
        .collect();
    // One's own first: what is mounted there has a path that the caller knows.
    all.insert(0, (0, "self".into()));
    for (_, process) in all {
        let Ok(namespace) = fs::read_link(format!("/proc/{process}/ns/mnt")) else { continue };
        if !seen.insert(namespace) {
            continue;
        }
        let Ok(text) = fs::read(format!("/proc/{process}/mountinfo")) else { continue };
        let found = table::parse(&text).into_iter().find(|mount| {
            mount.fstype == "zfs" && mount.source.to_str().is_some_and(|source| is_within(source, dataset))
        });
        if let Some(mount) = found {
            let point = mount.point.display();
            return Some(match process.as_str() {
                "self" => format!("a mount at {point}"),
                _ => format!("process {process}, which has it mounted at {point}"),
            });
        }
    }
    None
}

/// A hold on a snapshot in the tree: it keeps the dataset from being destroyed, so that must not begin.
pub(crate) fn held(tree: &[Node]) -> Result<Option<String>> {
    let held = tree.iter().flat_map(|node| &node.snapshots).find(|snapshot| snapshot.holds > 0);
    Ok(held.map(|s| format!("a hold on its snapshot {} (see `zfs holds`, `zfs release`)", s.name)))
}
