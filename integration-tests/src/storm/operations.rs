//! The operations of a storm, as `hull-crasher` takes them, and the answers they may get.

use std::path::{Path, PathBuf};

use hull_treefixture::Random;

/// Few, so that operations meet.
const NAMES: u64 = 8;

/// Kinds of errors (`hull_storage::ErrorKind`) that mean: not now, not so. All others mean that something broke.
const REFUSALS: &[&str] = &["NotFound", "AlreadyExists", "InUse", "HasDependents"];

/// What operations are drawn from.
pub(super) struct Draws<'a> {
    /// The store of new containers.
    pub(super) store: &'a str,
    /// What they are filled with.
    pub(super) archives: &'a [PathBuf],
    /// Whether clones can share blocks with their source; where they cannot, they are refused, and none is drawn.
    pub(super) shares: bool,
}

impl Draws<'_> {
    /// The next operation on the containers in `lxcpath`. It is mostly aimed at containers that are there now and
    /// names that are free, for drawn blindly nearly all would be refused.
    pub(super) fn draw(&self, random: &mut Random, lxcpath: &Path) -> Vec<String> {
        let kind = random.below(24);
        let (there, free): (Vec<String>, Vec<String>) =
            (0..NAMES).map(|n| format!("c{n}")).partition(|name| lxcpath.join(name).exists());
        let one = pick(random, &there, "c", NAMES);
        let other = pick(random, &free, "c", NAMES);
        let kept = std::fs::read_dir(lxcpath.join(&one).join("snaps")).into_iter().flatten();
        let mut kept: Vec<String> =
            kept.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
        // What is being made has a hidden name.
        kept.retain(|name| !name.starts_with('.'));
        kept.sort();
        let snapshot = pick(random, &kept, "snap", 3);
        let archive = &self.archives[random.below(self.archives.len() as u64) as usize];
        let archive = archive.display().to_string();
        let words: &[&str] = match kind {
            0..3 | 21..23 => &["unpack", &other, self.store, &archive],
            3 => &["unpack", &other, "overlay", &archive],
            4..6 => &["copy", &one, &other, "-"],
            6..9 if self.shares => &["clone", &one, &other, "-"],
            6..9 => &["copy", &one, &other, "-"],
            9..12 => &["snapshot", &one],
            12 => &["unsnapshot", &one, &snapshot],
            13..15 => &["restore", &one, &snapshot],
            15 => &["restore-as", &one, &snapshot, &other],
            16..18 => &["rename", &one, &other],
            18..21 => &["destroy", &one],
            _ => &["recover"],
        };
        words.iter().map(|&word| word.to_owned()).collect()
    }
}

/// One of `names` mostly; else, and when there are none, any of the `count` that begin with `prefix`.
fn pick(random: &mut Random, names: &[String], prefix: &str, count: u64) -> String {
    let (blind, number) = (random.below(8) == 0, random.next());
    match names.len() as u64 {
        len if len > 0 && !blind => names[(number % len) as usize].clone(),
        _ => format!("{prefix}{}", number % count),
    }
}

/// Whether an error is an answer that an operation may get: not now, not so.
pub(super) fn is_refusal(error: &hull_storage::Error) -> bool {
    REFUSALS.contains(&format!("{:?}", error.kind()).as_str())
}

/// Whether the crasher's one line is an answer that an operation in a storm may get.
pub(super) fn may_be_refused(said: &str) -> bool {
    let kind = said.strip_prefix("hull-crasher: ").and_then(|rest| rest.split(':').next());
    said.trim_end().lines().count() == 1 && kind.is_some_and(|kind| REFUSALS.contains(&kind))
}

#[cfg(test)]
mod tests {
    use hull_treefixture::Random;

    use super::{Draws, may_be_refused};

    #[test]
    fn a_seed_draws_the_same_again_and_all_operations_are_drawn() {
        let draws = Draws { store: "dir", archives: &["/a.tar".into()], shares: true };
        let dir = tempfile::tempdir().unwrap();
        let draw = |seed| {
            let mut random = Random::new(seed);
            (0..200).map(|_| draws.draw(&mut random, dir.path())).collect::<Vec<_>>()
        };
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
        for word in [
            "unpack",
            "copy",
            "clone",
            "snapshot",
            "unsnapshot",
            "restore",
            "restore-as",
            "rename",
            "destroy",
            "recover",
        ] {
            assert!(draw(1).iter().any(|words| words[0] == word), "{word} is never drawn");
        }
    }

    #[test]
    fn what_broke_is_no_refusal() {
        for (said, refused) in [
            ("hull-crasher: NotFound: there is no container c1\n", true),
            ("hull-crasher: Os: cannot rename\n", false),
            ("hull-crasher: NotFound: two\nlines\n", false),
            ("thread 'main' panicked at x: NotFound\n", false),
            ("", false),
        ] {
            assert_eq!(may_be_refused(said), refused, "{said:?}");
        }
    }
}
