//! What the end-to-end tests share: grounds for each store, containers opened as the commands open them, a
//! journal that kills its process, manifests of directory trees, and the built programs beside the installed LXC.

pub mod command;
pub mod grounds;
pub mod house;
pub mod killing;
pub mod manifest;
pub mod operation;
pub mod programs;
pub mod scale;
pub mod storm;
