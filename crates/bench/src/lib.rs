//! Measures stores: the same workloads on each, in interleaved rounds, with what statistics can say of them.
//!
//! A run is a [`Request`]: stores, a root file system, sizes, rounds. [`run()`] carries it out and returns [`Results`],
//! which is a document (JSON, `docs/bench-schema.md`) from which a table ([`table()`]), a comparison with an earlier run
//! ([`compare()`]) and a report to look at ([`html`]) are made.
//!
//! No store's name stands here: the drivers come from whoever calls, as data, and so do the kinds of scratch file
//! systems. A run works under names of its own and removes what it made, also when it fails or is interrupted.
#![forbid(unsafe_code)]

mod cache;
mod compare;
mod engine;
mod fixture;
mod generate;
mod machine;
mod plan;
mod random;
mod report;
mod request;
mod results;
mod rootfs;
mod run;
mod scratch;
mod site;
mod start;
mod stats;
mod table;
mod trial;
mod units;
mod words;
mod workload;

pub use compare::{Change, Comparison, comparable, compare};
pub use generate::Shape;
pub use hull_blockfs::FsKind;
pub use plan::plan;
pub use report::html;
pub use request::{Listener, Options, Place, Request, StoreSpec};
pub use results::{
    Absent, Cache, LeftOut, Machine, Measurement, Program, Reason, Results, Rootfs, RowFacts, SCHEMA,
    Settings, Sizes, StoreFacts, VERSION, WorkloadFacts,
};
pub use rootfs::Source;
pub use run::{Finished, run};
pub use scratch::{isolate, lacking};
pub use start::Starter;
pub use stats::{Summary, WANTED_COVERAGE, summarise};
pub use table::table;
pub use units::Unit;
pub use words::{list, workload_ids, workloads_markdown};
