//! What a run would do, in words: `--dry-run`.

use hull_storage::{Bytes, Result};

use crate::request::{Place, Request};

/// What `request` would do. Nothing is made.
pub fn plan(request: &Request) -> Result<String> {
    request.validate()?;
    let options = &request.options;
    let mut text = format!("root file system: {}\n", request.rootfs.facts().description);
    for store in &request.stores {
        let place = match &store.place {
            Place::Directory(path) => format!("a directory of its own in {}", path.display()),
            Place::Pool(path) => format!("names of its own in {}", path.display()),
            Place::Scratch(kind) => format!("a scratch {kind} on a loop device"),
        };
        text.push_str(&format!("store {}: {} in {place}\n", store.name, store.driver));
    }
    for left_out in &request.left_out {
        text.push_str(&format!("without {}: {}\n", left_out.name, left_out.why));
    }
    for workload in request.workloads()? {
        let definition = workload.definition();
        let rounds = definition.rounds.of(options.rounds);
        let caches: Vec<&str> = options
            .caches
            .iter()
            .filter(|cache| definition.has_cold() || **cache == crate::Cache::Warm)
            .map(|cache| cache.word())
            .collect();
        text.push_str(&format!(
            "workload {}: {rounds} rounds, {} caches, on each store\n",
            definition.id,
            caches.join(" and ")
        ));
    }
    text.push_str(&format!("needs about {} in each store\n", Bytes(request.need()?)));
    Ok(text)
}
