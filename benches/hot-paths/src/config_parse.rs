//! A container's configuration, as a distribution's containers have it, with what it includes.

use std::hint::black_box;
use std::io;
use std::path::Path;

use hull_config::{Config, IncludeReader, Included};

use crate::Round;

const CONTAINER: &[u8] = include_bytes!("../data/container.conf");
const DISTRIBUTION: &[u8] = include_bytes!("../data/distribution.conf");
const COMMON: &[u8] = include_bytes!("../data/common.conf");

/// Fails when the configuration cannot be read.
pub(crate) fn prepare() -> Result<Round, String> {
    // Once now, so that a configuration that is refused is told before anything is counted.
    parse()?;
    Ok(Box::new(|| parse().map(|config| drop(black_box(config)))))
}

fn parse() -> Result<Config, String> {
    let origin = Path::new("/var/lib/lxc/web/config");
    Config::parse(black_box(CONTAINER), origin, Some(&FromMemory)).map_err(|error| error.to_string())
}

/// What is included, without the file system: what it costs is not Hull's.
struct FromMemory;

impl IncludeReader for FromMemory {
    fn read(&self, path: &Path) -> io::Result<Included> {
        Ok(match path.file_name().and_then(|name| name.to_str()) {
            Some("distribution.conf") => Included::File(DISTRIBUTION.to_vec()),
            Some("common.conf") => Included::File(COMMON.to_vec()),
            _ => Included::Missing,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn the_included_files_count() {
        let config = parse().expect("it is read");
        assert_eq!(config.value("lxc.signal.halt"), Some("SIGRTMIN+4"));
        assert_eq!(config.value("lxc.tty.max"), Some("4"));
        assert!(config.settings().len() > 70, "{} settings", config.settings().len());
    }
}
