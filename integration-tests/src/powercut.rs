//! `hull-powercut GROUND SEED DISK [--last]`: what runs in a machine whose power is cut. Looks whether everything on
//! DISK is whole that an earlier run worked on when it was cut off, then makes DISK anew and works on it until the
//! next cut. With `--last` it only looks. Erases DISK.
//!
//! GROUND is a store, or a store and what it lies on: `dir`, `dir-xfs`, `overlay`, `loop`, `loop-xfs`, `btrfs`, `lvm`,
//! `lvm-thick`, `zfs`.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use hull_integration_tests::grounds::Lxcpath;
use hull_integration_tests::{operation, storm};
use hull_storage::{Durability, Settings};

/// Where the ground is mounted.
const POINT: &str = "/hull-powercut";
/// What pools and volume groups are called.
const POOL: &str = "hullcut";

type Checked<T> = Result<T, String>;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let (ground, seed, disk, last) = match &words[..] {
        [ground, seed, disk] => (ground, seed, disk, false),
        [ground, seed, disk, last] if last == "--last" => (ground, seed, disk, true),
        _ => {
            eprintln!("usage: hull-powercut GROUND SEED DISK [--last]");
            return ExitCode::from(2);
        }
    };
    let Some(ground) = Ground::named(ground, Path::new(disk)) else {
        eprintln!("hull-powercut: there is no ground called {ground}");
        return ExitCode::from(2);
    };
    match run(&ground, seed.parse().unwrap_or(0), last) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            println!("WRONG: {why}");
            ExitCode::FAILURE
        }
    }
}

fn run(ground: &Ground, seed: u64, last: bool) -> Checked<()> {
    if ground.is_there() {
        ground.bring_up()?;
        let wrong = ground.wrong()?;
        ground.take_down()?;
        ground.check()?;
        if !wrong.is_empty() {
            return Err(wrong.join("\nWRONG: "));
        }
        println!("whole");
    }
    if last {
        return Ok(());
    }
    ground.make()?;
    println!("working");
    let at = ground.lxcpath();
    let open = || operation::containers_with(&at.lxcpath, &at.rundir, &ground.settings(), Durability::Power);
    // ext4 cannot share the blocks of two images.
    let shares = (ground.store, ground.kind) != ("loop", "ext4");
    storm::until_killed(&at, (ground.store, shares), seed, &open)
}

/// A disk and what lies on it.
struct Ground {
    disk: PathBuf,
    store: &'static str,
    /// The file system with the lxcpath.
    kind: &'static str,
    /// Whether it lies in a volume group, and whether that has a thin pool.
    group: Option<bool>,
}

impl Ground {
    fn named(name: &str, disk: &Path) -> Option<Self> {
        let (store, kind, group) = match name {
            "dir" => ("dir", "ext4", None),
            "dir-xfs" => ("dir", "xfs", None),
            "overlay" => ("overlay", "ext4", None),
            "loop" => ("loop", "ext4", None),
            "loop-xfs" => ("loop", "xfs", None),
            "btrfs" => ("btrfs", "btrfs", None),
            "lvm" => ("lvm", "ext4", Some(true)),
            "lvm-thick" => ("lvm", "ext4", Some(false)),
            "zfs" => ("zfs", "zfs", None),
            _ => return None,
        };
        Some(Self { disk: disk.to_path_buf(), store, kind, group })
    }

    /// The device with the file system.
    fn device(&self) -> PathBuf {
        match self.group {
            Some(_) => Path::new("/dev").join(POOL).join("home"),
            None => self.disk.clone(),
        }
    }

    fn settings(&self) -> Settings {
        // Small, so that many are made before the power goes.
        let settings = Settings::default().with("hull.volume.size", "48M");
        match (self.group, self.kind) {
            (Some(_), _) => settings.with("lxc.bdev.lvm.vg", POOL).with("lxc.bdev.lvm.thin_pool", "thin"),
            (None, "zfs") => settings.with("lxc.bdev.zfs.root", format!("{POOL}/lxc")),
            _ => settings,
        }
    }

    fn lxcpath(&self) -> Lxcpath {
        let point = Path::new(POINT);
        Lxcpath { lxcpath: point.join("lxc"), rundir: PathBuf::from("/run/hull-powercut") }
    }

    /// Whether an earlier run has made it: the first thing it does is to put a name on the disk.
    fn is_there(&self) -> bool {
        let quiet = |program: &str, arguments: &[&str]| run_program(program, arguments).is_ok();
        match (self.group, self.kind) {
            (Some(_), _) => quiet("vgs", &[POOL]),
            (None, "zfs") => quiet("zpool", &["import", "-N", "-d", "/dev", POOL]),
            _ => quiet("blkid", &["-t", &format!("LABEL={POOL}"), &text(&self.disk)]),
        }
    }

    fn make(&self) -> Checked<()> {
        let disk = text(&self.disk);
        match (self.group, self.kind) {
            (Some(thin), _) => {
                let _ = run_program("vgremove", &["--force", "--yes", POOL]);
                run_program("wipefs", &["--all", "--force", &disk])?;
                run_program("vgcreate", &["--yes", POOL, &disk])?;
                if thin {
                    let pool = ["--yes", "--type", "thin-pool", "--size", "4G", "--name", "thin", POOL];
                    run_program("lvcreate", &pool)?;
                }
                run_program("lvcreate", &["--yes", "--size", "1G", "--name", "home", POOL])?;
            }
            (None, "zfs") => {
                let _ = run_program("zpool", &["destroy", "-f", POOL]);
                run_program("wipefs", &["--all", "--force", &disk])?;
                run_program("zpool", &["create", "-f", "-O", "mountpoint=none", POOL, &disk])?;
                run_program("zfs", &["create", &format!("{POOL}/lxc")])?;
                run_program(
                    "zfs",
                    &[
                        "create",
                        "-o",
                        &format!("mountpoint={POINT}"),
                        "-o",
                        "xattr=sa",
                        "-o",
                        "acltype=posixacl",
                        &format!("{POOL}/home"),
                    ],
                )?;
            }
            _ => run_program("wipefs", &["--all", "--force", &disk])?,
        }
        let device = text(&self.device());
        match self.kind {
            "ext4" => run_program("mkfs.ext4", &["-q", "-F", "-L", POOL, &device])?,
            "xfs" => run_program("mkfs.xfs", &["-q", "-f", "-L", POOL, &device])?,
            "btrfs" => run_program("mkfs.btrfs", &["-q", "-f", "-L", POOL, &device])?,
            _ => {}
        }
        self.bring_up()?;
        std::fs::create_dir_all(self.lxcpath().lxcpath).map_err(|e| format!("cannot make the lxcpath: {e}"))
    }

    fn bring_up(&self) -> Checked<()> {
        std::fs::create_dir_all(POINT).map_err(|e| format!("cannot make {POINT}: {e}"))?;
        if self.group.is_some() {
            // A volume that was being made may be known to LVM and not to its pool, and does not become active. Others do,
            // as when a machine boots, and recovery removes that one.
            if let Err(why) = run_program("vgchange", &["--activate", "y", POOL]) {
                println!("note {}", why.replace('\n', "; "));
            }
        }
        match self.kind {
            // Making it has mounted it; a pool that was imported has not.
            "zfs" => {
                let _ = run_program("zfs", &["mount", &format!("{POOL}/home")]);
                Ok(())
            }
            _ => run_program("mount", &[&text(&self.device()), POINT]),
        }
    }

    fn wrong(&self) -> Checked<Vec<String>> {
        let at = self.lxcpath();
        if !at.lxcpath.exists() {
            return Ok(Vec::new());
        }
        let all = operation::containers_with(&at.lxcpath, &at.rundir, &self.settings(), Durability::Power)
            .map_err(|e| e.to_string())?;
        let mut wrong = storm::wrong_after(&all, &at);
        wrong.extend(self.left_in_the_pool()?);
        Ok(wrong)
    }

    /// Volumes that are still in the pool when every container has been destroyed.
    fn left_in_the_pool(&self) -> Checked<Vec<String>> {
        let listed = match (self.group, self.kind) {
            (Some(_), _) => output("lvs", &["--noheadings", "--options", "lv_name", POOL])?,
            (None, "zfs") => {
                output("zfs", &["list", "-H", "-r", "-t", "all", "-o", "name", &format!("{POOL}/lxc")])?
            }
            _ => return Ok(Vec::new()),
        };
        let ours = ["home".to_owned(), "thin".to_owned(), format!("{POOL}/lxc")];
        let names = listed.lines().map(str::trim).filter(|name| !name.is_empty());
        Ok(names
            .filter(|name| !ours.iter().any(|o| o == name))
            .map(|name| format!("the pool still has {name}"))
            .collect())
    }

    fn take_down(&self) -> Checked<()> {
        match self.kind {
            "zfs" => Ok(()),
            _ => run_program("umount", &[POINT]),
        }
    }

    /// What the file system's own program says of it.
    fn check(&self) -> Checked<()> {
        let device = text(&self.device());
        match self.kind {
            "ext4" => run_program("e2fsck", &["-f", "-n", &device])?,
            "xfs" => run_program("xfs_repair", &["-n", &device])?,
            "btrfs" => run_program("btrfs", &["check", "--readonly", &device])?,
            _ => {
                run_program("zpool", &["scrub", "-w", POOL])?;
                let said = output("zpool", &["status", "-x", POOL])?;
                if !said.contains("is healthy") {
                    return Err(said);
                }
            }
        }
        match self.group {
            Some(_) => run_program("vgck", &[POOL]),
            None => Ok(()),
        }
    }
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

fn run_program(program: &str, arguments: &[&str]) -> Checked<()> {
    output(program, arguments).map(drop)
}

/// What the program prints; it must succeed.
fn output(program: &str, arguments: &[&str]) -> Checked<String> {
    let ran = Command::new(program).args(arguments).output().map_err(|e| format!("{program}: {e}"))?;
    if ran.status.success() {
        return Ok(String::from_utf8_lossy(&ran.stdout).into_owned());
    }
    let said = [ran.stdout, ran.stderr].concat();
    Err(format!(
        "{program} {}: {}: {}",
        arguments.join(" "),
        ran.status,
        String::from_utf8_lossy(&said).trim()
    ))
}
