//! `cargo xtask vm`: the tests that need a kernel with more than the machine's, in a guest under QEMU.

mod boot;
mod cache;
mod crew;
mod cuts;
mod lane;
mod payload;
mod race;
mod recipe;
mod report;
mod targets;

use std::path::{Path, PathBuf};
use std::time::Duration;

pub(crate) use cuts::soak;
pub(crate) use lane::{Lane, lacking};
pub(crate) use targets::Scope;

use crate::workspace::root;
use crate::{Result, Subcommand, test};

/// The command's line in the usage text.
pub(crate) const SUBCOMMAND: Subcommand = Subcommand {
    name: "vm",
    arguments: "[--only TARGET] [--filter NAME] [--minutes M] [--kernel FILE] [--shell] [--race] [--keep] [--prune]",
    summary: "the tests of xtask/vm-targets in a guest with device mapper, zfs and AppArmor",
    run,
};

/// What the command line asked for.
#[derive(Debug, Default, PartialEq, Eq)]
struct Options {
    lane: Lane,
    shell: bool,
    race: bool,
    prune: bool,
}

fn run(arguments: &[String]) -> Result<bool> {
    let options = options(arguments)?;
    if options.prune {
        cache::prune()?;
        return Ok(true);
    }
    if let Some(reason) = lacking() {
        return Err(reason);
    }
    if let Some(kernel) = options.lane.kernel.as_ref().filter(|kernel| !kernel.is_file()) {
        return Err(format!("there is no kernel {}; --kernel takes a bzImage", kernel.display()));
    }
    let root = root();
    if options.race {
        return race::run(&root, &options.lane);
    }
    let built = options.lane.build(&root, Scope::Targets)?;
    if options.shell {
        options.lane.shell(&root, &built)?;
        return Ok(true);
    }
    if built.programs.is_empty() {
        return Err(format!("nothing to run: {} has no test that matches", targets::LIST));
    }
    let results = options.lane.run(&root, &built)?;
    test::report_lane(&root, &results)
}

fn options(arguments: &[String]) -> Result<Options> {
    let mut options = Options::default();
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        let mut value = |what: &str| rest.next().cloned().ok_or_else(|| format!("{argument} needs {what}"));
        match argument.as_str() {
            "--only" => options.lane.only = Some(value("a name")?),
            "--filter" => options.lane.filter = Some(value("a name")?),
            "--kernel" => options.lane.kernel = Some(PathBuf::from(value("a file")?)),
            "--minutes" => {
                let minutes = value("a number")?;
                let number = minutes.parse::<u64>().ok().filter(|&number| number > 0);
                let number =
                    number.ok_or_else(|| format!("--minutes needs a number, and {minutes:?} is none"))?;
                options.lane.limit = Duration::from_secs(number.saturating_mul(60));
            }
            "--shell" => options.shell = true,
            "--race" => options.race = true,
            "--keep" => options.lane.keep = true,
            "--prune" => options.prune = true,
            other => return Err(format!("unknown argument {other:?}; it takes {}", SUBCOMMAND.arguments)),
        }
    }
    Ok(options)
}

/// The names of the tests that the lane covers, as far as they can be had.
pub(crate) fn covered(root: &Path, filter: Option<&str>) -> Result<Vec<String>> {
    let lane = Lane { filter: filter.map(str::to_owned), ..Lane::default() };
    let built = lane.build(root, Scope::Workspace)?;
    Ok(built.programs.into_iter().flat_map(|program| program.cases).collect())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Lane, Options, options};

    #[test]
    fn arguments_are_read_or_refused() {
        let read = |line: &str| options(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>());
        let lane = Lane {
            only: Some("zfs".into()),
            filter: Some("clone".into()),
            kernel: Some("bzImage".into()),
            limit: Duration::from_secs(120),
            keep: true,
        };
        let all = "--only zfs --filter clone --kernel bzImage --minutes 2 --keep --shell";
        assert_eq!(read(all), Ok(Options { lane, shell: true, ..Options::default() }));
        assert_eq!(read("").map(|options| options.lane), Ok(Lane::default()));
        assert_eq!(read("--only"), Err("--only needs a name".into()));
        assert!(read("--minutes 0").unwrap_err().contains("\"0\" is none"));
        assert!(read("--fast").unwrap_err().contains("--fast"));
    }
}
