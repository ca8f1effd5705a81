//! A property test: random operations on several volumes and homes, with deaths, against a plain map.
//!
//! ```
//! use hull_storage_testkit::model::{Trial, run, sim};
//!
//! let trial = Trial { cases: 4, ..Trial::default() };
//! run(trial, || Ok(sim(hull_storage_testkit::sim::Lab::FREE)?)).map_err(|e| e.to_string())?;
//! # Ok::<(), String>(())
//! ```

mod command;
mod run;
mod subject;

pub use command::{Command, Name};
pub use run::{Failed, Trial, run};
pub use subject::{Files, SimSubject, Subject, sim};
