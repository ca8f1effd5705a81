//! Proves a storage driver: simulated driver, crash loop, fault injection, conformance suite.
#![forbid(unsafe_code)]

pub mod conformance;
pub mod crash;
pub mod faulty;
pub mod ground;
pub mod model;
pub mod plain;
pub mod scratch;
pub mod sim;

pub use ground::{Ground, GroundInstance, SkipReason};
