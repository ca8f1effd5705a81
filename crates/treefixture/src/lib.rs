//! Test support: builds awkward file trees, compares two trees, and makes scratch file systems.
//!
//! ```
//! use hull_treefixture::{CompareOptions, Shape, build, compare};
//! use rustix::fs::{Mode, OFlags, open};
//!
//! let (one, two) = (tempfile::tempdir()?, tempfile::tempdir()?);
//! let open = |path| open(path, OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty());
//! let (one, two) = (open(one.path())?, open(two.path())?);
//! let shape = Shape { seed: 7, ..Shape::unprivileged() };
//! build(&one, &shape)?;
//! build(&two, &shape)?;
//! assert_eq!(compare(&one, &two, &CompareOptions::default())?, []);
//! # Ok::<(), std::io::Error>(())
//! ```

mod build;
mod compare;
mod difference;
mod make;
mod random;
mod scratch;

pub use build::{Shape, build};
pub use compare::{CompareOptions, compare};
pub use difference::{Difference, What};
pub use random::{Random, RandomShape};
pub use scratch::{ScratchFs, Skip, make_file_system};
