//! Proves a storage driver: simulated driver, crash loop, fault injection, conformance suite.
//!
//! # Prove your own driver
//!
//! Give its crate a test target without a harness, `tests/conformance.rs`:
//!
//! ```toml
//! [dev-dependencies]
//! hull-storage-testkit = "0.1"
//!
//! [[test]]
//! name = "conformance"
//! harness = false
//! ```
//!
//! and in it a `main` that names the driver and the ground it stands on. [`plain`] is the simplest driver there
//! can be; put your own `REGISTRATION` in its place:
//!
//! ```no_run
//! use hull_storage_testkit::{Ground, GroundInstance, conformance, plain};
//!
//! fn main() -> std::process::ExitCode {
//!     let ground = Ground::new("tmp", || {
//!         let dir = tempfile::tempdir()?; // or a file system on a loop device, a pool, …
//!         Ok(GroundInstance::new(dir.path().to_path_buf(), dir)) // cleaned up when dropped
//!     });
//!     conformance::run(&plain::REGISTRATION, ground)
//! }
//! ```
//!
//! Cases are selected by the driver's facets and facts, never by its name. A ground that cannot be had says why
//! and counts as skipped. Among the cases are real processes killed by `SIGKILL` before every act of every
//! operation and of the recovery that follows: the test program starts itself again for that.
//!
//! # The parts
//!
//! - [`sim`]: a simulated machine whose processes die after any number of effects, with a driver, a host and a
//!   journal on it.
//! - [`crash`]: the loop that lets an operation die at every effect, and its recovery, and the recovery of that.
//! - [`faulty`]: wrappers that fail, wait or call something at a chosen act.
//! - [`model`]: random operations with deaths against a plain map.
//! - [`conformance`]: the suite.
//!
//! ```
//! use hull_storage::{Placement, VolumeSpec};
//! use hull_storage_testkit::crash::{Scene, crash_everywhere};
//! use hull_storage_testkit::sim::{Disk, Lab, SimDriver};
//!
//! let before = Disk::default().dir("/srv");
//! let after = SimDriver::volume(before.clone(), "/srv/a", &[]);
//! let scene = Scene { before, after, untouched: Vec::new() };
//! let to = Placement::exactly("/srv/a".as_ref()).expect("it has a name");
//! let points = crash_everywhere(&Lab::new()?, &scene, |store| {
//!     store.create(Lab::PLAIN, &to, &VolumeSpec::default()).map(drop)
//! })?;
//! assert!(points.total() > 100, "{points}");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

pub mod conformance;
pub mod crash;
pub mod faulty;
pub mod ground;
pub mod grounds;
pub mod model;
pub mod plain;
mod pool;
pub mod scratch;
pub mod sim;
mod trouble;
pub mod unions;

pub use ground::{Bring, Fill, Ground, GroundInstance, SkipReason, Troubles};
pub use pool::Pool;
