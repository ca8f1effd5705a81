//! The program `hull`, and every `lxc-*` command by its own name: the name it is called by decides.
#![cfg_attr(all(not(test), target_env = "gnu"), no_main)]
// eprintln! panics when stderr is full or its reader gone.
#![deny(clippy::print_stderr, clippy::print_stdout)]

mod deletion;
mod environment;
mod errors;
mod facts;
mod freezing;
mod generate;
mod hull;
mod lxc;
mod monitor;
mod output;
mod progress;
mod session;
mod shutdown;
mod sizes;

use std::ffi::OsString;
use std::path::Path;

use hull_sys::entry::ExitCode;

#[cfg(not(test))]
hull_sys::entry!(begin);

#[cfg_attr(test, allow(dead_code))]
fn begin() -> ExitCode {
    let mut args = std::env::args_os();
    let program = args.next().unwrap_or_default();
    let args: Vec<OsString> = args.collect();
    let name = Path::new(&program).file_name().and_then(|n| n.to_str()).unwrap_or("hull");
    match name.strip_prefix("lxc-").and_then(lxc::tool) {
        Some(tool) => lxc::run(tool, &args),
        None => hull::run(&args),
    }
}
