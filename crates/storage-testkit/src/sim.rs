//! A simulated machine: a disk as unforgiving as a real one, a driver, a host and a journal on it, and a
//! process that dies after any number of effects.

mod disk;
mod driver;
mod host;
mod journal;
mod lab;
mod machine;

pub use disk::{Disk, Node};
pub use driver::{Clones, SimDriver};
pub use host::SimHost;
pub use journal::SimJournal;
pub use lab::Lab;
pub use machine::Machine;
