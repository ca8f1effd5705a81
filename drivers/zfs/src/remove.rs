//! Removing a dataset with all it holds, and nothing that others need: its clones inherit what they share with it.

use hull_storage::{Error, ErrorKind, Mark, Outcome, Result, TxId};

use crate::backend::{Backend, Node, Snapshot, When};
use crate::naming::is_within;

/// More rounds than anybody has clones; each makes what is left less.
const ROUNDS: usize = 1000;

/// Removes the snapshot `name`, if it is there.
pub(crate) fn snapshot(backend: &dyn Backend, name: &str) -> Result<Outcome> {
    if !backend.exists(name)? {
        return Ok(Outcome::AlreadyDone);
    }
    backend.destroy_snapshot(name, When::Unneeded)?;
    Ok(Outcome::Done)
}

/// Removes the dataset `name`, the datasets in it, and their snapshots. Clones elsewhere are promoted first: they become
/// the owners of the snapshots they share with it.
///
/// Every state it leaves when interrupted is one it can begin with.
pub(crate) fn dataset(backend: &dyn Backend, name: &str, by: TxId) -> Result<Outcome> {
    let mut failed = None;
    for round in 0..ROUNDS {
        let tree = backend.tree(name)?;
        if tree.is_empty() {
            return Ok(if round == 0 { Outcome::AlreadyDone } else { Outcome::Done });
        }
        if let Some((node, heir)) = next_heir(&tree, name) {
            hand_over(backend, node, heir, by)?;
            continue;
        }
        // What cannot go yet may when something else in the tree has gone.
        let left = (tree.len(), tree.iter().map(|node| node.snapshots.len()).sum::<usize>());
        match failed.take() {
            Some((before, e)) if before == left => return Err(e),
            _ => {}
        }
        match remove_all(backend, &tree) {
            Err(e) if e.kind() == ErrorKind::HasDependents => failed = Some((left, e)),
            Err(e) => return Err(in_use(e, name)),
            Ok(()) => {}
        }
    }
    Err(Error::new(
        ErrorKind::InUse,
        format!("{name} is cloned faster than its clones can be made independent"),
    ))
}

/// A dataset of the tree of `name` and the newest of its snapshots' clones that lie elsewhere: promoted, it takes over
/// all snapshots up to the one it was made of, and the other clones of those.
fn next_heir<'t>(tree: &'t [Node], name: &str) -> Option<(&'t Node, &'t str)> {
    tree.iter().find_map(|node| {
        let mut newest_first = node.snapshots.iter().rev();
        let heir = newest_first.find_map(|s| s.clones.iter().find(|clone| !is_within(clone, name)));
        heir.map(|heir| (node, heir.as_str()))
    })
}

/// Makes `heir`, a clone of a snapshot of `node`, independent of it.
fn hand_over(backend: &dyn Backend, node: &Node, heir: &str, by: TxId) -> Result<()> {
    let (needed, unneeded): (Vec<&Snapshot>, Vec<&Snapshot>) =
        node.snapshots.iter().partition(|s| !s.clones.is_empty());
    // They would become the heir's, and nobody would ever remove them.
    for snapshot in unneeded {
        backend.destroy_snapshot(&snapshot.name, When::Now).map_err(|e| in_use(e, &snapshot.name))?;
    }
    let theirs = backend.tree(heir)?;
    let Some(theirs) = theirs.first() else { return Ok(()) };
    let name_of = |s: &Snapshot| s.name.split_once('@').map(|(_, name)| name.to_owned());
    for snapshot in needed {
        if let Some(name) =
            name_of(snapshot).filter(|n| theirs.snapshots.iter().filter_map(name_of).any(|t| t == *n))
        {
            let name: String = name.chars().take(200).collect();
            let other = format!("{}@{:08x}-{}", node.name, snapshot.made, Mark::Old.stamp(by));
            backend.rename(&snapshot.name, &other).map_err(|e| e.with("for", name))?;
        }
    }
    match backend.promote(heir) {
        // It was destroyed, renamed or promoted meanwhile: the next look tells.
        Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::InvalidInput) => Ok(()),
        other => other,
    }
}

/// Removes as much as can be, inner datasets first.
fn remove_all(backend: &dyn Backend, tree: &[Node]) -> Result<()> {
    let mut depended_on = None;
    let mut acts = |result: Result<()>| match result {
        Err(e) if e.kind() == ErrorKind::HasDependents => {
            depended_on = Some(e);
            Ok(())
        }
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(()),
        other => other,
    };
    for node in tree.iter().rev() {
        for snapshot in &node.snapshots {
            acts(backend.destroy_snapshot(&snapshot.name, When::Now))?;
        }
        acts(backend.destroy(&node.name))?;
    }
    depended_on.map_or(Ok(()), Err)
}

fn in_use(e: Error, name: &str) -> Error {
    match e.kind() {
        ErrorKind::InUse => Error::new(
            ErrorKind::InUse,
            format!(
                "{name} is mounted somewhere, held open or kept by a hold (`zfs holds`), so it cannot be removed: \
                 end that first"
            ),
        )
        .because(e),
        _ => e,
    }
}
