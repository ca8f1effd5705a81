//! What the stores of unions have in common: a volume is a chain of trees and a directory with what was changed.
//!
//! [`Chain`] reads and writes their locators. [`Store`] is what tells one such store from another, as data; its
//! methods are the questions and refusals that do not depend on which union file system shows the chain.
//! [`layer`] has what is done to a single layer.
//!
//! ```
//! use hull_storage::{DriverName, Locator};
//! use hull_unionfs::{Chain, Store};
//! use std::path::Path;
//!
//! const SOME: Store = Store {
//!     name: DriverName::new("some"),
//!     volume: "example",
//!     deepest: 9,
//!     access: c"user.hull.access",
//!     private: &[],
//! };
//! let at = Locator::new(SOME.name, "/image:/home/c1/changes");
//! assert_eq!(Chain::read(&at)?.upper, Path::new("/home/c1/changes"));
//! // A clone of the volume lies over the same trees.
//! assert_eq!(SOME.lower_for(&at)?, [Path::new("/image")]);
//! # Ok::<(), hull_storage::Error>(())
//! ```
#![forbid(unsafe_code)]

mod chain;
pub mod layer;
mod store;

pub use chain::Chain;
pub use store::{Store, is_known, trial};
