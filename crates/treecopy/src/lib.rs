//! Copies and removes file trees: every attribute kept, blocks shared where they can be.
mod attributes;
mod copy;
mod crew;
mod data;
mod dir;
mod entry;
mod error;
mod idshift;
mod limits;
mod links;
mod measure;
mod observe;
mod remove;
mod unlock;
mod walk;
mod xattr;

pub use copy::{Copied, CopyOptions, Keep, copy_tree};
pub use error::{Error, ErrorKind, Result};
pub use idshift::{IdRange, IdShift, InvalidIdShift};
pub use measure::{Measured, measure_tree};
pub use observe::Observer;
pub use remove::{RemoveOptions, Removed, remove_tree};
