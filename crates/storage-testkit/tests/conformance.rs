//! The suite runs on the example driver.

use std::process::ExitCode;

use hull_storage_testkit::{Ground, GroundInstance, conformance, plain};

fn main() -> ExitCode {
    let ground = Ground::new("tmp", || {
        let dir = tempfile::tempdir()?;
        Ok(GroundInstance::new(dir.path().to_path_buf(), dir))
    });
    conformance::run(&plain::REGISTRATION, ground)
}
