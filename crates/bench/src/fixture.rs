//! What workloads find in the parent besides the root file system, and the standard change set.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use hull_storage::{Error, ErrorKind, Result};

use crate::random::Random;
use crate::results::Sizes;

/// Everything lies in this directory of the parent.
const HOME: &str = "hull-bench";
/// A small file, and what is overwritten of any.
pub(crate) const BLOCK: usize = 4096;
/// The files for reading and writing data; each kind of access has its own, so that none finds what another has done.
pub(crate) const DATA: [&str; 4] = ["sequential", "random", "sequential-direct", "random-direct"];

/// The change set, for the documentation.
pub(crate) const CHANGE_SET: &str = "The standard change set: of the parent's small files (4 KiB each) a quarter is \
overwritten, an eighth renamed and an eighth removed; as many new ones are made as were overwritten; and 4 KiB are \
written in the middle of every mebibyte of one data file.";

/// The directory of the small files below the root `root`.
pub(crate) fn small_files(root: &Path) -> PathBuf {
    root.join(HOME).join("small")
}

/// The small file `number`, below [`small_files`].
pub(crate) fn small_file(number: u64) -> String {
    format!("s{number:05}")
}

/// The data file `name` below the root `root`.
pub(crate) fn data_file(root: &Path, name: &str) -> PathBuf {
    root.join(HOME).join(name)
}

/// Puts the files into the volume with the root `root`.
pub(crate) fn add(root: &Path, sizes: &Sizes) -> Result<()> {
    let mut random = Random::new(7);
    let mut add = || {
        fs::create_dir(root.join(HOME))?;
        let small = small_files(root);
        fs::create_dir(&small)?;
        let mut block = vec![0; BLOCK];
        for number in 0..sizes.storm_files {
            random.fill(&mut block);
            fs::write(small.join(small_file(number)), &block)?;
        }
        DATA.iter().try_for_each(|name| data(&data_file(root, name), sizes.data_bytes, &mut random))
    };
    add().map_err(|e| failed("add files to", root, e))
}

/// The data files alone, for a fresh volume.
pub(crate) fn add_data(root: &Path, sizes: &Sizes) -> Result<()> {
    let mut random = Random::new(8);
    let mut add = || {
        fs::create_dir(root.join(HOME))?;
        DATA.iter().try_for_each(|name| data(&data_file(root, name), sizes.data_bytes, &mut random))
    };
    add().map_err(|e| failed("add files to", root, e))
}

/// Applies the standard change set to the volume with the root `root`; `seed` chooses what is written.
pub(crate) fn change(root: &Path, sizes: &Sizes, seed: u64) -> Result<()> {
    let mut random = Random::new(seed);
    let mut change = || -> io::Result<()> {
        let small = small_files(root);
        let mut block = vec![0; BLOCK];
        for number in 0..sizes.storm_files {
            let path = small.join(small_file(number));
            random.fill(&mut block);
            match number % 8 {
                0 | 4 => {
                    overwrite(&path, 0, &block)?;
                    fs::write(small.join(format!("n{seed}-{number}")), &block)?;
                }
                // A volume may have been changed before.
                1 if path.exists() => fs::rename(&path, small.join(format!("r{seed}-{number}")))?,
                2 if path.exists() => fs::remove_file(&path)?,
                _ => {}
            }
        }
        for megabyte in 0..sizes.data_bytes >> 20 {
            random.fill(&mut block);
            overwrite(&data_file(root, DATA[0]), (megabyte << 20) + (1 << 19), &block)?;
        }
        Ok(())
    };
    change().map_err(|e| failed("change files of", root, e))
}

/// Overwrites a part of a file that is there.
pub(crate) fn overwrite(path: &Path, at: u64, content: &[u8]) -> io::Result<()> {
    File::options().write(true).open(path)?.write_all_at(content, at)
}

fn data(path: &Path, size: u64, random: &mut Random) -> io::Result<()> {
    let mut file = File::create_new(path)?;
    let mut buffer = vec![0; 1 << 20];
    let mut left = size;
    while left > 0 {
        let part = left.min(buffer.len() as u64) as usize;
        random.fill(&mut buffer[..part]);
        file.write_all(&buffer[..part])?;
        left -= part as u64;
    }
    Ok(())
}

/// The failure of a call on files of a volume.
pub(crate) fn failed(what: &str, path: &Path, error: io::Error) -> Error {
    let kind = if error.kind() == io::ErrorKind::StorageFull { ErrorKind::NoSpace } else { ErrorKind::Os };
    Error::new(kind, format!("cannot {what} {}", path.display())).because(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_change_set_can_be_applied_again() {
        let root = tempfile::tempdir().unwrap();
        let sizes = Sizes { storm_files: 32, data_bytes: 3 << 20, fan_out: 1, depth: 1, curve_seconds: 1 };
        add(root.path(), &sizes).unwrap();
        let count = || small_files(root.path()).read_dir().unwrap().count();
        assert_eq!(count(), 32);
        change(root.path(), &sizes, 1).unwrap();
        // A quarter was added, an eighth removed.
        assert_eq!(count(), 32 + 8 - 4);
        change(root.path(), &sizes, 2).unwrap();
        assert_eq!(count(), 32 + 16 - 4);
        let data = fs::metadata(data_file(root.path(), DATA[0])).unwrap().len();
        assert_eq!(data, 3 << 20, "a data file keeps its size");
    }
}
