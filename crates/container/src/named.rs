//! What the configs of an lxcpath name, so that it is nobody's garbage.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use hull_storage::{Resource, Result, files};

use crate::container::Container;
use crate::containers::Containers;

/// What the configs of all containers and snapshots of an lxcpath name.
#[derive(Debug, Default)]
pub(crate) struct Named {
    /// The parts of their root file systems and the volumes those are made of.
    parts: BTreeSet<OsString>,
    /// The texts of configs and of the tables of mounts beside them: a path in one is somebody's, whatever the key.
    texts: Vec<Vec<u8>>,
    /// Homes whose config cannot be read, or names what is not there: what lies there may be meant.
    dark: Vec<PathBuf>,
}

impl Named {
    /// Reads all configs. One that cannot be read is noted.
    pub(crate) fn read(all: &Containers, notes: &mut Vec<String>) -> Result<Self> {
        let mut named = Self::default();
        for name in all.list()? {
            let container = all.get(&name)?;
            named.add(&container, notes);
            for snapshot in container.snapshot_containers()? {
                named.add(&snapshot, notes);
            }
        }
        Ok(named)
    }

    fn add(&mut self, container: &Container<'_>, notes: &mut Vec<String>) {
        for file in [container.config_path(), container.home().join("fstab")] {
            self.texts.extend(files::read(&file).ok().flatten());
        }
        if let Err(e) = self.add_volume(container) {
            notes.push(format!("{}: {e}", container.home().display()));
            self.dark.push(container.home());
        }
    }

    fn add_volume(&mut self, container: &Container<'_>) -> Result<()> {
        let config = container.config()?;
        // Included files are part of it.
        self.texts.extend(config.settings().iter().map(|s| s.value.as_bytes().to_vec()));
        let Some(at) = container.rootfs_of(&config)? else { return Ok(()) };
        self.parts.insert(at.at().to_owned());
        let driver = container.store().driver(at.driver())?;
        // One that is not there may be lying here by another name: half renamed, say.
        let layout = driver.layout(&at)?;
        self.parts.extend(layout.parts.into_iter().map(|part| part.name));
        self.parts.extend(driver.inspect(&at)?.origins);
        Ok(())
    }

    /// Whether a config names `what`, or something that it lies in.
    pub(crate) fn has(&self, what: &Resource) -> bool {
        let path = what.path();
        let in_a_part = self.parts.contains(&what.name)
            || (path.is_absolute() && path.ancestors().any(|p| self.parts.contains(p.as_os_str())));
        in_a_part || self.texts.iter().any(|text| contains(text, what.name.as_bytes()))
    }

    /// Whether something that a config names lies in `path`.
    pub(crate) fn lies_above(&self, path: &Path) -> bool {
        self.parts.iter().any(|part| Path::new(part).starts_with(path))
    }

    /// Whether all that may be named in `place` is known.
    pub(crate) fn is_certain_in(&self, place: &Path) -> bool {
        !self.dark.iter().any(|home| place.starts_with(home) || home.starts_with(place))
    }

    /// Whether every config could be read.
    pub(crate) fn is_complete(&self) -> bool {
        self.dark.is_empty()
    }
}

fn contains(text: &[u8], word: &[u8]) -> bool {
    !word.is_empty() && text.windows(word.len()).any(|w| w == word)
}
