//! The mount table of a process: `/proc/PID/mountinfo`, proc_pid_mountinfo(5).

use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use crate::{aufs, branches};

/// One mount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The mount's id; `statx(2)` reports the same.
    pub id: u64,
    /// The directory of the file system that is the mount's root.
    pub root: PathBuf,
    /// Where it is attached, as the reading process sees it.
    pub point: PathBuf,
    /// Per-mount options, comma-separated.
    pub options: String,
    /// Whether mounts below propagate to peers.
    pub shared: bool,
    /// The file system's type.
    pub fstype: String,
    /// The device or other source.
    pub source: OsString,
    /// Options of the file system, comma-separated.
    pub super_options: String,
}

/// Reads the calling process's mount table, in mount order.
pub fn read() -> io::Result<Vec<Entry>> {
    let mut table = parse(&std::fs::read("/proc/self/mountinfo")?);
    table.iter_mut().for_each(|entry| add_branches(entry, Path::new(branches::SYSFS)));
    Ok(table)
}

/// Reads a table's text; lines that are not of the documented form are passed over.
pub fn parse(text: &[u8]) -> Vec<Entry> {
    text.split(|&b| b == b'\n').filter_map(line).collect()
}

/// The mount that holds `path`: the last one mounted on the longest prefix. `path` must be absolute and free
/// of symlinks.
pub fn holding<'a>(table: &'a [Entry], path: &Path) -> Option<&'a Entry> {
    table.iter().filter(|e| path.starts_with(&e.point)).max_by_key(|e| e.point.as_os_str().len())
}

fn line(line: &[u8]) -> Option<Entry> {
    let mut fields = line.split(|&b| b == b' ');
    let id = std::str::from_utf8(fields.next()?).ok()?.parse().ok()?;
    let mut fields = fields.skip(2);
    let root = PathBuf::from(unescape(fields.next()?));
    let point = PathBuf::from(unescape(fields.next()?));
    let options = String::from_utf8_lossy(fields.next()?).into_owned();
    let shared = fields.by_ref().take_while(|f| *f != b"-").filter(|f| f.starts_with(b"shared:")).count() > 0;
    let fstype = String::from_utf8_lossy(fields.next()?).into_owned();
    let source = unescape(fields.next()?);
    let super_options = String::from_utf8_lossy(fields.next().unwrap_or_default()).into_owned();
    Some(Entry { id, root, point, options, shared, fstype, source, super_options })
}

/// Octal escapes: the kernel writes space, tab, newline and backslash as `\040` and so on.
pub(crate) fn unescape(text: &[u8]) -> OsString {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&byte, after)) = rest.split_first() {
        let octal = (byte == b'\\')
            .then(|| after.get(..3))
            .flatten()
            .and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok());
        match octal {
            Some(value) => {
                out.push(value);
                rest = &after[3..];
            }
            None => {
                out.push(byte);
                rest = after;
            }
        }
    }
    OsString::from_vec(out)
}

/// The first mount, as this process sees them, that shows the directory `path` or something below it elsewhere: by
/// binding it, or as a layer of a union. `path` must be absolute and free of symlinks.
///
/// Mounts in other mount namespaces, a running container's among them, are not seen.
pub fn user_of<'a>(table: &'a [Entry], path: &Path) -> Option<&'a Entry> {
    let holder = holding(table, path)?;
    let below = path.strip_prefix(&holder.point).ok()?;
    let inside = holder.root.join(below);
    table.iter().find(|e| {
        let same = e.source == holder.source && e.fstype == holder.fstype;
        let bound = same && e.id != holder.id && e.root.starts_with(&inside) && e.root != Path::new("/");
        bound || layers(e).any(|layer| layer.starts_with(path))
    })
}

/// The directories a union is made of.
fn layers(entry: &Entry) -> impl Iterator<Item = PathBuf> {
    let values = entry.super_options.split(',').filter_map(|option| {
        let (key, value) = option.split_once('=')?;
        matches!(key, "lowerdir" | "lowerdir+" | "upperdir" | "br").then_some((key, value))
    });
    values.flat_map(|(key, value)| value.split(':').map(move |layer| (key, layer))).map(|(key, layer)| {
        let path = if key == "br" { layer.rsplit_once('=').map_or(layer, |(path, _)| path) } else { layer };
        PathBuf::from(unescape(path.as_bytes()))
    })
}

/// Adds the branches to the options of an aufs, which keeps them in sysfs: `br=PATH=rw:PATH=ro`, as one mounts it.
fn add_branches(entry: &mut Entry, sysfs: &Path) {
    let id = entry.super_options.split(',').find_map(|option| option.strip_prefix("si="));
    let Some(id) = id.filter(|_| entry.fstype == aufs::NAME) else { return };
    let branches = branches::of(&sysfs.join(format!("si_{id}")));
    if !branches.is_empty() {
        entry.super_options.push_str(",br=");
        entry.super_options.push_str(&branches.iter().map(branches::spell).collect::<Vec<_>>().join(":"));
    }
}

/// Whether `path` is a mount point of the calling process. Reads the table.
pub fn is_mount_point(path: &Path) -> io::Result<bool> {
    Ok(read()?.iter().any(|e| e.point.as_os_str().as_bytes() == path.as_os_str().as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_that_is_shown_elsewhere_is_in_use() {
        let text = b"1 0 8:1 / / rw - ext4 /dev/a rw\n\
            2 1 8:1 /srv/x/deep /mnt rw - ext4 /dev/a rw\n\
            3 1 0:9 / /u rw - overlay overlay rw,lowerdir=/l\\0401:/l2,upperdir=/o/delta,workdir=/o/work\n";
        let table = parse(text);
        let user = |path: &str| user_of(&table, Path::new(path)).map(|e| e.id);
        assert_eq!(user("/srv/x"), Some(2));
        assert_eq!((user("/srv/xy"), user("/srv/x/deep/er")), (None, None));
        assert_eq!((user("/o"), user("/l 1"), user("/l2")), (Some(3), Some(3), Some(3)));
    }

    #[test]
    fn the_branches_of_an_aufs_are_in_use() {
        let sysfs = tempfile::tempdir().unwrap();
        let dir = sysfs.path().join("si_1f");
        std::fs::create_dir(&dir).unwrap();
        for (file, text) in [("br0", "/c:1/delta\\0400=rw\n"), ("br1", "/a,b=c=ro\n"), ("xi_path", "/x\n")] {
            std::fs::write(dir.join(file), text).unwrap();
        }
        let text = b"1 0 8:1 / / rw - ext4 /dev/a rw\n2 1 0:9 / /m rw - aufs none rw,si=1f,xino=/x\n";
        let mut table = parse(text);
        table.iter_mut().for_each(|entry| add_branches(entry, sysfs.path()));
        for (path, user) in [("/c:1/delta 0", Some(2)), ("/a,b=c", Some(2)), ("/c", None), ("/x", None)] {
            assert_eq!(user_of(&table, Path::new(path)).map(|e| e.id), user, "{path}");
        }
    }

    #[test]
    fn reads_the_documented_line() {
        let text = b"36 35 98:0 /mnt1 /mnt\\0402 rw,noatime master:1 shared:2 - ext3 /dev/root rw,errors=continue\nnonsense\n";
        let table = parse(text);
        assert_eq!(table.len(), 1);
        assert_eq!(table[0].point, Path::new("/mnt 2"));
        assert_eq!((table[0].id, table[0].shared, table[0].fstype.as_str()), (36, true, "ext3"));
        assert_eq!(table[0].super_options, "rw,errors=continue");
    }
}
