//! The demo's ground: a scratch folder with its mounts, and a process that removes both however the demo ends.
//!
//! The cleaner is a child in a process group of its own that waits for the end of a pipe we hold. A Ctrl-C
//! does not reach it, and the pipe ends when we do, be it by return, panic or SIGKILL.

use std::fs;
use std::io::Read;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::Duration;

use super::hull::Hull;
use crate::{Result, process};

/// The hidden command that runs the cleaner.
pub(crate) const CLEANUP: &str = "demo-clean-up";

/// How often the cleaner tries again, a fifth of a second apart.
const ROUNDS: usize = 150;

/// Where the image of the btrfs ground is mounted, and where containers go otherwise.
const BTRFS: &str = "btrfs";
const CONTAINERS: &str = "containers";

/// The scratch folder. Dropping it lets the cleaner do its work unwatched; [`Scratch::finish`] waits for it.
#[derive(Debug)]
#[must_use]
pub(super) struct Scratch {
    folder: PathBuf,
    cleaner: Child,
}

impl Scratch {
    /// Makes a folder of our own in `parent` and starts its cleaner, which uses `hull` to destroy containers.
    pub(super) fn new(parent: &Path, hull: &Path) -> Result<Self> {
        let own = std::env::current_exe().map_err(|error| format!("cannot find this program: {error}"))?;
        let mut cleaner = process::command(own);
        cleaner.arg(CLEANUP);
        Self::with_cleaner(parent, hull, cleaner)
    }

    fn with_cleaner(parent: &Path, hull: &Path, mut cleaner: std::process::Command) -> Result<Self> {
        let folder = parent.join(format!("hull-demo-{}", std::process::id()));
        fs::create_dir(&folder).map_err(|error| format!("cannot make {}: {error}", folder.display()))?;
        cleaner.arg(&folder).arg(hull).stdin(Stdio::piped()).process_group(0);
        let cleaner = cleaner.spawn().map_err(|error| {
            // Nothing is in the folder yet.
            let _ = fs::remove_dir(&folder);
            format!("cannot run {}: {error}", process::shown(&cleaner))
        })?;
        Ok(Self { folder, cleaner })
    }

    /// The lxcpath for dir and overlayfs. Where the scratch folder cannot hold an overlay's upper layer, as in
    /// a container whose root is an overlay itself, it is on an ext4 image.
    pub(super) fn containers(&self) -> Result<PathBuf> {
        let folder = self.folder.join(CONTAINERS);
        let kind = process::capture(process::command("stat").args(["-f", "-c", "%T"]).arg(&self.folder))?;
        if matches!(kind.trim(), "overlayfs" | "fuseblk" | "nfs") {
            return self.image(CONTAINERS, "mkfs.ext4");
        }
        fs::create_dir(&folder).map_err(|error| format!("cannot make {}: {error}", folder.display()))?;
        Ok(folder)
    }

    /// The lxcpath on btrfs, on a loop device.
    pub(super) fn btrfs(&self) -> Result<PathBuf> {
        self.image(BTRFS, "mkfs.btrfs")
    }

    /// Cleans up and waits for it; fails when something is left behind.
    pub(super) fn finish(mut self) -> Result<()> {
        drop(self.cleaner.stdin.take());
        let status = self.cleaner.wait().map_err(|error| error.to_string())?;
        if status.success() { Ok(()) } else { Err("cleaning up failed; see above for what is left".into()) }
    }

    /// A file system in a sparse file, mounted by the name `name`. The loop device goes with the mount.
    fn image(&self, name: &str, mkfs: &str) -> Result<PathBuf> {
        let (image, at) = (self.folder.join(format!("{name}.img")), self.folder.join(name));
        let cannot = |error: std::io::Error| format!("cannot make {}: {error}", image.display());
        fs::File::create_new(&image).and_then(|file| file.set_len(8 << 30)).map_err(cannot)?;
        fs::create_dir(&at).map_err(cannot)?;
        process::capture(process::command(mkfs).arg("-q").arg(&image))?;
        process::capture(process::command("mount").args(["-o", "loop"]).arg(&image).arg(&at))?;
        Ok(at)
    }
}

/// The cleaner: waits until the process that started it is gone or done, then removes all it made.
pub(crate) fn clean_up_after_parent(arguments: &[String]) -> Result<bool> {
    let [folder, hull] = arguments else {
        return Err("this is the demo's own helper; run `cargo xtask demo`".into());
    };
    // Only a folder that the demo named is ever removed.
    let folder = Path::new(folder);
    if !folder.file_name().is_some_and(|name| name.to_string_lossy().starts_with("hull-demo-")) {
        return Err(format!("{} is not a scratch folder of the demo", folder.display()));
    }
    let mut nothing = Vec::new();
    std::io::stdin().read_to_end(&mut nothing).map_err(|error| error.to_string())?;
    // If the demo was killed, the program it was running lives on for a moment and still writes.
    let mut outcome = remove(folder, Path::new(hull));
    for _ in 0..ROUNDS {
        if outcome.is_ok() {
            break;
        }
        std::thread::sleep(Duration::from_millis(200));
        outcome = remove(folder, Path::new(hull));
    }
    outcome.map(|()| true).map_err(|reason| format!("left behind: {}: {reason}", folder.display()))
}

/// Removes containers, mounts and the folder; may be repeated.
fn remove(folder: &Path, hull: &Path) -> Result<()> {
    for lxcpath in [folder.join(CONTAINERS), folder.join(BTRFS)] {
        destroy_containers(hull, &lxcpath);
    }
    let mountinfo = fs::read_to_string("/proc/self/mountinfo").map_err(|error| error.to_string())?;
    for mount in mounts_below(&mountinfo, folder) {
        process::capture(process::command("umount").arg(&mount))?;
    }
    fs::remove_dir_all(folder).map_err(|error| error.to_string())
}

/// Destroys every container of `lxcpath`, in as many rounds as clones stand on clones.
fn destroy_containers(hull: &Path, lxcpath: &Path) {
    let containers = || {
        let entries = fs::read_dir(lxcpath).into_iter().flatten().flatten();
        let configured = entries.filter(|entry| entry.path().join("config").is_file());
        let names = configured.filter_map(|entry| entry.file_name().into_string().ok());
        // What begins with a dot has been destroyed and is being deleted in the background.
        names.filter(|name| !name.starts_with('.')).collect::<Vec<_>>()
    };
    let hull = Hull::new(hull, lxcpath.to_path_buf());
    let mut left = containers();
    while !left.is_empty() {
        let reasons: Vec<_> = left.iter().filter_map(|name| hull.destroy(name).err()).collect();
        let before = std::mem::replace(&mut left, containers()).len();
        if left.len() >= before {
            reasons.iter().for_each(|reason| eprintln!("demo: cleaning up: {reason}"));
            return;
        }
    }
}

/// The mount points below `folder` in `mountinfo`, the innermost first (proc(5): field 5, octal escapes).
fn mounts_below(mountinfo: &str, folder: &Path) -> Vec<PathBuf> {
    let points = mountinfo.lines().filter_map(|line| line.split(' ').nth(4));
    let mut below: Vec<PathBuf> = points
        .map(|point| PathBuf::from(point.replace("\\040", " ").replace("\\011", "\t").replace("\\134", "\\")))
        .filter(|point| point.starts_with(folder) && point != folder)
        .collect();
    below.reverse();
    below
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::{CLEANUP, Scratch, clean_up_after_parent, mounts_below};
    use crate::process;

    #[test]
    fn mounts_are_undone_from_the_inside() {
        let info = "1 0 8:1 / / rw - ext4 a rw\n2 1 7:0 / /t/hull-demo-1/btrfs rw - btrfs b rw\n3 2 0:1 / /t/hull-demo-1/btrfs/a\\040b rw - overlay c rw\n4 1 0:2 / /t/hull-demo-12/x rw - tmpfs d rw\n";
        let below = mounts_below(info, Path::new("/t/hull-demo-1"));
        assert_eq!(below, [Path::new("/t/hull-demo-1/btrfs/a b"), Path::new("/t/hull-demo-1/btrfs")]);
    }

    #[test]
    fn only_the_demos_own_folders_are_removed() {
        let arguments = ["/tmp/precious".to_owned(), "hull".to_owned()];
        assert!(clean_up_after_parent(&arguments).unwrap_err().contains("not a scratch folder"));
        assert!(clean_up_after_parent(&[]).is_err());
    }

    #[test]
    fn the_cleaner_learns_of_our_end_by_the_pipe() {
        // A stand-in for the cleaner that tells when its stdin ended and what it was given.
        let parent = std::env::temp_dir().join(format!("hull-xtask-scratch-{}", std::process::id()));
        fs::create_dir_all(&parent).expect("the folder is made");
        let mut stand_in = process::command("sh");
        stand_in.args(["-c", "cat; rmdir \"$1\" && echo \"$2\" > \"$0\""]).arg(parent.join("done"));
        let scratch = Scratch::with_cleaner(&parent, Path::new("the-hull"), stand_in).expect("it starts");
        let (folder, told) = (scratch.folder.clone(), parent.join("done"));
        std::thread::sleep(std::time::Duration::from_millis(50));
        assert!(folder.is_dir() && !told.exists(), "{CLEANUP} waits while the demo runs");
        scratch.finish().expect("the stand-in succeeds");
        let said = fs::read_to_string(&told).expect("the stand-in was told");
        fs::remove_dir_all(&parent).expect("the folder is removed");
        assert_eq!((said.as_str(), folder.exists()), ("the-hull\n", false));
    }
}
