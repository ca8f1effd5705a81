//! What the guest is made of, and how: Debian's packages, zfs built for its kernel, an image of it all.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::{Result, process};

/// Goes into the hash: raise it when `build` below changes what comes out.
const VERSION: u32 = 1;

/// The release of Debian. Test programs are built on the host and need its glibc or a newer one.
pub(super) const SUITE: &str = "bookworm";

/// What is installed in the guest; zfs comes from `contrib`, as source.
///
/// The cloud kernel has all the lane needs and boots faster than the general one.
const PACKAGES: &[&str] = &[
    "acl",
    "apparmor",
    "attr",
    "btrfs-progs",
    "busybox-static",
    "cpio",
    "dkms",
    "dmsetup",
    "e2fsprogs",
    "fdisk",
    "iproute2",
    "kmod",
    "libcap2-bin",
    "linux-headers-cloud-amd64",
    "linux-image-cloud-amd64",
    "lvm2",
    "lxc",
    "procps",
    "psmisc",
    "rsync",
    "strace",
    "tar",
    "thin-provisioning-tools",
    "udev",
    "uidmap",
    "util-linux",
    "xfsprogs",
    "xz-utils",
    "zfs-dkms",
    "zfsutils-linux",
    "zstd",
];

/// The scripts that make the guest, and those that go into its image.
const SCRIPTS: &[(&str, &str)] = &[
    ("before.sh", include_str!("guest/before.sh")),
    ("prepare.sh", include_str!("guest/prepare.sh")),
    ("initramfs-init", include_str!("guest/initramfs-init")),
    ("lane-init", include_str!("guest/lane-init")),
];

/// Folders of `/usr/share` that no test reads.
const UNREAD: &[&str] = &["doc", "locale", "man"];

/// How often a long build says that it goes on.
const HEARTBEAT: Duration = Duration::from_secs(30);

/// The image's size; it is sparse, and what a run writes goes to a temporary file.
const SIZE: &str = "6G";

/// The files of a finished guest.
pub(super) const KERNEL: &str = "vmlinuz";
pub(super) const INITRD: &str = "initrd.img";
pub(super) const IMAGE: &str = "guest.img";

/// A short text that changes whenever the guest would.
pub(super) fn hash() -> String {
    let version = VERSION.to_string();
    let parts = [version.as_str(), SUITE, SIZE].into_iter().chain(PACKAGES.iter().chain(UNREAD).copied());
    let scripts = SCRIPTS.iter().flat_map(|(name, text)| [*name, *text]);
    fingerprint(parts.chain(scripts))
}

/// FNV-1a with 64 bits: the same on every machine and in every build. Nobody attacks it here.
fn fingerprint<'a>(parts: impl Iterator<Item = &'a str>) -> String {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    // The zero keeps `ab c` and `a bc` apart.
    for byte in parts.flat_map(|part| part.bytes().chain([0])) {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    format!("{hash:016x}")
}

/// Makes a guest's files in the empty folder `folder`. Requires root, mmdebstrap and e2fsprogs. Takes many
/// minutes, for `zfs.ko` is compiled; the programs' own messages show how far it is.
pub(super) fn build(folder: &Path) -> Result<()> {
    let cannot = |error: std::io::Error| format!("cannot write to {}: {error}", folder.display());
    let (scripts, tree) = (folder.join("scripts"), folder.join("tree"));
    fs::create_dir(&scripts).map_err(cannot)?;
    for (name, text) in SCRIPTS {
        fs::write(scripts.join(name), text).map_err(cannot)?;
    }
    println!(
        "vm: installing Debian {SUITE} and compiling zfs for its kernel; this takes 5 to 20 minutes, once"
    );
    let hook = |script: &str| format!("sh {} \"$1\"", quoted(&scripts.join(script)));
    // In namespaces of its own: what it started and mounted ends with it, and it ends with us. Otherwise it would go
    // on in a folder that the next command, finding the lock free, removes.
    let mut debian = process::command("setpriv");
    debian.args(["--pdeathsig", "KILL", "unshare", "--fork", "--pid", "--kill-child", "--mount-proc"]);
    debian.args(["mmdebstrap", "--variant=minbase", "--components=main,contrib"]);
    debian.arg(format!("--include={}", PACKAGES.join(",")));
    debian.args(UNREAD.iter().map(|folder| format!("--dpkgopt=path-exclude=/usr/share/{folder}/*")));
    debian.arg(format!("--essential-hook={}", hook("before.sh")));
    debian.arg(format!("--customize-hook={}", hook("prepare.sh")));
    // Without a mirror named, Debian's own are used.
    watched(debian.arg(SUITE).arg(&tree), &tree)?;
    println!("vm: making the guest's disk");
    for (from, to) in [("boot/vmlinuz", KERNEL), ("boot/initrd.img", INITRD)] {
        fs::copy(tree.join(from), folder.join(to)).map_err(cannot)?;
    }
    let mut disk = process::command("mke2fs");
    disk.args(["-q", "-t", "ext4", "-O", "^has_journal", "-m", "0", "-d"]).arg(&tree);
    process::succeed(disk.arg(folder.join(IMAGE)).arg(SIZE))?;
    fs::remove_dir_all(&tree).and_then(|()| fs::remove_dir_all(&scripts)).map_err(cannot)
}

/// Runs `command`, which installs into `tree`, and says now and then how far it is: dkms itself is silent.
fn watched(command: &mut Command, tree: &Path) -> Result<()> {
    let shown = process::shown(command);
    let mut child = command.spawn().map_err(|error| format!("cannot run {shown}: {error}"))?;
    let begun = Instant::now();
    let mut said = begun;
    let status = loop {
        if let Some(status) = child.try_wait().map_err(|error| format!("cannot wait for {shown}: {error}"))? {
            break status;
        }
        if said.elapsed() >= HEARTBEAT {
            said = Instant::now();
            println!(
                "vm: {} s: {}",
                begun.elapsed().as_secs(),
                progress(tree).unwrap_or("installing".into())
            );
        }
        std::thread::sleep(Duration::from_millis(200));
    };
    if status.success() { Ok(()) } else { Err(format!("{shown} failed ({status}); see above")) }
}

/// What dkms does right now: the last line of its log, while it compiles.
fn progress(tree: &Path) -> Option<String> {
    let versions = fs::read_dir(tree.join("var/lib/dkms/zfs")).ok()?;
    let log = versions.flatten().find_map(|version| fs::read(version.path().join("build/make.log")).ok())?;
    let log = String::from_utf8_lossy(&log);
    let line = log.lines().rev().find(|line| !line.trim().is_empty())?;
    Some(format!("compiling zfs: {}", line.trim()))
}

/// `path` as one word of a shell's.
fn quoted(path: &Path) -> String {
    format!("'{}'", path.display().to_string().replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{PACKAGES, fingerprint, hash, progress, quoted, watched};
    use crate::process::command;

    #[test]
    fn the_hash_is_of_all_parts_and_their_bounds() {
        let of = |parts: &[&str]| fingerprint(parts.iter().copied());
        assert_eq!(of(&[]), "cbf29ce484222325", "FNV's offset basis");
        assert_ne!(of(&["ab", "c"]), of(&["a", "bc"]));
        assert_ne!(of(&["ab"]), of(&["ac"]));
        assert_eq!((hash(), hash().len()), (hash(), 16));
    }

    #[test]
    fn packages_are_sorted_and_named_once() {
        assert!(PACKAGES.is_sorted_by(|a, b| a < b), "{PACKAGES:?}");
    }

    #[test]
    fn a_long_build_can_be_watched() {
        let tree = std::env::temp_dir().join(format!("hull-xtask-recipe-{}", std::process::id()));
        let log = tree.join("var/lib/dkms/zfs/2.1/build/make.log");
        assert_eq!(progress(&tree), None);
        std::fs::create_dir_all(log.parent().expect("it has one")).expect("the folder is made");
        std::fs::write(&log, "one\n  CC [M] two.o\n\n").expect("it is written");
        let said = progress(&tree);
        std::fs::remove_dir_all(&tree).expect("the folder is removed");
        assert_eq!(said.as_deref(), Some("compiling zfs: CC [M] two.o"));
        assert_eq!(watched(&mut command("true"), &tree), Ok(()));
        assert!(watched(&mut command("false"), &tree).unwrap_err().contains("false failed"));
    }

    #[test]
    fn a_cache_in_an_odd_place_is_one_word() {
        assert_eq!(quoted(Path::new("/a b/it's")), r"'/a b/it'\''s'");
    }
}
