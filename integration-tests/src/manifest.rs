//! A directory tree as text, to be compared: path, type, mode, content.

use std::collections::BTreeMap;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

/// Path below the root → what is there.
pub type Manifest = BTreeMap<PathBuf, String>;

/// Reads the tree below `root`. Hull's journal is passed over, and the time in a snapshot's `ts` file; a text
/// that names `root` says `@` instead, so that trees in different places compare. An empty `snaps` directory
/// counts as none: it is made before the first snapshot, shared by parallel ones, and changes nothing.
///
/// # Panics
/// When something cannot be read.
pub fn of(root: &Path) -> Manifest {
    let mut all = Manifest::new();
    let mut todo = vec![PathBuf::new()];
    while let Some(below) = todo.pop() {
        for entry in std::fs::read_dir(root.join(&below)).expect("a directory").map(|e| e.expect("an entry"))
        {
            let name = below.join(entry.file_name());
            if name == Path::new(".hull") {
                continue;
            }
            let metadata = entry.metadata().expect("an entry has metadata");
            let kind = metadata.file_type();
            let content = if kind.is_dir() {
                todo.push(name.clone());
                "directory".to_owned()
            } else if kind.is_file() && entry.file_name() == "ts" {
                "time".to_owned()
            } else if kind.is_file() {
                let text = std::fs::read(entry.path()).expect("a file can be read");
                let text = String::from_utf8_lossy(&text).replace(&root.display().to_string(), "@");
                format!("file {text:?}")
            } else if kind.is_symlink() {
                format!("symlink {:?}", std::fs::read_link(entry.path()).expect("a symlink can be read"))
            } else if kind.is_char_device() {
                format!("device {}", metadata.rdev())
            } else {
                "other".to_owned()
            };
            all.insert(name, format!("{:o} {content}", metadata.mode() & 0o7777));
        }
    }
    let empty: Vec<PathBuf> = all
        .keys()
        .filter(|k| k.ends_with("snaps") && !all.keys().any(|o| o.parent() == Some(k)))
        .cloned()
        .collect();
    empty.iter().for_each(|k| drop(all.remove(k)));
    all
}

/// What differs, a line each.
pub fn differences(a: &Manifest, b: &Manifest) -> Vec<String> {
    let keys: std::collections::BTreeSet<_> = a.keys().chain(b.keys()).collect();
    keys.into_iter()
        .filter(|k| a.get(*k) != b.get(*k))
        .map(|k| format!("{}: {:?} / {:?}", k.display(), a.get(k), b.get(k)))
        .collect()
}
