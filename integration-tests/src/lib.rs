//! What the end-to-end tests share: grounds for each store, containers opened as the commands open them, a
//! journal that kills its process, and manifests of directory trees.

pub mod grounds;
pub mod killing;
pub mod manifest;
pub mod operation;
pub mod programs;
