//! A root file system that is made up: its shape follows from three numbers, to the byte.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use hull_storage::{Bytes, Error, ErrorKind, Result};

use crate::random::Random;

/// A tree that is made up.
///
/// Of every twenty entries that are no directories one is a symbolic link and the others are regular files. Their sizes
/// are spread evenly over the orders of magnitude (the largest is some 8,000 times the smallest) and add up to `bytes`;
/// their contents do not compress. There is a directory for every twelve files, nested at most six deep. Every eighth
/// file may be executed. All times are the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Files and links.
    pub files: u64,
    /// The sum of the sizes of the files.
    pub bytes: u64,
    /// Where the numbers that look random begin.
    pub seed: u64,
}

/// More would be a benchmark of the generator.
const MOST_FILES: u64 = 2_000_000;
const MOST_BYTES: u64 = 1 << 40;
const DEEPEST: usize = 6;
/// The times of everything: 2026-01-01.
const TIME: i64 = 1_767_225_600;

impl Default for Shape {
    /// What a small distribution looks like.
    fn default() -> Self {
        Self { files: 4000, bytes: 100 << 20, seed: 1 }
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "generate:files={},bytes={},seed={}", self.files, self.bytes, self.seed)
    }
}

impl Shape {
    /// Reads `files=N,bytes=M,seed=S`, in any order; what is left out stays as in `otherwise`.
    pub fn parse(text: &str, otherwise: Self) -> Result<Self> {
        let mut shape = otherwise;
        let wrong = |why: String| Error::new(ErrorKind::InvalidInput, why);
        for part in text.split(',').filter(|part| !part.is_empty()) {
            let (key, value) = part
                .split_once('=')
                .ok_or_else(|| wrong(format!("{part:?}: write generate:files=N,bytes=M,seed=S")))?;
            let number = Bytes::parse(value)
                .map(|b| b.0)
                .ok_or_else(|| wrong(format!("{key}={value}: write a number, or one with K, M, G or T")))?;
            match key {
                "files" => shape.files = number,
                "bytes" => shape.bytes = number,
                "seed" => shape.seed = number,
                _ => return Err(wrong(format!("generate: knows files, bytes and seed, not {key:?}"))),
            }
        }
        if !(1..=MOST_FILES).contains(&shape.files) || shape.bytes > MOST_BYTES {
            let most = Bytes(MOST_BYTES);
            return Err(wrong(format!("generate: takes 1 to {MOST_FILES} files of at most {most} together")));
        }
        Ok(shape)
    }

    /// Makes the tree in `dir`, which must be empty.
    pub fn make(&self, dir: &Path) -> Result<()> {
        self.write(dir).map_err(|e| {
            let kind =
                if e.kind() == io::ErrorKind::StorageFull { ErrorKind::NoSpace } else { ErrorKind::Os };
            Error::new(kind, format!("cannot make the tree {self} in {}", dir.display())).because(e)
        })
    }

    fn write(&self, dir: &Path) -> io::Result<()> {
        let mut random = Random::new(self.seed);
        let dirs = self.directories(&mut random);
        for path in &dirs {
            fs::create_dir(dir.join(path))?;
        }
        let place = |random: &mut Random, name: String| match random.below(dirs.len() as u64 + 1) {
            0 => PathBuf::from(name),
            at => dirs[at as usize - 1].join(name),
        };
        let mut last = PathBuf::from("f000000");
        let mut content = vec![0; 1 << 16];
        for (number, size) in self.sizes(&mut random).into_iter().enumerate() {
            let Some(size) = size else {
                let link = place(&mut random, format!("l{number:06}"));
                symlink(Path::new("/").join(&last), dir.join(link))?;
                continue;
            };
            let path = place(&mut random, format!("f{number:06}"));
            let mut file = File::create_new(dir.join(&path))?;
            let mut left = size;
            while left > 0 {
                let part = (content.len() as u64).min(left) as usize;
                random.fill(&mut content[..part]);
                file.write_all(&content[..part])?;
                left -= part as u64;
            }
            let mode = if number.is_multiple_of(8) { 0o755 } else { 0o644 };
            file.set_permissions(fs::Permissions::from_mode(mode))?;
            set_time(&dir.join(&path))?;
            last = path;
        }
        // Deepest first: making an entry changes the times of the directory it is in.
        for path in dirs.iter().rev() {
            fs::set_permissions(dir.join(path), fs::Permissions::from_mode(0o755))?;
            set_time(&dir.join(path))?;
        }
        set_time(dir)
    }

    /// The directories, each after the one it is in.
    fn directories(&self, random: &mut Random) -> Vec<PathBuf> {
        let mut dirs: Vec<(PathBuf, usize)> = Vec::new();
        for number in 0..self.files / 12 {
            let name = format!("d{number:05}");
            let within = random.below(dirs.len() as u64 + 1) as usize;
            let (path, depth) = match within.checked_sub(1).map(|at| &dirs[at]) {
                Some((path, depth)) if *depth < DEEPEST => (path.join(name), depth + 1),
                _ => (PathBuf::from(name), 1),
            };
            dirs.push((path, depth));
        }
        dirs.into_iter().map(|(path, _)| path).collect()
    }

    /// The size of each file; `None` for a link.
    fn sizes(&self, random: &mut Random) -> Vec<Option<u64>> {
        let weights: Vec<u64> = (0..self.files)
            .map(|number| match number % 20 {
                19 => 0,
                _ => (128 + random.below(128)) << random.below(13),
            })
            .collect();
        let total: u128 = weights.iter().map(|w| u128::from(*w)).sum();
        let mut left = self.bytes;
        let mut sizes: Vec<Option<u64>> = weights
            .iter()
            .map(|&weight| {
                let size = (u128::from(self.bytes) * u128::from(weight) / total.max(1)) as u64;
                left -= size;
                (weight > 0).then_some(size)
            })
            .collect();
        // What rounding has left over.
        if let Some(Some(first)) = sizes.first_mut() {
            *first += left;
        }
        sizes
    }
}

fn set_time(path: &Path) -> io::Result<()> {
    let time = rustix::fs::Timespec { tv_sec: TIME, tv_nsec: 0 };
    let times = rustix::fs::Timestamps { last_access: time, last_modification: time };
    rustix::fs::utimensat(rustix::fs::CWD, path, &times, rustix::fs::AtFlags::empty())?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    /// Everything about a tree in one number: FNV-1a over the sorted listing, modes, times, targets and contents.
    fn fingerprint(dir: &Path) -> (u64, u64, u64) {
        let (mut left, mut all) = (vec![dir.to_path_buf()], Vec::new());
        while let Some(folder) = left.pop() {
            for entry in folder.read_dir().unwrap() {
                let path = entry.unwrap().path();
                if path.symlink_metadata().unwrap().is_dir() {
                    left.push(path.clone());
                }
                all.push(path);
            }
        }
        all.sort();
        let (mut hash, mut bytes) = (0xcbf2_9ce4_8422_2325u64, 0);
        let mut add = |data: &[u8]| {
            for byte in data {
                hash = (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3);
            }
        };
        for path in &all {
            let meta = path.symlink_metadata().unwrap();
            add(path.strip_prefix(dir).unwrap().as_os_str().as_encoded_bytes());
            add(&meta.mode().to_le_bytes());
            if meta.is_symlink() {
                add(fs::read_link(path).unwrap().as_os_str().as_encoded_bytes());
                continue;
            }
            assert_eq!(meta.mtime(), TIME, "{}", path.display());
            if meta.is_file() {
                bytes += meta.len();
                add(&fs::read(path).unwrap());
            }
        }
        (hash, all.len() as u64, bytes)
    }

    fn made(shape: Shape) -> (u64, u64, u64) {
        let dir = tempfile::tempdir().unwrap();
        shape.make(dir.path()).unwrap();
        fingerprint(dir.path())
    }

    #[test]
    fn a_shape_always_makes_the_same_tree() {
        let shape = Shape { files: 120, bytes: 300_000, seed: 1 };
        let first = made(shape);
        assert_eq!(first, made(shape));
        // Results of different versions are only comparable as long as this holds.
        assert_eq!(first.0, PINNED, "the tree is not the one that earlier versions made");
        assert_eq!((first.1, first.2), (120 + 10, 300_000));
        assert_ne!(first.0, made(Shape { seed: 2, ..shape }).0);
    }

    const PINNED: u64 = 1_940_494_062_915_243_440;

    #[test]
    fn the_smallest_trees_are_made_too() {
        for (files, bytes) in [(1, 0), (1, 7), (20, 19), (30, 1)] {
            assert_eq!(made(Shape { files, bytes, seed: 3 }).2, bytes);
        }
    }

    #[test]
    fn shapes_are_read() {
        let read = |text| Shape::parse(text, Shape::default());
        let all = read("files=20,bytes=3M,seed=9").unwrap();
        assert_eq!(all, Shape { files: 20, bytes: 3 << 20, seed: 9 });
        assert_eq!(read("").unwrap(), Shape::default());
        assert_eq!(read("seed=4").unwrap(), Shape { seed: 4, ..Shape::default() });
        let text = all.to_string();
        assert_eq!(read(text.strip_prefix("generate:").unwrap()).unwrap(), all);
        for wrong in
            ["files", "files=", "files=x", "files=0", "size=1", "files=3000000", "bytes=2T", "files=1=2"]
        {
            let error = read(wrong).unwrap_err();
            assert!(
                error.kind() == ErrorKind::InvalidInput && !error.to_string().contains('\n'),
                "{wrong}: {error}"
            );
        }
    }
}
