//! A tree of any number of entries, the same wherever it is made, and the count of what came of it.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::symlink;
use std::path::Path;

use crate::Result;

/// A tenth of the entries is in one directory: what a walk keeps of a directory must not grow with it.
const WIDE: u64 = 10;
/// The entries of every other directory.
const NARROW: u64 = 100;
/// One entry in so many is a symbolic link, one a further link to the file before it, one holds data.
const SYMLINK: u64 = 20;
const HARD_LINK: u64 = 50;
const DATA: u64 = 100;
const CONTENT: [u8; 4096] = [b'h'; 4096];

/// Makes a tree of exactly `entries` entries, itself not counted, in the empty directory `top`.
pub(super) fn make(top: &Path, entries: u64) -> Result<()> {
    let cannot =
        |error: io::Error| format!("cannot make a tree of {entries} entries in {}: {error}", top.display());
    let mut left = entries;
    let mut number = 0;
    while left > 0 {
        let (name, most) = match number {
            0 => ("wide".to_owned(), entries / WIDE),
            _ => (format!("{:03}/{:03}", number / 1000, number % 1000), NARROW),
        };
        // A thousand directories share one above them; the wide one has none.
        if number == 1 || number > 0 && number % 1000 == 0 {
            fs::create_dir(top.join(format!("{:03}", number / 1000))).map_err(cannot)?;
            left -= 1;
        }
        if left == 0 {
            break;
        }
        let directory = top.join(name);
        fs::create_dir(&directory).map_err(cannot)?;
        left -= 1;
        let files = most.min(left);
        (0..files).try_for_each(|at| entry(&directory, at)).map_err(cannot)?;
        left -= files;
        number += 1;
    }
    Ok(())
}

fn entry(directory: &Path, at: u64) -> io::Result<()> {
    let place = |at: u64| directory.join(format!("entry-{at:07}"));
    let path = place(at);
    if at % SYMLINK == 1 {
        symlink("entry-0000000", path)
    } else if at % HARD_LINK == 4 {
        // The one before is always a file.
        fs::hard_link(place(at - 1), path)
    } else if at.is_multiple_of(DATA) {
        fs::write(path, CONTENT)
    } else {
        File::create(path).map(drop)
    }
}

/// How many entries are below `top`. Fails when one cannot be read.
pub(super) fn count(top: &Path) -> Result<u64> {
    let cannot = |error: io::Error| format!("cannot count what is in {}: {error}", top.display());
    let mut entries = 0;
    let mut todo = vec![top.to_path_buf()];
    while let Some(directory) = todo.pop() {
        for entry in fs::read_dir(directory).map_err(cannot)? {
            let entry = entry.map_err(cannot)?;
            entries += 1;
            if entry.file_type().map_err(cannot)?.is_dir() {
                todo.push(entry.path());
            }
        }
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::{count, make};

    #[test]
    fn a_tree_has_as_many_entries_as_were_asked_for() {
        let folder = std::env::temp_dir().join(format!("hull-xtask-tree-{}", std::process::id()));
        for entries in [0, 1, 2, 3, 99, 100, 101, 1111, 2222] {
            let top = folder.join(entries.to_string());
            std::fs::create_dir_all(&top).expect("the folder is made");
            make(&top, entries).expect("the tree is made");
            assert_eq!(count(&top), Ok(entries));
        }
        let linked = std::fs::symlink_metadata(folder.join("1111/001")).is_ok();
        std::fs::remove_dir_all(&folder).expect("the folder is removed");
        assert!(!linked, "fewer than a thousand directories share one above them");
    }
}
