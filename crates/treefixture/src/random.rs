//! Trees of stated size and seed.

use std::io::Result;
use std::os::fd::OwnedFd;

use crate::make::Maker;

/// A small generator of repeatable numbers (SplitMix64).
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// Starts a sequence.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    #[allow(clippy::should_implement_trait, reason = "an endless sequence of numbers needs no iterator")]
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`, which must not be 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}

/// How large a random tree is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RandomShape {
    /// How many directories.
    pub directories: u32,
    /// How many other entries, mostly regular files.
    pub files: u32,
    /// The largest file's size in bytes.
    pub largest: u32,
}

/// Builds a random tree in a new directory `random`.
pub(crate) fn build_random(maker: &Maker, top: &OwnedFd, seed: u64, shape: RandomShape) -> Result<()> {
    let mut random = Random::new(seed);
    let root = maker.directory(top, "random")?;
    let mut paths: Vec<String> = vec![".".to_owned()];
    for i in 0..shape.directories {
        let parent = &paths[usize::try_from(random.below(paths.len() as u64)).unwrap_or(0)];
        let path = format!("{parent}/d{i}");
        // Paths must fit into one call here; deep trees have a shape of their own.
        if path.len() < 3000 {
            drop(maker.directory(&root, &path)?);
            paths.push(path);
        }
    }
    let mut files: Vec<String> = Vec::new();
    for i in 0..shape.files {
        let parent = &paths[usize::try_from(random.below(paths.len() as u64)).unwrap_or(0)];
        let path = format!("{parent}/f{i}");
        match random.below(20) {
            0 if !files.is_empty() => {
                let old = &files[usize::try_from(random.below(files.len() as u64)).unwrap_or(0)];
                maker.link(&root, old, &root, &path)?;
            }
            1 => maker.symlink(&root, &format!("../f{}", random.below(100)), &path)?,
            _ => {
                let size = random.below(u64::from(shape.largest) + 1);
                let file = maker.file(&root, &path, &[])?;
                if random.below(8) == 0 {
                    maker.write(&file, size, b"after a hole")?;
                } else {
                    maker.write(
                        &file,
                        0,
                        &vec![b'a' + (i % 26) as u8; usize::try_from(size).unwrap_or(0)],
                    )?;
                }
                maker.times(&file, i64::from(i) * 1000, 0)?;
                files.push(path);
            }
        }
    }
    // Later entries changed the directories' times.
    for (i, path) in paths.iter().enumerate().rev() {
        maker.times_of(&root, path, 1_000_000 + i as i64, 5)?;
    }
    Ok(())
}
