//! Where finished guests are kept, outside the tree, and how two commands do not build one at once.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Instant;

use super::recipe;
use crate::{Result, process};

/// Ends the name of a guest that is being built.
const UNFINISHED: &str = ".unfinished";

/// A guest that can be booted.
#[derive(Debug)]
pub(super) struct Guest {
    pub(super) kernel: PathBuf,
    pub(super) initrd: PathBuf,
    pub(super) image: PathBuf,
}

/// The guest of this tree's recipe; built if the cache has none, which requires root.
pub(super) fn guest() -> Result<Guest> {
    let cache = folder()?;
    fs::create_dir_all(&cache).map_err(|error| format!("cannot make {}: {error}", cache.display()))?;
    let finished = cache.join(recipe::hash());
    guest_in(&finished, recipe::build)
}

/// Whether [`guest`] would have nothing to build.
pub(super) fn is_warm() -> bool {
    folder().is_ok_and(|cache| cache.join(recipe::hash()).is_dir())
}

/// The guest in the folder `finished`, which `build` makes under another name first.
fn guest_in(finished: &Path, build: impl Fn(&Path) -> Result<()>) -> Result<Guest> {
    let cannot = |error: std::io::Error| format!("cannot make {}: {error}", finished.display());
    if !finished.is_dir() {
        let _lock = lock(finished)?;
        // Who had the lock before us may have built it.
        if !finished.is_dir() {
            let unfinished = with_ending(finished, UNFINISHED);
            remove(&unfinished)?;
            fs::create_dir(&unfinished).map_err(cannot)?;
            let begun = Instant::now();
            if let Err(reason) = build(&unfinished) {
                // A mount that is still in there makes this fail; what is left is removed next time.
                let _ = remove(&unfinished);
                return Err(format!("the guest could not be built: {reason}"));
            }
            fs::rename(&unfinished, finished).map_err(cannot)?;
            println!("vm: built {} in {} s", finished.display(), begun.elapsed().as_secs());
        }
    }
    Ok(Guest {
        kernel: finished.join(recipe::KERNEL),
        initrd: finished.join(recipe::INITRD),
        image: finished.join(recipe::IMAGE),
    })
}

/// Removes all guests but that of this tree's recipe. One that runs keeps its image until it ends.
pub(super) fn prune() -> Result<()> {
    let cache = folder()?;
    let current = recipe::hash();
    let entries = match fs::read_dir(&cache) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(format!("cannot read {}: {error}", cache.display())),
    };
    for entry in entries {
        let path = entry.map_err(|error| format!("cannot read {}: {error}", cache.display()))?.path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
        // Another command may be building: its lock says so.
        if path.is_dir() && !name.starts_with(&current) {
            let finished = cache.join(name.trim_end_matches(UNFINISHED));
            let _lock = lock(&finished)?;
            remove(&path)?;
            println!("vm: removed {}", path.display());
        }
    }
    Ok(())
}

/// `$XDG_CACHE_HOME/hull/vm`, or the same in `~/.cache`.
fn folder() -> Result<PathBuf> {
    let set = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let home = || set("HOME").map(|home| home.join(".cache"));
    let cache = set("XDG_CACHE_HOME").or_else(home).ok_or("no place for the guest: set XDG_CACHE_HOME")?;
    Ok(cache.join("hull/vm"))
}

/// Waits for the right to build `finished`, held until the file is closed.
fn lock(finished: &Path) -> Result<File> {
    let path = with_ending(finished, ".lock");
    let cannot = |error: std::io::Error| format!("cannot lock {}: {error}", path.display());
    let file = File::options().create(true).append(true).open(&path).map_err(cannot)?;
    if file.try_lock().is_err() {
        println!("vm: waiting for another command that builds this guest");
        file.lock().map_err(cannot)?;
    }
    Ok(file)
}

/// Removes a folder, with what an interrupted build left mounted in it; one that is not there is removed.
fn remove(folder: &Path) -> Result<()> {
    if !folder.exists() {
        return Ok(());
    }
    let mountinfo = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let below = mountinfo.lines().filter_map(|line| line.split(' ').nth(4)).map(Path::new);
    for mount in below.filter(|mount| mount.starts_with(folder)).collect::<Vec<_>>().into_iter().rev() {
        process::capture(process::command("umount").arg(mount))?;
    }
    fs::remove_dir_all(folder).map_err(|error| format!("cannot remove {}: {error}", folder.display()))
}

fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::fs;

    use super::guest_in;

    #[test]
    fn a_guest_is_built_once_and_an_interrupted_build_leaves_none() {
        let folder = std::env::temp_dir().join(format!("hull-xtask-cache-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("the folder is made");
        let finished = folder.join("guest");
        let failed = guest_in(&finished, |half| {
            fs::write(half.join("half"), "").expect("it is written");
            Err("no network".into())
        });
        assert!(failed.unwrap_err().ends_with("no network") && !finished.exists());
        // As a build that was killed leaves it.
        fs::create_dir_all(folder.join("guest.unfinished/half")).expect("the folder is made");
        let builds = Cell::new(0);
        for _ in 0..2 {
            let guest = guest_in(&finished, |new| {
                builds.set(builds.get() + 1);
                fs::write(new.join("guest.img"), "disk").map_err(|error| error.to_string())
            });
            assert_eq!(fs::read_to_string(guest.expect("it is built").image).expect("it is there"), "disk");
        }
        let left = finished.join("half").exists() || folder.join("guest.unfinished").exists();
        fs::remove_dir_all(&folder).expect("the folder is removed");
        assert_eq!((builds.get(), left), (1, false));
    }
}
