//! `hull-crasher LXCPATH RUNDIR MOMENT OPERATION…`: carries an operation out, and dies by SIGKILL at the given
//! moment of its journal. Exits 0 when the operation ends before that, 1 when it fails, saying its error's kind first.

use std::path::Path;
use std::process::ExitCode;

use hull_integration_tests::operation;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [lxcpath, rundir, moment, operation @ ..] = &words[..] else {
        eprintln!("usage: hull-crasher LXCPATH RUNDIR MOMENT OPERATION...");
        return ExitCode::from(2);
    };
    let operation: Vec<&str> = operation.iter().map(String::as_str).collect();
    let done = operation::containers(Path::new(lxcpath), Path::new(rundir), moment.parse().ok())
        .and_then(|all| operation::run(&all, &operation));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("hull-crasher: {:?}: {e}", e.kind());
            ExitCode::FAILURE
        }
    }
}
