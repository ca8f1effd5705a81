//! Man pages and shell completions, from the same tables that parse the command lines.

use std::path::Path;

use clap::Command;
use clap_complete::Shell;
use hull_sys::entry::ExitCode;

use crate::errors::{Failure, Outcome};
use crate::{hull, lxc};

/// Writes what `what` says (`man` or `completions`) into `dir`, which is made if missing.
pub(crate) fn run(what: &Path, dir: &Path) -> Outcome {
    let make: fn(Command, &Path) -> Result<(), Failure> = match what.to_str() {
        Some("man") => man,
        Some("completions") => completions,
        _ => {
            return Err(Failure::usage(format!(
                "--generate wants man or completions, not {}",
                what.display()
            )));
        }
    };
    std::fs::create_dir_all(dir).map_err(|e| Failure::io("make", dir, &e))?;
    for table in std::iter::once(hull::table()).chain(lxc::TOOLS.iter().map(|tool| (tool.table)())) {
        make(table, dir)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// `hull.1`, `hull-create.1` and so on for every subcommand, `lxc-ls.1` and so on.
fn man(table: Command, dir: &Path) -> Result<(), Failure> {
    clap_mangen::generate_to(table, dir).map_err(|e| Failure::io("write man pages into", dir, &e))
}

/// For bash, zsh and fish: `hull.bash`, `_hull`, `hull.fish` and so on.
fn completions(mut table: Command, dir: &Path) -> Result<(), Failure> {
    let name = table.get_name().to_owned();
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        clap_complete::generate_to(shell, &mut table, &name, dir)
            .map_err(|e| Failure::io("write completions into", dir, &e))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_a_page_and_completions() {
        let dir = tempfile::tempdir().unwrap();
        for what in ["man", "completions"] {
            run(Path::new(what), dir.path()).unwrap();
        }
        for file in [
            "hull.1",
            "hull-volume-clone.1",
            "hull-bench.1",
            "lxc-copy.1",
            "hull.bash",
            "_lxc-ls",
            "hull.fish",
        ] {
            assert!(dir.path().join(file).is_file(), "{file}");
        }
        assert!(run(Path::new("nonsense"), dir.path()).is_err());
    }
}
