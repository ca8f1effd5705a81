//! The most memory that a program had resident, with all processes that it waited for.
//!
//! The kernel keeps it for all children of a process together (getrusage(2), RUSAGE_CHILDREN), and ours would include
//! the compiler's. So a process of its own has the program as its only child: a hidden command of this program.

use std::process::{Command, Stdio};

use nix::sys::resource::{UsageWho, getrusage};

use crate::{Result, process};

/// The hidden command: runs what follows and prints the peak.
pub(crate) const PEAK: &str = "bench-peak";

/// The peak of `command` in KiB; what it prints on stdout is thrown away. Fails when the command does.
pub(super) fn peak_kib(command: &Command) -> Result<u64> {
    let own = std::env::current_exe().map_err(|error| format!("cannot find this program: {error}"))?;
    let mut alone = process::command(own);
    alone.arg(PEAK).arg(command.get_program()).args(command.get_args());
    let said = process::capture(&mut alone)?;
    said.trim().parse().map_err(|_| format!("{} did not say the peak but {said:?}", process::shown(&alone)))
}

/// The hidden command itself.
pub(crate) fn run_alone(arguments: &[String]) -> Result<bool> {
    let Some((program, rest)) = arguments.split_first() else {
        return Err("this is the bench's own helper; run `cargo xtask bench`".into());
    };
    println!("{}", run(process::command(program).args(rest))?);
    Ok(true)
}

/// Runs `command` and returns the peak in KiB of the greediest child that this process ever had.
fn run(command: &mut Command) -> Result<u64> {
    process::succeed(command.stdout(Stdio::null()))?;
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).map_err(|error| format!("getrusage failed: {error}"))?;
    // Linux counts it in KiB.
    u64::try_from(usage.max_rss()).map_err(|_| format!("a peak of {} KiB cannot be", usage.max_rss()))
}

#[cfg(test)]
mod tests {
    use super::{run, run_alone};
    use crate::process;

    #[test]
    fn a_childs_memory_is_seen_and_its_failure_told() {
        let mut greedy = process::command("dd");
        let peak = run(greedy.args(["if=/dev/zero", "of=/dev/null", "bs=40M", "count=1", "status=none"]));
        assert!(peak.as_ref().is_ok_and(|&peak| peak >= 40 << 10), "{peak:?}");
        assert!(run(&mut process::command("false")).is_err_and(|error| error.contains("false failed")));
        assert!(run_alone(&[]).is_err());
    }
}
